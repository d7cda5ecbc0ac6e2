import Primitives

@testable import Store

/// A page file with two checkpoints: small rows over several leaves, long values in overflow pages, an empty shard. With what
/// its shard holds at each checkpoint, and where each pointer stands.
struct StoreImage: Sendable {
  struct Row: Equatable, Sendable {
    var key: [UInt8]
    var value: [UInt8]
  }

  /// A pointer on page `holder` at `offset`; parents come before children.
  struct PointerPlace: Sendable {
    var holder: Int
    var offset: Int
  }

  static let shard = ShardID(1)
  static let shared = StoreImage()

  let file: PageFile
  /// By epoch of the checkpoint.
  let rows: [Epoch: [Row]]
  let pointers: [PointerPlace]

  private init() {
    do {
      var builder = try StoreBuilder()
      for number in 0..<200 { builder.put(number, count: 20 + number % 300) }
      builder.put(1000, count: 40_000)
      let older = builder.checkpoint()
      for number in 50..<90 { builder.delete(number) }
      builder.put(1001, count: 17_000)
      builder.put(3, count: 5000)
      let newer = builder.checkpoint()
      file = builder.file
      rows = [older.epoch: older.rows, newer.epoch: newer.rows]
      pointers = PointerFinder.all(in: builder.file)
    } catch { fatalError("the image is made: \(error)") }
  }
}

/// Makes the image, and remembers what is in it.
private struct StoreBuilder {
  private(set) var file = PageFile()
  private let store: Store
  private var model: [[UInt8]: [UInt8]] = [:]

  init() throws(StoreRefusal) {
    store = try file.open()
    for shard in [StoreImage.shard, ShardID(9)] {
      change { () throws(PrepareFailure) in try store.prepareShard(shard) }
      store.createShard(shard)
      store.setMetadata(shard, [UInt8](repeating: 7, count: 30))
    }
    store.endWrite()
  }

  private func change(_ prepare: () throws(PrepareFailure) -> Void) {
    do throws(PageDamage) { _ = try file.preparing(store, prepare) } catch { fatalError("the image is good: \(error)") }
  }

  private func key(_ number: Int) -> [UInt8] { utf8("key-\(10_000 + number)") }

  mutating func put(_ number: Int, count: Int) {
    let key = key(number)
    let value = (0..<count).map { UInt8(truncatingIfNeeded: $0 &+ number) }
    model[key] = value
    key.withBytes { key in
      value.withBytes { value in
        change { () throws(PrepareFailure) in
          try store.prepareWrite(StoreImage.shard, key, valueCount: value.count)
        }
        store.put(StoreImage.shard, key, value)
      }
    }
    store.endWrite()
  }

  mutating func delete(_ number: Int) {
    let key = key(number)
    model[key] = nil
    key.withBytes { key in
      change { () throws(PrepareFailure) in try store.prepareDelete(StoreImage.shard, key) }
      store.delete(StoreImage.shard, key)
    }
    store.endWrite()
  }

  mutating func checkpoint() -> (epoch: Epoch, rows: [StoreImage.Row]) {
    file.checkpoint(store)
    let rows = model.sorted { $0.key.lexicographicallyPrecedes($1.key) }
    return (store.durableEpoch, rows.map { StoreImage.Row(key: $0.key, value: $0.value) })
  }
}

/// Walks over a page file that is known to be good and collects where its pointers stand.
private struct PointerFinder {
  private let file: PageFile
  private var found: [StoreImage.PointerPlace] = []

  static func all(in file: PageFile) -> [StoreImage.PointerPlace] {
    var finder = PointerFinder(file: file)
    for slot in 0..<2 { finder.superblock(slot) }
    return finder.found
  }

  private init(file: PageFile) { self.file = file }

  private mutating func superblock(_ slot: Int) {
    let height = Int(number(slot, 68))
    if height > 0 { tree(holder: slot, at: 72, level: height - 1) { $0.directoryRecord($1, $2) } }
    for index in 0..<Int(file.pages[slot][46]) {
      found.append(.init(holder: slot, offset: Superblock.pointersOffset + 16 * index))
    }
  }

  /// The subtree under the pointer at `offset`; `record` looks into the value of each leaf's record.
  private mutating func tree(
    holder: Int, at offset: Int, level: Int, record: (inout PointerFinder, _ page: Int, _ value: Int) -> Void
  ) {
    found.append(.init(holder: holder, offset: offset))
    let page = Int(number(holder, offset))
    for place in records(page) {
      let value = place + 4 + Int(number(page, place) & 0xFFFF)
      if level > 0 {
        tree(holder: page, at: value, level: level - 1, record: record)
      } else {
        record(&self, page, value)
      }
    }
  }

  /// Where the records of a tree page are.
  private func records(_ page: Int) -> [Int] {
    (0..<Int(number(page, 16) & 0xFFFF)).map { Int(number(page, Page.headerCount + 8 * $0) & 0xFFFF) }
  }

  private mutating func directoryRecord(_ page: Int, _ value: Int) {
    let height = Int(number(page, value + 16))
    if height > 0 { tree(holder: page, at: value, level: height - 1) { $0.row($1, $2) } }
  }

  /// A row whose value lies elsewhere lists the pages that hold it.
  private mutating func row(_ page: Int, _ value: Int) {
    let place = records(page).first { $0 + 4 + Int(number(page, $0) & 0xFFFF) == value } ?? 0
    guard number(page, place + 2) & 0x8000 != 0 else { return }
    for index in 0..<OverflowList.pageCount(Int(number(page, value))) {
      found.append(.init(holder: page, offset: value + 4 + 16 * index))
    }
  }

  private func number(_ page: Int, _ offset: Int) -> UInt32 {
    file.pages[page].withUnsafeBytes { UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
  }
}
