// A row: the cells of all columns that are not in the key.
//
//     flags      1        bit 0: offsets of 4 bytes, otherwise 2.  bit 1: schema version of 4 bytes, otherwise 1
//     schema     1 or 4   the schema version that the row was written with
//     null bits  ⌈n/8⌉    one for each nullable column, in the table's order, least significant first; 1 is null
//     fixed      …        the columns of fixed width, in the table's order; zero when null
//     ends       2 or 4   for each column of varying length where it ends, counted from the end of this list
//     data       …        their cells, one behind the other; nothing when null
//
// All offsets but those in `data` follow from the schema, so a column is read without looking at the others. A row has
// one spelling: wide offsets only when the data is longer than 65 535 bytes, a wide version only above 255.

enum RowFormat {
  static let wideOffsets: UInt8 = 1
  static let wideSchema: UInt8 = 2
  static let narrowDataMax = 0xFFFF

  static func appendHeader(schema: UInt32, to out: inout [UInt8]) {
    if schema <= 0xFF {
      out.append(0)
      out.append(UInt8(schema))
    } else {
      out.append(wideSchema)
      out.appendLittleEndian(schema)
    }
  }

  /// Where the cell of varying length `i` ends, in the data of a row whose list of ends begins at `start`.
  @inline(__always)
  static func end(_ row: UnsafeRawBufferPointer, _ start: Int, _ i: Int, wide: Bool) -> Int {
    wide
      ? Int(row.littleEndian(start + i * 4, as: UInt32.self)) : Int(row.littleEndian(start + i * 2, as: UInt16.self))
  }

  /// Puts a row together. `head` is all up to the ends; each part stands in the bytes that its origin names.
  /// Returns the row's length, without writing it when that is over the limit.
  static func append(
    head: [UInt8], parts: [CellPart], input: UnsafeRawBufferPointer, scratch: UnsafeRawBufferPointer,
    kept: UnsafeRawBufferPointer, to out: inout [UInt8]
  ) -> Int {
    var dataCount = 0
    for part in parts { dataCount += part.count }
    let wide = dataCount > narrowDataMax
    let total = head.count + parts.count * (wide ? 4 : 2) + dataCount
    guard total <= TableLimits.rowBytesMax else { return total }
    let start = out.count
    out.append(contentsOf: head)
    if wide { out[start] |= wideOffsets } else { out[start] &= ~wideOffsets }
    var end = 0
    for part in parts {
      end += part.count
      if wide { out.appendLittleEndian(UInt32(end)) } else { out.appendLittleEndian(UInt16(end)) }
    }
    for part in parts where part.count > 0 {
      let source =
        switch part.origin {
        case .input: input
        case .scratch: scratch
        case .kept: kept
        }
      out.append(contentsOf: source.part(part.start, part.count))
    }
    return total
  }
}

/// A row's cells, read in place. Valid as long as its bytes.
struct RowView {
  let bytes: UnsafeRawBufferPointer
  let table: Table

  init(_ bytes: UnsafeRawBufferPointer, _ table: Table) {
    self.bytes = bytes
    self.table = table
  }

  func isNull(_ plan: ColumnPlan) -> Bool { table.isNull(plan, bytes) }

  /// The cell of a column outside the key; nil when it is null.
  func cell(_ plan: ColumnPlan) -> UnsafeRawBufferPointer? {
    if isNull(plan) { return nil }
    switch plan.place {
    case .fixed(let offset, let width): return bytes.part(offset, width)
    case .variable(let i): return variable(i)
    case .key: preconditionFailure("a key column does not stand in the row")
    }
  }

  private func end(_ i: Int, _ wide: Bool) -> Int {
    RowFormat.end(bytes, table.template.count, i, wide: wide)
  }

  func variable(_ i: Int) -> UnsafeRawBufferPointer {
    let part = variablePart(i)
    return bytes.part(part.start, part.count)
  }

  /// Where the column's cell stands in the row.
  func variablePart(_ i: Int) -> CellPart {
    let wide = bytes[0] & RowFormat.wideOffsets != 0
    let start = i == 0 ? 0 : end(i - 1, wide)
    let dataStart = table.template.count + table.variableColumns.count * (wide ? 4 : 2)
    return CellPart(origin: .kept, start: dataStart + start, count: end(i, wide) - start)
  }
}
