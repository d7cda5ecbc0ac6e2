import Foundation
import Primitives

/// `FILE.fsimport`: how far an import came. Replaced whole, about once a second and at the end.
struct ImportState: Equatable, Codable {
  var table: String
  /// Everything before it is acknowledged or was rejected.
  var place: PrefixTracker.Place
  var acknowledged: Int
  var rejected: Int
  /// The whole file is done; what is left is to correct the rejected lines.
  var complete: Bool
  /// A hash of the file's first bytes and how many they are, to notice another file of the same name.
  var head: UInt64
  var headBytes: Int

  static let headBytesMax = 64 << 10

  static func path(for file: String) -> String { file + ".fsimport" }

  /// Nil when there is none.
  static func read(_ path: String) throws(CommandError) -> ImportState? {
    guard let bytes = FileManager.default.contents(atPath: path) else { return nil }
    do {
      let decoder = JSONDecoder()
      decoder.keyDecodingStrategy = .convertFromSnakeCase
      return try decoder.decode(ImportState.self, from: bytes)
    } catch {
      throw .usage("\(path) cannot be read: \(error)", next: "Remove it to import the file from its beginning.")
    }
  }

  func write(_ path: String) throws(CommandError) {
    do {
      try Data(Console.json(self).utf8 + [0x0A]).write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw .failed("\(path) cannot be written: \(error.localizedDescription)")
    }
  }

  static func headHash(_ bytes: [UInt8]) -> UInt64 { bytes.withUnsafeBytes { stableHash($0) } }
}
