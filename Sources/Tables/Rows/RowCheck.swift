// Whether bytes are a row. Everything that reads rows relies on it, so it is asked of each row that a command brings.

extension RowView {
  /// Whether the bytes are a row of this table and schema version.
  func isValid() -> Bool { table.isValidRow(bytes) }
}

extension Table {
  /// Whether the bytes are a row of this table and schema version.
  func isValidRow(_ bytes: UnsafeRawBufferPointer) -> Bool {
    let wide = bytes.count > 0 && bytes[0] & RowFormat.wideOffsets != 0
    let dataStart = template.count + variableColumns.count * (wide ? 4 : 2)
    guard bytes.count >= dataStart, bytes.count <= TableLimits.rowBytesMax, hasHeader(bytes) else { return false }
    let data = bytes.rest(dataStart)
    guard wide == (data.count > RowFormat.narrowDataMax) else { return false }
    var end = 0
    for plan in plans {
      let cell: UnsafeRawBufferPointer
      switch plan.place {
      case .key: continue
      case .fixed(let offset, let width): cell = bytes.part(offset, width)
      case .variable(let i):
        let next = RowFormat.end(bytes, template.count, i, wide: wide)
        guard next >= end, next <= data.count else { return false }
        cell = data.part(end, next - end)
        end = next
      }
      guard isNull(plan, bytes) ? isNothing(plan, cell) : isValidCell(plan.type, cell) else { return false }
    }
    return end == data.count
  }

  /// What stands for a cell that is null.
  private func isNothing(_ plan: ColumnPlan, _ cell: UnsafeRawBufferPointer) -> Bool {
    if case .variable = plan.place { cell.isEmpty } else { cell.allSatisfy { $0 == 0 } }
  }

  func isNull(_ plan: ColumnPlan, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let bit = plan.nullBit else { return false }
    return bytes[nullOffset + bit / 8] & (1 << UInt8(bit % 8)) != 0
  }

  /// Flags and schema are the table's, and null bits that stand for no column are zero.
  private func hasHeader(_ bytes: UnsafeRawBufferPointer) -> Bool {
    if nullableCount % 8 > 0 {
      let last = bytes[nullOffset + nullableCount / 8]
      guard last >> UInt8(nullableCount % 8) == 0 else { return false }
    }
    for i in 0..<nullOffset where bytes[i] & ~(i == 0 ? RowFormat.wideOffsets : 0) != template[i] { return false }
    return true
  }
}
