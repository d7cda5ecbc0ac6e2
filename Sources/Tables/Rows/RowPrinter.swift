extension Table {
  /// Appends the row as one JSON object: all columns in the table's order, or those of `columns` (indexes) in theirs.
  func appendJSON(
    key: UnsafeRawBufferPointer, row: UnsafeRawBufferPointer, columns: [Int]?, to out: inout [UInt8]
  ) {
    let view = RowView(row, self)
    out.append(UInt8(ascii: "{"))
    if let columns {
      for (position, index) in columns.enumerated() { appendMember(index, position == 0, key, view, to: &out) }
    } else {
      for index in plans.indices { appendMember(index, index == 0, key, view, to: &out) }
    }
    out.append(UInt8(ascii: "}"))
  }

  private func appendMember(
    _ index: Int, _ isFirst: Bool, _ key: UnsafeRawBufferPointer, _ view: RowView, to out: inout [UInt8]
  ) {
    let plan = plans[index]
    if !isFirst { out.append(UInt8(ascii: ",")) }
    labels.withBytes { out.append(contentsOf: $0.part(plan.labelStart, plan.labelCount)) }
    if case .key(let position) = plan.place {
      Tables.appendJSON(plan.type, keyComponent: component(position, of: key), to: &out)
    } else if let cell = view.cell(plan) {
      Tables.appendJSON(plan.type, cell: cell, to: &out)
    } else {
      append("null", to: &out)
    }
  }

  /// The column indexes that `columns=a,b` names, still percent-encoded.
  package func projection(_ text: UnsafeRawBufferPointer) throws(Refusal) -> [Int] {
    var indexes: [Int] = []
    for name in text.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      let decoded: [UInt8]
      do throws(Mismatch) {
        decoded = try percentDecoded(UnsafeRawBufferPointer(rebasing: name))
      } catch { throw Refusal(.invalidArgument, "columns \(error.text).", table: self.name) }
      indexes.append(try projected(decoded, after: indexes))
    }
    return indexes
  }

  func projected(_ columnName: [UInt8], after indexes: [Int]) throws(Refusal) -> Int {
    let text = String(decoding: columnName, as: UTF8.self)
    guard let index = columnName.withBytes({ column(named: $0, guess: indexes.count) }) else {
      throw Refusal(
        .unknownColumn, "Table \(name) has no column \(text): columns is a list of column names joined by commas.",
        table: name, column: text)
    }
    guard !indexes.contains(index) else {
      throw Refusal(.invalidArgument, "columns names \(text) twice: name it once.", table: name, column: text)
    }
    return index
  }
}
