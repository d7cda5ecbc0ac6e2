import Glibc
import Primitives
import Ring
import Store

/// The Store with all its pages in memory, driven as a lane drives it: each insert is a batch of its own.
final class StoreEngine: RowEngine {
  static let shard = ShardID(1)
  private let store: Store

  /// A leaf holds about 90 such rows after random splits; twice that, and what the store keeps in reserve.
  private static func frames(rows: Int) -> Int { rows / 45 + 8192 }

  /// The budget of memory for pages.
  static func memoryBytes(rows: Int) -> Int { frames(rows: rows) * (16 << 10) }

  init(rows: Int) throws(BenchError) {
    let frames = Self.frames(rows: rows)
    store = try Self.emptyStore(frames: frames, pages: frames + frames / 8)
  }

  /// A store in so many frames, for a file of at most so many pages, with one empty shard.
  static func emptyStore(frames: Int, pages: Int) throws(BenchError) -> Store {
    var limits = StoreLimits(framesMax: frames, pagesMax: UInt32(pages))
    let memory = ResidentMemory(byteCount: frames * Store.pageBytes)
    limits.memory = FrameMemory(allocate: { count, _ in memory.take(count) }, deallocate: { _, _ in })
    let identity = StoreIdentity(
      cluster: Array(repeating: 1, count: 16), node: NodeID(1), lane: LaneID(0), incarnation: Incarnation(1),
      directory: 1)
    let (first, second) = Store.format(identity: identity)
    let store: Store
    do {
      store = try first.withUnsafeBytes { one in
        try second.withUnsafeBytes { two in
          try Store(
            superblocks: one, two, fileBytes: UInt64(first.count + second.count), identity: identity, limits: limits)
        }
      }
    } catch { throw .failed("the store cannot be opened: \(error)") }
    try prepared { () throws(PrepareFailure) in try store.prepareShard(shard) }
    store.createShard(shard)
    store.endWrite()
    return store
  }

  private static func prepared(_ body: () throws(PrepareFailure) -> Void) throws(BenchError) {
    do throws(PrepareFailure) { try body() } catch { throw .failed("the store has no room: \(error)") }
  }

  /// Everything is in memory, so nothing misses.
  private func resident<R>(_ body: () throws(PageMissing) -> R) throws(BenchError) -> R {
    do throws(PageMissing) { return try body() } catch { throw .failed("a page is not in memory: \(error)") }
  }

  func insert(_ rows: Rows) throws(BenchError) { try insert(rows, 0..<rows.count) }

  func insert(_ rows: Rows, _ part: Range<Int>) throws(BenchError) {
    let value = UnsafeRawBufferPointer(rows.value)
    try Self.prepared { () throws(PrepareFailure) in
      for index in part {
        let key = rows.key(index)
        try store.prepareWrite(Self.shard, key, valueCount: value.count)
        store.put(Self.shard, key, value)
        store.endWrite()
      }
    }
  }

  func read(_ rows: Rows) throws(BenchError) -> UInt64 {
    var (sum, missing) = (UInt64(0), 0)
    try resident { () throws(PageMissing) in
      for index in 0..<rows.count {
        if let value = try store.get(Self.shard, rows.readKey(index)), let base = value.baseAddress {
          sum &+= touch(base, value.count)
        } else {
          missing += 1
        }
      }
    }
    guard missing == 0 else { throw .failed("the store lost \(missing) rows") }
    return sum
  }

  func scan() throws(BenchError) -> (rows: Int, sum: UInt64) {
    try resident { () throws(PageMissing) in
      var (rows, sum) = (0, UInt64(0))
      let cursor = try store.cursor(Self.shard)
      var isOnRow = try cursor.first()
      while isOnRow {
        let value = try cursor.row().value
        if let base = value.baseAddress { sum &+= touch(base, value.count) }
        rows += 1
        isOnRow = try cursor.next()
      }
      return (rows, sum)
    }
  }
}
