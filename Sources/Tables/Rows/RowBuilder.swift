/// Puts a row together from what it was (the table's defaults, or the row so far) and changes. Used for PUT from JSON
/// and for PATCH at apply. Keep one and use it again: its arrays keep their capacity.
struct RowBuilder {
  private var head: [UInt8] = []
  private var parts: [CellPart] = []

  /// Starts with the table's defaults.
  mutating func begin(_ table: Table) {
    head.removeAll(keepingCapacity: true)
    head.append(contentsOf: table.template)
    parts.removeAll(keepingCapacity: true)
    parts.append(contentsOf: table.variableDefaults)
  }

  /// Starts with a row. `row` must then be given to `append` as what is kept.
  mutating func begin(_ row: RowView) {
    head.removeAll(keepingCapacity: true)
    head.append(contentsOf: row.bytes.part(0, row.table.template.count))
    parts.removeAll(keepingCapacity: true)
    for i in 0..<row.table.variableColumns.count { parts.append(row.variablePart(i)) }
  }

  /// Sets a column that is not in the key; nil is null. The bytes of `part` are looked up now when the column is of fixed
  /// width, otherwise by `append`.
  mutating func set(
    _ plan: ColumnPlan, nullOffset: Int, to part: CellPart?, input: UnsafeRawBufferPointer,
    scratch: UnsafeRawBufferPointer
  ) {
    if let bit = plan.nullBit {
      let mask: UInt8 = 1 << UInt8(bit % 8)
      if part == nil { head[nullOffset + bit / 8] |= mask } else { head[nullOffset + bit / 8] &= ~mask }
    } else {
      precondition(part != nil, "only a nullable column becomes null")
    }
    switch plan.place {
    case .variable(let i): parts[i] = part ?? .nothing
    case .fixed(let offset, let width): setFixed(offset, width, part, input, scratch)
    case .key: preconditionFailure("a key column does not stand in the row")
    }
  }

  private mutating func setFixed(
    _ offset: Int, _ width: Int, _ part: CellPart?, _ input: UnsafeRawBufferPointer, _ scratch: UnsafeRawBufferPointer
  ) {
    guard let part else {
      for i in 0..<width { head[offset + i] = 0 }
      return
    }
    precondition(part.count == width, "a cell of its column's width")
    let source = (part.origin == .input ? input : scratch).part(part.start, width)
    head.withUnsafeMutableBytes {
      UnsafeMutableRawBufferPointer(rebasing: $0[offset..<offset + width]).copyMemory(from: source)
    }
  }

  /// Appends the row; returns its length, and appends nothing when that is over the limit.
  func append(
    input: UnsafeRawBufferPointer, scratch: UnsafeRawBufferPointer, kept: UnsafeRawBufferPointer, to out: inout [UInt8]
  ) -> Int {
    RowFormat.append(head: head, parts: parts, input: input, scratch: scratch, kept: kept, to: &out)
  }
}

extension Table {
  /// The row of these values, one for each column outside the key, in the table's order. For system tables and tests;
  /// traps when they do not fit.
  package func row(_ values: [Value]) -> [UInt8] {
    var builder = RowBuilder()
    builder.begin(self)
    var scratch: [UInt8] = []
    var parts: [CellPart?] = []
    for value in values {
      let start = scratch.count
      value.appendCell(to: &scratch)
      parts.append(value == .null ? nil : CellPart(origin: .scratch, start: start, count: scratch.count - start))
    }
    var position = 0
    var out: [UInt8] = []
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    scratch.withBytes { raw in
      for plan in plans where !plan.isKey {
        precondition(values[position] == .null || values[position].type == plan.type, "a value of its column's type")
        builder.set(plan, nullOffset: nullOffset, to: parts[position], input: nothing, scratch: raw)
        position += 1
      }
      precondition(position == values.count, "a value for each column outside the key")
      let count = defaults.withBytes { builder.append(input: nothing, scratch: raw, kept: $0, to: &out) }
      precondition(count <= TableLimits.rowBytesMax, "a row within its limit")
    }
    return out
  }

  /// The values of a row's columns outside the key, in the table's order.
  package func values(row: UnsafeRawBufferPointer) -> [Value] {
    let view = RowView(row, self)
    return plans.filter { !$0.isKey }.map { plan in
      guard let cell = view.cell(plan) else { return .null }
      return Value(plan.type, cell: cell)
    }
  }
}
