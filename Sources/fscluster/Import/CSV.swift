/// Comma-separated values by RFC 4180: fields between quotes may hold commas, line ends and doubled quotes.
enum CSV {
  struct Field: Equatable {
    var bytes: [UInt8]
    /// An empty field between quotes is an empty text; without them it is null.
    var isQuoted: Bool
    var text: String? { String(validating: bytes, as: UTF8.self) }
  }

  enum Fault: Error, Equatable {
    /// A quote inside a field that does not begin with one, or text behind a closing quote. Field numbers count from 1.
    case strayQuote(field: Int)
    case endsInQuotes(field: Int)

    var text: String {
      switch self {
      case .strayQuote(let field): "field \(field) holds a quote where none may stand (write it twice, in quotes)"
      case .endsInQuotes(let field): "field \(field) opens a quote that is not closed"
      }
    }
  }

  static func parse(_ record: [UInt8]) throws(Fault) -> [Field] {
    var fields: [Field] = []
    var position = 0
    while true {
      let field: Field
      if position < record.count, record[position] == UInt8(ascii: "\"") {
        field = try quoted(record, &position, number: fields.count + 1)
      } else {
        field = try plain(record, &position, number: fields.count + 1)
      }
      fields.append(field)
      guard position < record.count else { return fields }
      position += 1  // the comma
      if position == record.count {
        fields.append(Field(bytes: [], isQuoted: false))
        return fields
      }
    }
  }

  private static func plain(_ record: [UInt8], _ position: inout Int, number: Int) throws(Fault) -> Field {
    let start = position
    while position < record.count, record[position] != UInt8(ascii: ",") {
      guard record[position] != UInt8(ascii: "\"") else { throw .strayQuote(field: number) }
      position += 1
    }
    return Field(bytes: Array(record[start..<position]), isQuoted: false)
  }

  private static func quoted(_ record: [UInt8], _ position: inout Int, number: Int) throws(Fault) -> Field {
    var bytes: [UInt8] = []
    position += 1
    while true {
      guard position < record.count else { throw .endsInQuotes(field: number) }
      let byte = record[position]
      position += 1
      guard byte == UInt8(ascii: "\"") else {
        bytes.append(byte)
        continue
      }
      if position < record.count, record[position] == UInt8(ascii: "\"") {
        bytes.append(byte)
        position += 1
        continue
      }
      guard position == record.count || record[position] == UInt8(ascii: ",") else { throw .strayQuote(field: number) }
      return Field(bytes: bytes, isQuoted: true)
    }
  }

  /// Appends a field; nil is null, written as nothing. Quotes stand only where they are needed.
  static func append(_ text: String?, to out: inout [UInt8]) {
    guard let text else { return }
    let special: (UInt8) -> Bool = { $0 == 0x22 || $0 == 0x2C || $0 == 0x0A || $0 == 0x0D }
    guard text.isEmpty || text.utf8.contains(where: special) else {
      out.append(contentsOf: text.utf8)
      return
    }
    out.append(UInt8(ascii: "\""))
    for byte in text.utf8 {
      if byte == UInt8(ascii: "\"") { out.append(byte) }
      out.append(byte)
    }
    out.append(UInt8(ascii: "\""))
  }
}
