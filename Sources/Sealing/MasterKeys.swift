/// The operator's keys: the file that the setting `encryption-key-file` names.
///
///     # one key a line, 64 hexadecimal digits; made by `openssl rand -hex 32`
///     8f0c…                    wraps from now on
///     17ab…                    may still unwrap what was wrapped before
///
/// With the word `plain` in the first key's place nothing is encrypted any more, and the keys below read what was.
package struct MasterKeys: Sendable {
  package static let countMax = 64

  /// The first one wraps.
  package let keys: [MasterKey]
  /// What is written from now on is plain.
  package let isPlain: Bool

  package init(_ key: MasterKey) {
    keys = [key]
    isPlain = false
  }

  /// - Parameters:
  ///   - text: the file's bytes; `path` names it in refusals.
  ///   - mode: its permission bits.
  package init(_ text: [UInt8], mode: UInt32, path: String) throws(KeyRefusal) {
    guard mode & 0o077 == 0 else {
      throw KeyRefusal("\(path) can be read by others (mode \(String(mode, radix: 8))): `chmod 600 \(path)`")
    }
    var keys: [MasterKey] = []
    var (isPlain, isFirst) = (false, true)
    for (index, line) in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
      let word = Self.trimmed(line)
      guard !word.isEmpty, word.first != UInt8(ascii: "#") else { continue }
      if isFirst, word.elementsEqual("plain".utf8) {
        isPlain = true
      } else {
        keys.append(try Self.key(word, path: path, line: index + 1))
      }
      isFirst = false
    }
    guard !keys.isEmpty else { throw KeyRefusal("\(path) holds no key: \(Self.remedy)") }
    guard keys.count <= Self.countMax else { throw KeyRefusal("\(path) holds more than \(Self.countMax) keys") }
    self.keys = keys
    self.isPlain = isPlain
  }

  private static let remedy = "a key is a line of 64 hexadecimal digits; make one by `openssl rand -hex 32`"

  private static func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }
    let front = line.drop(while: isBlank)
    guard let last = front.lastIndex(where: { !isBlank($0) }) else { return [] }
    return front[...last]
  }

  private static func key(_ word: ArraySlice<UInt8>, path: String, line: Int) throws(KeyRefusal) -> MasterKey {
    guard word.count == 2 * SecretKey.count else {
      throw KeyRefusal("\(path), line \(line), has \(word.count) characters: \(remedy)")
    }
    var bytes: [UInt8] = []
    for index in stride(from: word.startIndex, to: word.endIndex, by: 2) {
      guard let high = digit(word[index]), let low = digit(word[index + 1]) else {
        throw KeyRefusal("\(path), line \(line), is not hexadecimal: \(remedy)")
      }
      bytes.append(high << 4 | low)
    }
    guard let key = bytes.withUnsafeBytes({ SecretKey($0) }) else { preconditionFailure("64 digits are 32 bytes") }
    return MasterKey(key)
  }

  private static func digit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }
}

/// A key that wraps data keys. Its id, which says nothing about it, stands beside what it wrapped.
package struct MasterKey: Sendable {
  package let id: UInt64
  let wrapping: SecretKey

  package init(_ key: SecretKey) {
    wrapping = key.derived("filestore/1 wrap")
    id = key.derived("filestore/1 master key id").withBytes { UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)) }
  }
}

/// Why keys cannot be used. One line, with what to do; nothing was changed.
package struct KeyRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  package let description: String
  package init(_ description: String) { self.description = description }
}

/// A key's id as people see it.
package func keyName(_ id: UInt64) -> String { padded(String(id, radix: 16), 16) }
package func keyName(_ id: UInt32) -> String { padded(String(id, radix: 16), 8) }

private func padded(_ text: String, _ width: Int) -> String {
  String(repeating: "0", count: max(0, width - text.utf8.count)) + text
}
