import Primitives
import Store
import Testing

@testable import Tables

/// A shard over a store, with what a node does around both: loads missing pages and runs again, numbers the versions.
struct Shard {
  let machine = ShardMachine(shard: shardID)
  let disk = TestStore()
  var version: UInt64 = 0
  /// So many of a hundred commands find no page in memory.
  var coolPercent: UInt64
  var random: SeededRandom

  init(coolPercent: UInt64 = 0, seed: UInt64 = 1) {
    self.coolPercent = coolPercent
    random = SeededRandom(seed: seed)
  }

  mutating func apply(_ command: [UInt8]) -> Reply {
    version += 1
    if random.chance(coolPercent, outOf: 100) { disk.cool() }
    return command.withBytes { raw in
      disk.run { (store) throws(PrepareFailure) in
        try machine.apply(raw, version: Timestamp(version), store: store)
      }
    }
  }

  mutating func apply(_ body: (inout CommandWriter) throws(Refusal) -> Void) throws -> Reply {
    var writer = CommandWriter()
    try body(&writer)
    return apply(writer.bytes)
  }

  mutating func create(_ json: String) throws -> Table {
    let description = try TableDescription.parse(bytes(json))
    _ = try apply { (writer) throws(Refusal) in writer.createTable(description) }
    return try #require(machine.catalog.table(named: description.name))
  }

  mutating func put(_ table: Table, _ path: String, _ json: String, _ condition: Condition = .none) throws -> Reply {
    try apply { (writer) throws(Refusal) in
      try bytes(path).withBytes { (path) throws(Refusal) in
        try bytes(json).withBytes { (json) throws(Refusal) in
          try writer.put(table, path: path, json: json, condition: condition)
        }
      }
    }
  }

  mutating func patch(_ table: Table, _ path: String, _ json: String, _ condition: Condition = .none) throws -> Reply {
    try apply { (writer) throws(Refusal) in
      try bytes(path).withBytes { (path) throws(Refusal) in
        try bytes(json).withBytes { (json) throws(Refusal) in
          try writer.patch(table, path: path, json: json, condition: condition)
        }
      }
    }
  }

  mutating func delete(_ table: Table, _ path: String, _ condition: Condition = .none) throws -> Reply {
    try apply { (writer) throws(Refusal) in
      try bytes(path).withBytes { (path) throws(Refusal) in
        try writer.delete(table, path: path, condition: condition)
      }
    }
  }

  mutating func batch(_ json: String) throws -> Reply {
    let catalog = machine.catalog
    return try apply { (writer) throws(Refusal) in
      try bytes(json).withBytes { (json) throws(Refusal) in try writer.batch(json: json, catalog: catalog) }
    }
  }

  /// Lets time pass. False: more is due to be dropped.
  mutating func advance(_ elapsed: UInt32, retention: UInt32) -> Bool {
    var writer = CommandWriter()
    writer.advance(elapsed: elapsed, retention: retention)
    let reply = apply(writer.bytes)
    guard case .advanced(let isFinished) = reply else {
      Issue.record("an advance is answered as one: \(reply)")
      return true
    }
    return isFinished
  }

  mutating func read(_ request: [UInt8]) -> (outcome: ReadOutcome, json: String) {
    var out = bytes("before")
    var progress = ReadProgress()
    if random.chance(coolPercent, outOf: 100) { disk.cool() }
    let outcome = request.withBytes { raw in
      disk.read { (store) throws(PageMissing) in
        try machine.read(raw, present: Timestamp(version), store: store, progress: &progress, into: &out)
      }
    }
    #expect(out.starts(with: bytes("before")))
    return (outcome, text(Array(out.dropFirst(6))))
  }

  mutating func get(
    _ table: Table, _ path: String, columns: String? = nil, at snapshot: UInt64? = nil
  ) throws -> (outcome: ReadOutcome, json: String) {
    var writer = ReadWriter()
    writer.snapshot = snapshot.map { Timestamp($0) }
    try bytes(path).withBytes { (path) throws(Refusal) in
      if let columns {
        try bytes(columns).withBytes { (columns) throws(Refusal) in
          try writer.get(table, path: path, columns: columns)
        }
      } else {
        try writer.get(table, path: path)
      }
    }
    return read(writer.bytes)
  }

  mutating func scan(
    _ table: Table, _ query: [String: String], asLines: Bool = false, at snapshot: UInt64? = nil
  ) throws -> (outcome: ReadOutcome, json: String) {
    read(try scanRequest(table, query, asLines: asLines, at: snapshot))
  }

  mutating func lookup(_ json: String, at snapshot: UInt64? = nil) throws -> (outcome: ReadOutcome, json: String) {
    var writer = ReadWriter()
    writer.snapshot = snapshot.map { Timestamp($0) }
    let catalog = machine.catalog
    try bytes(json).withBytes { (json) throws(Refusal) in try writer.lookup(json: json, catalog: catalog) }
    return read(writer.bytes)
  }

  /// Every key and value of the tree.
  func entries() -> [(key: [UInt8], value: [UInt8])] {
    disk.read { (store) throws(PageMissing) in
      var result: [(key: [UInt8], value: [UInt8])] = []
      let cursor = try store.cursor(shardID)
      var isOn = try cursor.first()
      while isOn {
        result.append((Array(try cursor.key()), Array(try cursor.value())))
        isOn = try cursor.next()
      }
      return result
    }
  }

  /// The invariants of `ShardMachine`: totals and catalog are what the tree says.
  func checkInvariants() {
    var totals = ShardTotals()
    totals.history = machine.totals.history
    (totals.history.records, totals.history.bytes) = (0, 0)
    for (key, value) in entries() {
      if key[0] == StateKey.rowKind { totals.rows += 1 }
      if key[0] == HistoryKey.keptKind {
        totals.history.records += 1
        totals.history.bytes += UInt64(key.count + value.count)
      }
      totals.stateHash &+= key.withBytes { key in value.withBytes { entryHash(key: key, value: $0) } }
    }
    #expect(totals == machine.totals)
    let restored = restoredCatalog()
    #expect(restored.allTables.map(\.description) == machine.catalog.allTables.map(\.description))
    #expect(restored.dropped == machine.catalog.dropped)
    #expect(restored.revoked == machine.catalog.revoked)
    #expect(restored.nextTable == machine.catalog.nextTable)
  }

  func restoredCatalog() -> Catalog {
    let other = ShardMachine(shard: shardID, totals: machine.totals)
    disk.read { (store) throws(PageMissing) in try other.restore(store) }
    return other.catalog
  }
}

func scanRequest(
  _ table: Table, _ query: [String: String], asLines: Bool = false, at snapshot: UInt64? = nil
) throws(Refusal) -> [UInt8] {
  var writer = ReadWriter()
  writer.snapshot = snapshot.map { Timestamp($0) }
  var parameters = ScanParameters()
  parameters.asLines = asLines
  var kept: [UnsafeMutableRawBufferPointer] = []
  defer { for buffer in kept { buffer.deallocate() } }
  func raw(_ name: String) -> UnsafeRawBufferPointer? {
    guard let value = query[name] else { return nil }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: value.utf8.count, alignment: 1)
    buffer.copyBytes(from: value.utf8)
    kept.append(buffer)
    return UnsafeRawBufferPointer(buffer)
  }
  parameters.start = raw("start")
  parameters.end = raw("end")
  parameters.prefix = raw("prefix")
  parameters.limit = raw("limit")
  parameters.order = raw("order")
  parameters.columns = raw("columns")
  parameters.cursor = raw("cursor")
  try writer.scan(table, parameters)
  return writer.bytes
}
