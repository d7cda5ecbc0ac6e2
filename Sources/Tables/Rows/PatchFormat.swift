import Primitives

// A patch: some columns of a row and their new values.
//
//     count      2        changes
//     each:      2        column id
//                1        0 null, 1 value
//                4, n     the cell's length and the cell, when it is a value

enum PatchFormat {
  static func append(column id: UInt16, cell: UnsafeRawBufferPointer?, to out: inout [UInt8]) {
    out.appendLittleEndian(id)
    out.append(cell == nil ? 0 : 1)
    guard let cell else { return }
    out.appendLittleEndian(UInt32(cell.count))
    out.append(contentsOf: cell)
  }

  /// Calls `change` with each column and where its cell stands in `patch` (nil: null). False when the bytes are no patch
  /// of the table: then `change` may have been called for some.
  static func forEach(
    _ patch: UnsafeRawBufferPointer, _ table: Table, _ change: (ColumnPlan, CellPart?) -> Void
  ) -> Bool {
    var reader = ByteReader(patch)
    do throws(DecodeError) {
      let count: UInt16 = try reader.read()
      for _ in 0..<count {
        let id: UInt16 = try reader.read()
        guard let index = table.column(id: id), !table.plans[index].isKey else { return false }
        let plan = table.plans[index]
        let tag: UInt8 = try reader.read()
        if tag == 0 {
          guard plan.nullBit != nil else { return false }
          change(plan, nil)
        } else {
          let length: UInt32 = try reader.read()
          let start = reader.offset
          let cell = try reader.readBytes(Int(length))
          guard tag == 1, isValidCell(plan.type, cell) else { return false }
          change(plan, CellPart(origin: .input, start: start, count: cell.count))
        }
      }
      return reader.isAtEnd
    } catch { return false }
  }
}
