import Primitives
import Store

// The catalog from the tree, at start. What commands have changed step by step must equal what is read here.

func loadCatalog(_ shard: ShardID, _ store: Store) throws(PageMissing) -> Catalog {
  var catalog = Catalog()
  for table in SystemTables.all {
    try forEachRow(table, shard, store) { key, row in catalog.take(table, key, row) }
  }
  return catalog
}

/// Calls `body` with the values of every row's key and other columns.
private func forEachRow(
  _ table: Table, _ shard: ShardID, _ store: Store, _ body: ([Value], [Value]) -> Void
) throws(PageMissing) {
  let prefix = StateKey.rowPrefix(table.id)
  let cursor = try store.cursor(shard)
  var isOnRow = try prefix.withBytes { (prefix) throws(PageMissing) in try cursor.seek(atOrAfter: prefix) }
  while isOnRow {
    let key = Array(try cursor.key())
    guard key.starts(with: prefix) else { return }
    let values = table.values(row: StoredValue.row(try cursor.value()))
    body(key.withBytes { table.values(key: $0.rest(prefix.count)) }, values)
    isOnRow = try cursor.next()
  }
}

extension Catalog {
  /// Takes over one row of a system table.
  fileprivate mutating func take(_ table: Table, _ key: [Value], _ row: [Value]) {
    switch table.id {
    case SystemTables.tables.id:
      guard case .bytes(let definition) = row[3] else { break }
      return add(Table(described(definition)))
    case SystemTables.settings.id:
      guard case .text(let name) = key[0], case .json(let value) = row[0] else { break }
      return set(name, value)
    case SystemTables.dropped.id:
      guard case .int64(let id) = key[0] else { break }
      return addDropped(TableID(UInt32(id)))
    default:
      guard case .text(let kind) = key[0], case .text(let serial) = key[1] else { break }
      let isToken = kind.elementsEqual(Revocation.Kind.token.name.utf8)
      return add(Revocation(isToken ? .token : .certificate, String(decoding: serial, as: UTF8.self)))
    }
    preconditionFailure("system tables have the types that the program fixed")
  }

  private func described(_ definition: [UInt8]) -> TableDescription {
    do throws(DecodeError) {
      return try decode(definition) { (reader) throws(DecodeError) in try TableDescription(from: &reader) }
    } catch { preconditionFailure("a table's definition was encoded by us: \(error.message)") }
  }

  private mutating func set(_ name: [UInt8], _ value: [UInt8]) {
    guard name.elementsEqual(SystemTables.nextTableSetting.utf8) else { return }
    guard let id = UInt32(String(decoding: value, as: UTF8.self)) else {
      preconditionFailure("the next table's id is a number")
    }
    setNextTable(TableID(id))
  }
}
