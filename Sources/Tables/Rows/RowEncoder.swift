/// Makes rows and patches from JSON objects. Keep one for each thread and use it again: its arrays keep their capacity.
package struct RowEncoder {
  private struct Change {
    var column: Int
    var part: CellPart?
  }

  private var changes: [Change] = []
  private var keyChanges: [Change] = []
  /// A bit for each column that the object has named.
  private var seen: [UInt64] = []
  private var requiredSeen = 0
  private var scratch: [UInt8] = []
  private var names = NameSet()
  private var builder = RowBuilder()

  package init() {}

  /// Appends to `out` the row that `json` describes. The encoded key stands in `out` at `key`; key columns in the object
  /// must agree with it.
  mutating func appendRow(
    _ table: Table, json: UnsafeRawBufferPointer, part: Range<Int>, key: Range<Int>, to out: inout [UInt8]
  ) throws(Refusal) {
    try scan(table, json, part)
    try checkKey(table, json, key, in: out)
    if requiredSeen < table.requiredCount { throw missing(table) }
    builder.begin(table)
    let count = scratch.withBytes { scratch in
      for change in changes {
        builder.set(
          table.plans[change.column], nullOffset: table.nullOffset, to: change.part, input: json, scratch: scratch)
      }
      return table.defaults.withBytes { builder.append(input: json, scratch: scratch, kept: $0, to: &out) }
    }
    guard count <= TableLimits.rowBytesMax else { throw rowTooLarge(table, count) }
  }

  /// Appends to `out` the patch that `json` describes (`PatchFormat`).
  mutating func appendPatch(
    _ table: Table, json: UnsafeRawBufferPointer, part: Range<Int>, key: Range<Int>, to out: inout [UInt8]
  ) throws(Refusal) {
    try scan(table, json, part)
    try checkKey(table, json, key, in: out)
    let start = out.count
    out.appendLittleEndian(UInt16(changes.count))
    scratch.withBytes { scratch in
      for change in changes {
        let cell = change.part.map { ($0.origin == .input ? json : scratch).part($0.start, $0.count) }
        PatchFormat.append(column: table.plans[change.column].id, cell: cell, to: &out)
      }
    }
    guard out.count - start <= TableLimits.rowBytesMax else { throw rowTooLarge(table, out.count - start) }
  }

  private func rowTooLarge(_ table: Table, _ count: Int) -> Refusal {
    Refusal(
      .tooLarge,
      "The row is \(count) bytes long when encoded, the limit is \(TableLimits.rowBytesMax): store less in it.",
      table: table.name, limit: TableLimits.rowBytesMax)
  }

  // MARK: Scanning

  private mutating func scan(_ table: Table, _ json: UnsafeRawBufferPointer, _ part: Range<Int>) throws(Refusal) {
    changes.removeAll(keepingCapacity: true)
    keyChanges.removeAll(keepingCapacity: true)
    scratch.removeAll(keepingCapacity: true)
    seen.removeAll(keepingCapacity: true)
    for _ in 0..<(table.plans.count + 63) / 64 { seen.append(0) }
    requiredSeen = 0
    var scanner = JSONScanner(json, from: part.lowerBound, count: part.count)
    guard scanner.peek() == UInt8(ascii: "{") else { throw noObject(&scanner, table) }
    _ = scanner.take(UInt8(ascii: "{"))
    var first = true
    var guess = 0
    while let name = try nextName(&scanner, &first, table) { guess = try member(name, &scanner, table, guess) + 1 }
  }

  /// Passes the name of the next member and its colon; nil behind the last one, which must end the text.
  private func nextName(
    _ scanner: inout JSONScanner, _ first: inout Bool, _ table: Table
  ) throws(Refusal) -> JSONString? {
    do throws(JSONFault) {
      guard try scanner.another(first: &first, close: UInt8(ascii: "}")) else {
        try scanner.expectEnd()
        return nil
      }
      let name = try scanner.string()
      try scanner.expect(UInt8(ascii: ":"))
      return name
    } catch { throw error.refusal.of(table: table.name) }
  }

  /// Takes one member; returns the column's index.
  private mutating func member(
    _ name: JSONString, _ scanner: inout JSONScanner, _ table: Table, _ guess: Int
  ) throws(Refusal) -> Int {
    let index = try column(name, scanner, table, guess)
    let bit: UInt64 = 1 << UInt64(index % 64)
    guard seen[index / 64] & bit == 0 else {
      throw JSONFault(kind: .duplicateName, offset: name.start).refusal.of(table: table.name)
    }
    seen[index / 64] |= bit
    let plan = table.plans[index]
    let part: CellPart?
    do throws(CellFault) {
      part = try scanner.cell(plan.type, scratch: &scratch, names: &names)
      if part == nil, plan.nullBit == nil { throw .mismatch(.null) }
    } catch { throw error.refusal(column: table.columnName(index)).of(table: table.name) }
    if plan.isKey {
      keyChanges.append(Change(column: index, part: part))
    } else {
      if plan.nullBit == nil { requiredSeen += 1 }
      changes.append(Change(column: index, part: part))
    }
    return index
  }

  private func column(
    _ name: JSONString, _ scanner: JSONScanner, _ table: Table, _ guess: Int
  ) throws(Refusal) -> Int {
    if !name.hasEscapes {
      if let index = table.column(named: scanner.slice(name), guess: guess) { return index }
    } else {
      var text: [UInt8] = []
      scanner.unescape(name, to: &text)
      if let index = text.withBytes({ table.column(named: $0, guess: guess) }) { return index }
    }
    let text = scanner.text(name)
    throw Refusal(
      .unknownColumn, "Table \(table.name) has no column \(text): leave it out, or correct the name.",
      table: table.name, column: text)
  }

  private func noObject(_ scanner: inout JSONScanner, _ table: Table) -> Refusal {
    var names = NameSet()
    var ignored: [UInt8] = []
    do throws(JSONFault) {
      try scanner.minify(to: &ignored, names: &names)
      try scanner.expectEnd()
    } catch { return error.refusal.of(table: table.name) }
    return Refusal(
      .invalidRow, "A row is a JSON object with a member for each column, such as {\"name\":\"value\"}.",
      table: table.name)
  }

  // MARK: Checks

  /// The first column that must have a value and has none.
  private func missing(_ table: Table) -> Refusal {
    for (index, plan) in table.plans.enumerated()
    where !plan.isKey && plan.nullBit == nil && seen[index / 64] & (1 << UInt64(index % 64)) == 0 {
      let name = table.columnName(index)
      return Refusal(
        .invalidRow, "Column \(name) has no value: give it one (it is not nullable).", table: table.name, column: name)
    }
    preconditionFailure("a required column is missing")
  }

  private func checkKey(
    _ table: Table, _ json: UnsafeRawBufferPointer, _ key: Range<Int>, in out: [UInt8]
  ) throws(Refusal) {
    for change in keyChanges {
      guard case .key(let position) = table.plans[change.column].place, let part = change.part else {
        preconditionFailure("a key column with a value")
      }
      var encoded: [UInt8] = []
      scratch.withBytes { scratch in
        let cell = (part.origin == .input ? json : scratch).part(part.start, part.count)
        appendKeyComponent(table.plans[change.column].type, cell: cell, to: &encoded)
      }
      let agrees = out.withBytes { out in
        encoded.withBytes { table.component(position, of: out.part(key.lowerBound, key.count)).equals($0) }
      }
      guard agrees else {
        let name = table.columnName(change.column)
        throw table.invalidKey(
          "Key column \(name) of the row differs from the key of the request: leave it out, or make both the same.",
          column: name)
      }
    }
  }
}
