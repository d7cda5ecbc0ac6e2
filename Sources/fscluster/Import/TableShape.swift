import Foundation

/// A table as import and export need to know it: part of the description that the API gives. Everything else in it is the
/// server's business, so that a newer server's tables can be imported too.
struct TableShape: Equatable, Codable {
  struct Column: Equatable, Codable {
    var name: String
    var type: String
    var nullable: Bool?
  }

  var name: String
  var columns: [Column]
  var primaryKey: [String]

  enum CodingKeys: String, CodingKey {
    case name, columns
    case primaryKey = "primary_key"
  }

  func column(_ name: String) -> Column? { columns.first { $0.name == name } }

  static func parse(_ body: [UInt8], source: String) throws(CommandError) -> TableShape {
    do {
      return try JSONDecoder().decode(TableShape.self, from: Data(body))
    } catch {
      throw .usage("\(source) is no description of a table: \(error)", next: "Docs/API.md shows one.")
    }
  }

  /// Names are checked here too, because they stand in paths.
  static func checkName(_ name: String) throws(CommandError) {
    let isLetter: (UInt8) -> Bool = { $0 == UInt8(ascii: "_") || (0x61...0x7A).contains($0) }
    let first = name.utf8.first.map(isLetter) ?? false
    guard first, name.utf8.allSatisfy({ isLetter($0) || (0x30...0x39).contains($0) }), name.utf8.count <= 63 else {
      throw .usage("`\(name)` is no name of a table", next: "Use lower-case letters, digits and _, at most 63.")
    }
  }
}
