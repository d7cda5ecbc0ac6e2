import Primitives

/// A shard's whole state read entry by entry, in key order, without a store and without a node: what each entry is, whether it
/// can be, and the sums that its totals must equal. For `fscluster verify` and `fscluster dump`. Nothing here traps on what is
/// wrong: that is for the caller to report.
package struct StateAudit {
  package enum Entry: Equatable {
    /// A row of a table that exists.
    case row(TableID)
    /// A row that a dropped table has left, and that is still to be removed.
    case leftover
    /// Kept by the history: an older version of a row, or a note of one. No row.
    case history
    /// What no writer writes.
    case wrong(String)
  }

  /// As far as its rows have come: they stand before those of all other tables.
  package private(set) var catalog = Catalog()
  package private(set) var stateHash: UInt64 = 0
  /// Rows of all tables, with those of the system and of dropped ones.
  package private(set) var rows: UInt64 = 0
  /// Older versions of rows.
  package private(set) var keptVersions: UInt64 = 0

  package init() {}

  package mutating func take(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> Entry {
    stateHash &+= entryHash(key: key, value: value)
    guard let kind = key.first else { return .wrong("an entry without a key") }
    if kind == StateKey.rowKind { return row(key, value) }
    if kind == HistoryKey.keptKind { keptVersions += 1 }
    return isHistory(kind, key, value) ? .history : .wrong("an entry of an unknown kind, or no writer's")
  }

  /// The sums must be those that stand with the applied position. What differs, in words.
  package func differences(from totals: ShardTotals) -> [String] {
    var found: [String] = []
    if rows != totals.rows { found.append("\(rows) rows, not \(totals.rows)") }
    if keptVersions != totals.history.records {
      found.append("\(keptVersions) older versions, not \(totals.history.records)")
    }
    if stateHash != totals.stateHash {
      found.append("state hash \(String(stateHash, radix: 16)), not \(String(totals.stateHash, radix: 16))")
    }
    return found
  }

  /// Appends the row as one JSON object. Only for what `take` called a row of this table.
  package func appendJSON(
    _ table: Table, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, to out: inout [UInt8]
  ) {
    table.appendJSON(
      key: key.rest(StateKey.rowPrefixBytes), row: StoredValue.row(value), columns: nil, to: &out)
  }

  // MARK: Rows

  private mutating func row(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Entry {
    rows += 1
    guard key.count >= StateKey.rowPrefixBytes, value.count >= StoredValue.headerBytes else {
      return .wrong("a row that is cut off")
    }
    let id = TableID(key.bigEndian(1, as: UInt32.self))
    guard let table = catalog.table(id) else {
      return catalog.dropped.contains(id) ? .leftover : .wrong("a row of a table that does not exist (\(id.rawValue))")
    }
    guard table.isValidKey(key.rest(StateKey.rowPrefixBytes)), RowView(StoredValue.row(value), table).isValid() else {
      return .wrong("a row that table \(table.name) cannot have")
    }
    if let wrong = learn(table, key, value) { return .wrong(wrong) }
    return .row(id)
  }

  /// What the system's tables say of the others. In words what they cannot say.
  private mutating func learn(
    _ table: Table, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer
  ) -> String? {
    switch table.id {
    case SystemTables.tables.id: return learnTable(table.values(row: StoredValue.row(value)))
    case SystemTables.dropped.id:
      guard case .int64(let id)? = table.values(key: key.rest(StateKey.rowPrefixBytes)).first,
        let number = UInt32(exactly: id)
      else { return "a dropped table without a number" }
      catalog.addDropped(TableID(number))
      return nil
    default: return nil
    }
  }

  private mutating func learnTable(_ row: [Value]) -> String? {
    guard row.count > 3, case .bytes(let definition) = row[3] else { return "a table without a definition" }
    do throws(DecodeError) {
      let table = Table(
        try decode(definition) { (reader) throws(DecodeError) in try TableDescription(from: &reader) })
      guard catalog.table(table.id) == nil, catalog.table(named: table.name) == nil, !table.id.isSystem else {
        return "a table of a name or number that another one has"
      }
      catalog.add(table)
      return nil
    } catch { return "the definition of a table: \(error.message)" }
  }

  // MARK: History

  private func isHistory(_ kind: UInt8, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) -> Bool {
    switch kind {
    case HistoryKey.keptKind: key.count == 11 && value.count >= StoredValue.headerBytes
    case HistoryKey.deletedKind: key.count >= 8 + StateKey.rowPrefixBytes && value.count == 2
    case HistoryKey.deletionKind:
      key.count == 11 && value.count >= StateKey.rowPrefixBytes && value[0] == StateKey.rowKind
    case HistoryKey.chunkKind: key.count == 9 && HistoryChunk(value) != nil
    default: false
    }
  }
}
