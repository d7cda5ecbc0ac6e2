import Node
import Primitives
import Raft
import Store

@testable import Tables

/// A shard with a few tables and rows, opened from an image that is made once, and what a node does around it.
final class Shard {
  static let id = Node.onlyShard

  let file: PageFile
  let store: Store
  var machine = ShardMachine(shard: Shard.id)
  private var version: UInt64

  init() {
    file = Shard.image.file
    version = Shard.image.version
    do {
      store = try file.open()
      machine = ShardMachine(shard: Shard.id, totals: Shard.image.totals)
      try file.reading(store) { () throws(PageMissing) in try machine.restore(store) }
    } catch { fatalError("the image opens: \(error)") }
  }

  private init(empty file: PageFile) {
    self.file = file
    version = 0
    do { store = try file.open() } catch { fatalError("the image opens: \(error)") }
  }

  func table(_ name: [UInt8]) -> Table? { name.withBytes { machine.catalog.table(named: $0) } }

  /// Applies one command; nil when the store has no room for it.
  @discardableResult
  func apply(_ command: [UInt8]) -> Tables.Reply? {
    version += 1
    return command.withBytes { raw in
      missingNothing { () throws(PageDamage) in
        try file.preparing(store) { () throws(PrepareFailure) in
          try machine.apply(raw, version: Timestamp(version), store: store)
        }
      }
    }
  }

  /// Answers one read.
  func read(_ request: [UInt8]) -> (outcome: ReadOutcome, json: [UInt8]) {
    var json: [UInt8] = []
    var progress = ReadProgress()
    let outcome = request.withBytes { raw in
      missingNothing { () throws(PageDamage) in
        try file.reading(store) { () throws(PageMissing) in
          try machine.read(raw, present: Timestamp(version), store: store, progress: &progress, into: &json)
        }
      }
    }
    return (outcome, json)
  }

  func value(_ stateKey: [UInt8]) -> [UInt8]? {
    missingNothing { () throws(PageDamage) in
      try file.reading(store) { () throws(PageMissing) in
        try stateKey.withBytes { key throws(PageMissing) in try store.get(Shard.id, key).map { Array($0) } }
      }
    }
  }

  private func missingNothing<T>(_ body: () throws(PageDamage) -> T) -> T {
    do throws(PageDamage) { return try body() } catch { fatalError("the image is good: \(error)") }
  }
}

// MARK: What must hold of every shard

extension Shard {
  /// The totals and the catalog in memory are what the tree says.
  func checkInvariants() {
    var totals = ShardTotals()
    let catalog = missingNothing { () throws(PageDamage) in
      try file.reading(store) { () throws(PageMissing) in
        totals = try countedTotals()
        let other = ShardMachine(shard: Shard.id)
        try other.restore(store)
        return other.catalog
      }
    }
    require(totals == machine.totals, "the totals are what the tree says")
    require(
      catalog.allTables.map(\Table.description) == machine.catalog.allTables.map(\Table.description)
        && catalog.dropped == machine.catalog.dropped && catalog.revoked == machine.catalog.revoked
        && catalog.nextTable == machine.catalog.nextTable, "the catalog is what the tree says")
  }

  private func countedTotals() throws(PageMissing) -> ShardTotals {
    var totals = ShardTotals()
    totals.history = machine.totals.history
    let cursor = try store.cursor(Shard.id)
    var isOn = try cursor.first()
    while isOn {
      let (key, value) = try cursor.row()
      if key[0] == StateKey.rowKind { totals.rows += 1 }
      totals.stateHash &+= entryHash(key: key, value: value)
      isOn = try cursor.next()
    }
    return totals
  }
}

// MARK: The image

extension Shard {
  private struct Image: Sendable {
    var file: PageFile
    var totals: ShardTotals
    var version: UInt64
  }

  /// Columns of every type; keys of every type that a key may have; and a plain one with rows for scans.
  private static let tables = [
    #"{"name":"all","columns":[{"name":"k","type":"text"},{"name":"n","type":"int64"},{"name":"t","type":"text"},"#
      + #"{"name":"b","type":"bool","nullable":true},{"name":"i","type":"int64","nullable":true,"default":7},"#
      + #"{"name":"f","type":"float64","nullable":true},{"name":"d","type":"decimal","nullable":true,"default":"1.5"},"#
      + #"{"name":"y","type":"bytes","nullable":true,"default":"AAEC"},{"name":"m","type":"timestamp","nullable":true},"#
      + #"{"name":"u","type":"uuid","nullable":true},{"name":"j","type":"json","nullable":true}],"#
      + #""primary_key":["k","n"]}"#,
    #"{"name":"keys","columns":[{"name":"d","type":"decimal"},{"name":"y","type":"bytes"},{"name":"b","type":"bool"},"#
      + #"{"name":"m","type":"timestamp"},{"name":"u","type":"uuid"},{"name":"v","type":"text","nullable":true}],"#
      + #""primary_key":["d","y","b","m","u"]}"#,
    #"{"name":"pairs","columns":[{"name":"k","type":"text"},{"name":"v","type":"int64"}],"primary_key":["k"]}"#,
  ]

  private static let image: Image = {
    let founders = Configuration(voters: [Member(node: NodeID(1), incarnation: PageFile.identity.incarnation)])
    let shard = Shard(empty: PageFile(formatLane(identity: PageFile.identity, founders: founders)))
    do {
      try shard.fill()
    } catch { fatalError("the tables of the image: \(error)") }
    var file = shard.file
    file.checkpoint(shard.store)
    return Image(file: file, totals: shard.machine.totals, version: shard.version)
  }()

  private func fill() throws(Refusal) {
    var writer = CommandWriter()
    for table in Shard.tables {
      writer.createTable(try TableDescription.parse(utf8(table)))
      apply(writer.bytes)
    }
    try writer.batch(operations: Shard.rows, catalog: machine.catalog)
    apply(writer.bytes)
  }

  private static let rows: String = {
    let pairs = (0..<20).map { #"{"op":"put","table":"pairs","key":"k\#($0)","row":{"v":\#($0)}}"# }
    return #"{"operations":["# + pairs.joined(separator: ",")
      + #",{"op":"put","table":"all","key":["a",1],"row":{"t":"one","j":{"x":[1,2]}}}"#
      + #",{"op":"put","table":"keys","key":["-1.5","AAD/",true,"2025-01-31T00:00:00Z","#
      + #""123e4567-e89b-12d3-a456-426614174000"],"row":{}}]}"#
  }()
}

extension CommandWriter {
  fileprivate mutating func batch(operations: String, catalog: Catalog) throws(Refusal) {
    try utf8(operations).withBytes { raw throws(Refusal) in try batch(json: raw, catalog: catalog) }
  }
}
