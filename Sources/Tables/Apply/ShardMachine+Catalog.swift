import Primitives
import Store

// Commands that change the system tables, and the catalog with them.

extension ShardMachine {
  func createTable(
    _ reader: inout ByteReader, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> Reply {
    guard var description = description(&reader), reader.isAtEnd, !description.name.hasPrefix("fs_"),
      description.schema == 1
    else { return .malformed }
    if catalog.table(named: description.name) != nil { return .tableExists }
    guard catalog.userTables.count + catalog.dropped.count < TableLimits.tablesMax else { return .tooManyTables }
    description.id = catalog.nextTable
    let table = Table(description)
    var json: [UInt8] = []
    description.appendJSON(to: &json)
    guard json.count <= TableLimits.descriptionJSONBytesMax else { return .malformed }
    try stagePut(
      SystemTables.tables, [.text(table.nameBytes)],
      [.int64(Int64(table.id.rawValue)), .int64(Int64(table.schema)), .json(json), .bytes(description.encoded())],
      version, store)
    try stagePut(
      SystemTables.settings, [.string(SystemTables.nextTableSetting)],
      [.json(Array(String(table.id.rawValue + 1).utf8))], version, store)
    staging.catalogChanges.append(.added(table))
    return .tableCreated(description)
  }

  private func description(_ reader: inout ByteReader) -> TableDescription? {
    do throws(DecodeError) { return try TableDescription(from: &reader) } catch { return nil }
  }

  func dropTable(
    _ reader: inout ByteReader, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> Reply {
    guard let number = number(&reader, as: UInt32.self), reader.isAtEnd else { return .malformed }
    guard let table = catalog.table(TableID(number)), !table.id.isSystem else { return .tableNotFound }
    try stageDelete(SystemTables.tables, [.text(table.nameBytes)], version, store)
    try stagePut(
      SystemTables.dropped, [.int64(Int64(number))], [.text(table.nameBytes)], version, store)
    staging.catalogChanges.append(.dropped(table))
    return .tableDropped(table.id)
  }

  /// Removes some rows of a dropped table; with the last ones, the note that it was dropped. Nobody can ask for the rows of
  /// a table that is gone, so none of them is kept.
  func purge(
    _ reader: inout ByteReader, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> Reply {
    guard let number = number(&reader, as: UInt32.self), let rowsMax = self.number(&reader, as: UInt16.self),
      rowsMax > 0, rowsMax <= TableLimits.purgeRowsMax, reader.isAtEnd
    else { return .malformed }
    let id = TableID(number)
    guard catalog.dropped.contains(id) else { return .purged(rows: 0, isFinished: true) }
    let victims: Victims
    do throws(PageMissing) { victims = try findVictims(id, Int(rowsMax), store) } catch { throw .missing(error) }
    for (key, hash) in victims.rows {
      try key.withBytes { (key) throws(PrepareFailure) in
        try staging.delete(key, old: hash, shard: shard, store: store)
      }
    }
    if victims.isAll {
      try stageDelete(SystemTables.dropped, [.int64(Int64(number))], version, store)
      staging.catalogChanges.append(.purged(id))
    }
    return .purged(rows: victims.rows.count, isFinished: victims.isAll)
  }

  private struct Victims {
    var rows: [(key: [UInt8], hash: UInt64)] = []
    var isAll = false
  }

  /// The first rows of a table: as many as are asked for, and not much more bytes than one row may have.
  private func findVictims(_ id: TableID, _ rowsMax: Int, _ store: Store) throws(PageMissing) -> Victims {
    let prefix = StateKey.rowPrefix(id)
    let cursor = try store.cursor(shard)
    var victims = Victims()
    var bytes = 0
    var isOnRow = try prefix.withBytes { (prefix) throws(PageMissing) in try cursor.seek(atOrAfter: prefix) }
    while isOnRow {
      let key = Array(try cursor.key())
      guard key.starts(with: prefix) else { break }
      if victims.rows.count == rowsMax || bytes > TableLimits.rowBytesMax { return victims }
      let value = try cursor.value()
      bytes += value.count
      victims.rows.append((key, key.withBytes { entryHash(key: $0, value: value) }))
      isOnRow = try cursor.next()
    }
    victims.isAll = true
    return victims
  }

  func revoke(
    _ reader: inout ByteReader, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> Reply {
    guard let (revocation, expires) = revocation(&reader), reader.isAtEnd else { return .malformed }
    try stagePut(
      SystemTables.revoked, [.string(revocation.kind.name), .string(revocation.serial)],
      [expires.map { .timestamp($0) } ?? .null], version, store)
    staging.catalogChanges.append(.revoked(revocation))
    return .revoked
  }

  private func revocation(_ reader: inout ByteReader) -> (Revocation, Moment?)? {
    do throws(DecodeError) {
      guard let kind = Revocation.Kind(rawValue: try reader.read()) else { return nil }
      let expires = Moment(microseconds: try reader.read())
      let serial = try reader.readText(limit: TableLimits.serialBytesMax)
      guard !serial.isEmpty else { return nil }
      if expires.microseconds == .min { return (Revocation(kind, serial), nil) }
      return expires.isPrintable ? (Revocation(kind, serial), expires) : nil
    } catch { return nil }
  }

  // MARK: System rows

  private func stagePut(
    _ table: Table, _ key: [Value], _ row: [Value], _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) {
    let stateKey = StateKey.rowPrefix(table.id) + table.key(key)
    try stateKey.withBytes { (stateKey) throws(PrepareFailure) in
      let found = try find(stateKey, store)
      let (previous, kept) = displace(found, version)
      let start = staging.beginValue(version, previous: previous)
      table.row(row).withBytes { staging.appendValue($0) }
      try staging.put(stateKey, valueStart: start, old: found?.hash, keeping: kept, shard: shard, store: store)
    }
  }

  private func stageDelete(
    _ table: Table, _ key: [Value], _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) {
    let stateKey = StateKey.rowPrefix(table.id) + table.key(key)
    try stateKey.withBytes { (stateKey) throws(PrepareFailure) in
      guard let found = try find(stateKey, store) else { preconditionFailure("the catalog is what the tree says") }
      try delete(stateKey, found, version, store)
    }
  }
}
