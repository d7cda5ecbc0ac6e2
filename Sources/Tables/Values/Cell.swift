// A cell: the canonical bytes of one value that is not null. Numbers are little-endian.
//
//     bool       1   0 or 1
//     int64      8   two's complement
//     float64    8   IEEE 754, finite
//     decimal   17   coefficient (16, two's complement), scale (1)
//     text       n   UTF-8
//     bytes      n
//     timestamp  8   microseconds since 1970, two's complement
//     uuid      16   in the order it is written
//     json       n   the text without white space
//
// Every conversion goes through a cell; equal values have equal cells (json is compared as text).

/// Where the bytes of a cell stand while a row is being put together.
struct CellPart {
  enum Origin: UInt8 {
    /// The JSON text or the patch that is being read.
    case input
    /// Bytes made on the way: unescaped, decoded.
    case scratch
    /// The table's defaults, or the row that is being changed.
    case kept
  }

  var origin: Origin
  var start: Int
  var count: Int

  static let nothing = CellPart(origin: .kept, start: 0, count: 0)
}

/// Why JSON gives no cell.
enum CellFault: Error {
  case json(JSONFault)
  case mismatch(Mismatch)

  func refusal(column: String) -> Refusal {
    switch self {
    case .json(let fault): fault.refusal
    case .mismatch(.null): Refusal(.invalidRow, "Column \(column) must not be null: give it a value.", column: column)
    case .mismatch(let mismatch):
      Refusal(.typeMismatch, "The value of column \(column) \(mismatch.text).", column: column)
    }
  }
}

extension JSONScanner {
  /// Reads the value that comes next as a cell of `type`; nil for null. Bytes that do not stand in the text as they are
  /// go to `scratch`.
  mutating func cell(
    _ type: ColumnType, scratch: inout [UInt8], names: inout NameSet
  ) throws(CellFault) -> CellPart? {
    let next = peek()
    if next == UInt8(ascii: "n"), type != .json {
      try grammar { (scanner) throws(JSONFault) in try scanner.word("null") }
      return nil
    }
    let start = scratch.count
    switch type {
    case .bool: try boolCell(next, &scratch)
    case .int64: try int64Cell(next, &scratch)
    case .float64: try float64Cell(next, &scratch)
    case .text: return try textCell(next, &scratch)
    case .json:
      try grammar { (scanner) throws(JSONFault) in try scanner.minify(to: &scratch, names: &names) }
      if scratch.count - start == 4, scratch[start] == UInt8(ascii: "n") { return nil }
    case .decimal, .bytes, .timestamp, .uuid: try writtenCell(type, next, &scratch)
    }
    return CellPart(origin: .scratch, start: start, count: scratch.count - start)
  }

  private mutating func grammar<T>(_ body: (inout JSONScanner) throws(JSONFault) -> T) throws(CellFault) -> T {
    do throws(JSONFault) { return try body(&self) } catch { throw .json(error) }
  }

  /// A value of another kind: a mismatch when it could be JSON at all, otherwise a fault of grammar.
  private func wrongKind(_ next: UInt8, _ mismatch: Mismatch) -> CellFault {
    switch next {
    case UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "\""), UInt8(ascii: "t"), UInt8(ascii: "f"),
      UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      .mismatch(mismatch)
    default: .json(fault(.unexpected))
    }
  }

  private func startsNumber(_ next: UInt8) -> Bool { next == UInt8(ascii: "-") || next &- 0x30 < 10 }

  private mutating func boolCell(_ next: UInt8, _ scratch: inout [UInt8]) throws(CellFault) {
    guard next == UInt8(ascii: "t") || next == UInt8(ascii: "f") else { throw wrongKind(next, .notBool) }
    let value = next == UInt8(ascii: "t")
    try grammar { (scanner) throws(JSONFault) in try scanner.word(value ? "true" : "false") }
    scratch.append(value ? 1 : 0)
  }

  private mutating func int64Cell(_ next: UInt8, _ scratch: inout [UInt8]) throws(CellFault) {
    guard startsNumber(next) else { throw wrongKind(next, .notInteger) }
    let number = try grammar { (scanner) throws(JSONFault) in try scanner.number() }
    do throws(Mismatch) { scratch.appendLittleEndian(try int64(number)) } catch { throw .mismatch(error) }
  }

  private mutating func float64Cell(_ next: UInt8, _ scratch: inout [UInt8]) throws(CellFault) {
    guard startsNumber(next) else { throw wrongKind(next, .notNumber) }
    let number = try grammar { (scanner) throws(JSONFault) in try scanner.number() }
    do throws(Mismatch) {
      scratch.appendLittleEndian(try float64(number).bitPattern)
    } catch { throw .mismatch(error) }
  }

  private mutating func textCell(_ next: UInt8, _ scratch: inout [UInt8]) throws(CellFault) -> CellPart {
    guard next == UInt8(ascii: "\"") else { throw wrongKind(next, .notText) }
    let string = try grammar { (scanner) throws(JSONFault) in try scanner.string() }
    if !string.hasEscapes { return CellPart(origin: .input, start: string.start, count: string.count) }
    let start = scratch.count
    unescape(string, to: &scratch)
    return CellPart(origin: .scratch, start: start, count: scratch.count - start)
  }

  /// The types that JSON holds as strings of a certain form.
  private mutating func writtenCell(_ type: ColumnType, _ next: UInt8, _ scratch: inout [UInt8]) throws(CellFault) {
    guard next == UInt8(ascii: "\"") else { throw wrongKind(next, type.writtenFormMismatch) }
    let string = try grammar { (scanner) throws(JSONFault) in try scanner.string() }
    do throws(Mismatch) {
      if string.hasEscapes {
        var text: [UInt8] = []
        unescape(string, to: &text)
        try text.withBytes { (raw) throws(Mismatch) in
          try appendCell(type, written: raw, base64: .standard, to: &scratch)
        }
      } else {
        try appendCell(type, written: slice(string), base64: .standard, to: &scratch)
      }
    } catch { throw .mismatch(error) }
  }
}

extension ColumnType {
  var writtenFormMismatch: Mismatch {
    switch self {
    case .bool: .notBool
    case .int64: .notInteger
    case .float64: .notNumber
    case .decimal: .notDecimal
    case .text, .json: .notText
    case .bytes: .notBase64
    case .timestamp: .notTimestamp
    case .uuid: .notUUID
    }
  }
}

/// Appends the cell of a value from its written form: what stands in a path, and in the strings of JSON.
func appendCell(
  _ type: ColumnType, written text: UnsafeRawBufferPointer, base64: Base64Alphabet, to out: inout [UInt8]
) throws(Mismatch) {
  switch type {
  case .bool:
    if text.elementsEqual("true".utf8) {
      out.append(1)
    } else if text.elementsEqual("false".utf8) {
      out.append(0)
    } else {
      throw .notBool
    }
  case .int64: out.appendLittleEndian(try parseInt64(text))
  case .decimal: try Decimal.parse(text).appendCell(to: &out)
  case .text:
    guard isUTF8(text) else { throw .notUTF8 }
    out.append(contentsOf: text)
  case .bytes: try appendDecodedBase64(text, base64, to: &out)
  case .timestamp: out.appendLittleEndian(try Moment.parse(text).microseconds)
  case .uuid: try appendParsedUUID(text, to: &out)
  case .float64, .json: preconditionFailure("float64 and json are no key columns")
  }
}

/// Appends the cell as JSON. The cell must be valid.
func appendJSON(_ type: ColumnType, cell: UnsafeRawBufferPointer, to out: inout [UInt8]) {
  switch type {
  case .bool: append(cell[0] == 0 ? "false" : "true", to: &out)
  case .int64: appendInt64(cell.littleEndian(0), to: &out)
  case .float64: appendFloat64(Double(bitPattern: cell.littleEndian(0)), to: &out)
  case .text: appendJSONString(cell, to: &out)
  case .json: out.append(contentsOf: cell)
  case .decimal, .bytes, .timestamp, .uuid:
    out.append(UInt8(ascii: "\""))
    appendWritten(type, cell: cell, base64: .standard, to: &out)
    out.append(UInt8(ascii: "\""))
  }
}

/// Appends the written form, without quotes or escapes.
func appendWritten(
  _ type: ColumnType, cell: UnsafeRawBufferPointer, base64: Base64Alphabet, to out: inout [UInt8]
) {
  switch type {
  case .bool, .int64, .float64: appendJSON(type, cell: cell, to: &out)
  case .decimal:
    guard let value = Decimal(cell: cell) else { preconditionFailure("a decimal cell is valid") }
    value.appendText(to: &out)
  case .text, .json: out.append(contentsOf: cell)
  case .bytes: appendBase64(cell, base64, to: &out)
  case .timestamp: Moment(microseconds: cell.littleEndian(0)).appendText(to: &out)
  case .uuid: appendUUID(cell, to: &out)
  }
}

/// Whether `cell` is a cell of `type`, as far as printing it relies on. (json is not parsed again.)
func isValidCell(_ type: ColumnType, _ cell: UnsafeRawBufferPointer) -> Bool {
  if let width = type.fixedWidth, cell.count != width { return false }
  return switch type {
  case .bool: cell[0] <= 1
  case .float64: Double(bitPattern: cell.littleEndian(0)).isFinite
  case .decimal: Decimal(cell: cell) != nil
  case .timestamp: Moment(microseconds: cell.littleEndian(0)).isPrintable
  case .text, .json: isUTF8(cell)
  case .int64, .bytes, .uuid: true
  }
}
