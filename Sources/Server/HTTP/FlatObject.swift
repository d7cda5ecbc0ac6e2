import Node

/// A JSON object of strings, as the administrative calls take it: `{"kind":"token","serial":"12"}`. Every name must be known
/// and stand there once. Rows are not read by this.
struct FlatObject {
  private var fields: [(name: String, value: String)] = []

  subscript(name: String) -> String? { fields.first { $0.name == name }?.value }

  init(_ bytes: UnsafeRawBufferPointer, names: [String]) throws(Problem) {
    var reader = Reader(bytes: bytes)
    try reader.expect("{")
    if reader.takes("}") {
      try reader.expectEnd()
      return
    }
    repeat {
      let name = try reader.string()
      guard names.contains(name) else {
        throw Problem(
          .invalidArgument, "There is no field `\(name)`; this call takes \(names.joined(separator: ", ")).")
      }
      guard self[name] == nil else { throw Problem(.invalidArgument, "The field `\(name)` stands there twice.") }
      try reader.expect(":")
      fields.append((name, try reader.string()))
    } while reader.takes(",")
    try reader.expect("}")
    try reader.expectEnd()
  }

  private struct Reader {
    let bytes: UnsafeRawBufferPointer
    var at = 0

    mutating func skipSpace() {
      while at < bytes.count, [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 }
    }

    mutating func takes(_ character: Unicode.Scalar) -> Bool {
      skipSpace()
      guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
      at += 1
      return true
    }

    mutating func expect(_ character: Unicode.Scalar) throws(Problem) {
      guard takes(character) else { throw invalid("`\(character)` is missing") }
    }

    mutating func expectEnd() throws(Problem) {
      skipSpace()
      guard at == bytes.count else { throw invalid("something stands behind the object") }
    }

    func invalid(_ what: String) -> Problem {
      Problem(.invalidJSON, "The body is an object of strings; at byte \(at): \(what).")
    }

    /// Texts without escapes but `\"` and `\\`: names and serials need no more.
    mutating func string() throws(Problem) -> String {
      guard takes("\"") else { throw invalid("a string in quotes is missing") }
      var text: [UInt8] = []
      while at < bytes.count, bytes[at] != UInt8(ascii: "\"") {
        var byte = bytes[at]
        if byte == UInt8(ascii: "\\"), at + 1 < bytes.count,
          [UInt8(ascii: "\""), UInt8(ascii: "\\")].contains(bytes[at + 1])
        {
          at += 1
          byte = bytes[at]
        } else if byte < 0x20 || byte == UInt8(ascii: "\\") {
          throw invalid("a character that is not expected in a string")
        }
        text.append(byte)
        at += 1
      }
      guard at < bytes.count else { throw invalid("a string does not end") }
      at += 1
      guard let result = String(validating: text, as: UTF8.self) else { throw invalid("not UTF-8") }
      return result
    }
  }
}
