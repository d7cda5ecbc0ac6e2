import Primitives
import Store
import Tables

/// A store in memory with 100 000 rows under random keys of 16 bytes, values of 100 bytes. No checkpoint begins.
final class FilledStore {
  static let shard = ShardID(1)
  static let rows = 100_000
  let store = emptyStore(frames: 16_384)
  /// Keys one behind the other; those behind the first `rows` are not in the store.
  private let keys: [UInt64]
  private let value = [UInt8](repeating: 7, count: 100)

  init(extra: Int) {
    var random = SeededRandom(seed: 1)
    keys = (0..<2 * (FilledStore.rows + extra)).map { _ in random.next() }
    for number in 0..<FilledStore.rows { insert(number) }
  }

  func insert(_ number: Int) {
    withKey(number) { key in
      certainly("there is room") { () throws(PrepareFailure) in
        try store.prepareWrite(FilledStore.shard, key, valueCount: value.count)
      }
      value.withUnsafeBytes { store.put(FilledStore.shard, key, $0) }
    }
    store.endWrite()
  }

  func read(_ number: Int) {
    withKey(number) { key in
      let value = certainly("all is in memory") { () throws(PageMissing) in try store.get(FilledStore.shard, key) }
      expect(value?.count == 100, "the row is there")
    }
  }

  private func withKey(_ number: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
    keys.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[number * 16..<number * 16 + 16])) }
  }
}

/// A new row at a random place; splits are in it.
final class StoreInsertPath: HotPath {
  let units = 1
  private let filled = FilledStore(extra: 20_000)
  private var number = FilledStore.rows

  func operate(_ count: Meter) {
    count { filled.insert(number) }
    number += 1
  }
}

/// A row that is there, at a random place.
final class StoreReadPath: HotPath {
  let units = 1
  private let filled = FilledStore(extra: 0)
  private var number = 0

  func operate(_ count: Meter) {
    count { filled.read(number) }
    number = (number + 7919) % FilledStore.rows
  }
}

/// The next row in key order, its key and value looked at; leaves are crossed on the way.
final class StoreScanPath: HotPath {
  let units = 100
  private let filled = FilledStore(extra: 0)
  private let cursor: Cursor

  init() {
    let store = filled.store
    cursor = certainly("all is in memory") { () throws(PageMissing) in try store.cursor(FilledStore.shard) }
    certainly("all is in memory") { () throws(PageMissing) in _ = try cursor.first() }
  }

  func operate(_ count: Meter) {
    var bytes = 0
    count {
      for _ in 0..<units { bytes += step() }
    }
    expect(bytes == units * 116, "a row has a key of 16 bytes and a value of 100")
  }

  /// Bytes of the row.
  private func step() -> Int {
    certainly("all is in memory") { () throws(PageMissing) in
      let row = try cursor.row()
      expect(try cursor.next(), "fewer rows are walked than there are")
      return row.key.count + row.value.count
    }
  }
}

/// A store with one empty shard.
func emptyStore(frames: Int) -> Store {
  let identity = StoreIdentity(
    cluster: Array(1...16), node: NodeID(1), lane: LaneID(0), incarnation: Incarnation(1), directory: 1)
  let (first, second) = Store.format(identity: identity)
  let store = certainly("a fresh store opens") { () throws(StoreRefusal) in
    try first.withBytes { one throws(StoreRefusal) in
      try second.withBytes { two throws(StoreRefusal) in
        try Store(
          superblocks: one, two, fileBytes: UInt64(first.count + second.count), identity: identity,
          limits: StoreLimits(framesMax: frames, pagesMax: UInt32(4 * frames)))
      }
    }
  }
  certainly("a fresh store has room") { () throws(PrepareFailure) in try store.prepareShard(FilledStore.shard) }
  store.createShard(FilledStore.shard)
  store.endWrite()
  return store
}
