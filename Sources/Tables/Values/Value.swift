/// One value, for slow paths: defaults, system rows, tests. Rows in bulk stay cells.
package enum Value: Hashable, Sendable {
  case null
  case bool(Bool)
  case int64(Int64)
  case float64(Double)
  case decimal(Decimal)
  /// UTF-8; compared byte by byte, unlike String, which takes different spellings of é for equal.
  case text([UInt8])
  case bytes([UInt8])
  case timestamp(Moment)
  /// 16 bytes.
  case uuid([UInt8])
  /// JSON text without white space.
  case json([UInt8])

  package static func string(_ text: String) -> Value { .text(Array(text.utf8)) }

  /// The type, nil for null.
  package var type: ColumnType? {
    switch self {
    case .null: nil
    case .bool: .bool
    case .int64: .int64
    case .float64: .float64
    case .decimal: .decimal
    case .text: .text
    case .bytes: .bytes
    case .timestamp: .timestamp
    case .uuid: .uuid
    case .json: .json
    }
  }

  /// Appends the cell; null has none.
  func appendCell(to out: inout [UInt8]) {
    switch self {
    case .null: break
    case .bool(let value): out.append(value ? 1 : 0)
    case .int64(let value): out.appendLittleEndian(value)
    case .float64(let value): out.appendLittleEndian(value.bitPattern)
    case .decimal(let value): value.appendCell(to: &out)
    case .text(let bytes), .bytes(let bytes), .json(let bytes), .uuid(let bytes): out.append(contentsOf: bytes)
    case .timestamp(let moment): out.appendLittleEndian(moment.microseconds)
    }
  }

  /// Reads a valid cell.
  init(_ type: ColumnType, cell: UnsafeRawBufferPointer) {
    switch type {
    case .bool: self = .bool(cell[0] != 0)
    case .int64: self = .int64(cell.littleEndian(0))
    case .float64: self = .float64(Double(bitPattern: cell.littleEndian(0)))
    case .decimal:
      guard let value = Decimal(cell: cell) else { preconditionFailure("a decimal cell is valid") }
      self = .decimal(value)
    case .text: self = .text([UInt8](cell))
    case .bytes: self = .bytes([UInt8](cell))
    case .timestamp: self = .timestamp(Moment(microseconds: cell.littleEndian(0)))
    case .uuid: self = .uuid([UInt8](cell))
    case .json: self = .json([UInt8](cell))
    }
  }

  /// Reads one JSON value of `type`, the whole of `text`.
  init(_ type: ColumnType, json text: UnsafeRawBufferPointer) throws(CellFault) {
    var scanner = JSONScanner(text)
    var scratch: [UInt8] = []
    var names = NameSet()
    guard let part = try scanner.cell(type, scratch: &scratch, names: &names) else {
      self = .null
      return
    }
    do throws(JSONFault) { try scanner.expectEnd() } catch { throw .json(error) }
    self =
      switch part.origin {
      case .input: Value(type, cell: text.part(part.start, part.count))
      case .scratch, .kept: scratch.withBytes { Value(type, cell: $0.part(part.start, part.count)) }
      }
  }

  package func appendJSON(to out: inout [UInt8]) {
    guard let type else { return append("null", to: &out) }
    var cell: [UInt8] = []
    appendCell(to: &cell)
    cell.withBytes { Tables.appendJSON(type, cell: $0, to: &out) }
  }
}
