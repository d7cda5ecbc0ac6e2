import Primitives
import Store
import Testing

// A store over a file in memory, and what a node does for it: loads pages, performs checkpoints.

/// The one shard of the tests.
let shardID = ShardID(1)

/// A store whose pages can be made to miss: `cool` writes them out and opens the store anew, with nothing in memory.
final class TestStore {
  private(set) var store: Store
  private var file: [UInt8]
  private(set) var loads = 0

  private static let identity = StoreIdentity(
    cluster: Array(1...16), node: NodeID(1), lane: LaneID(0), incarnation: Incarnation(1), directory: 1)

  init() {
    let (first, second) = Store.format(identity: TestStore.identity)
    file = first + second
    store = TestStore.open(file)
    run { (store) throws(PrepareFailure) in try store.prepareShard(shardID) }
    store.createShard(shardID)
    store.endWrite()
  }

  private static func open(_ file: [UInt8]) -> Store {
    var limits = StoreLimits(framesMax: 8192, pagesMax: 100_000)
    limits.growPages = 16
    return file.withUnsafeBytes { file in
      let first = UnsafeRawBufferPointer(rebasing: file[0..<16_384])
      let second = UnsafeRawBufferPointer(rebasing: file[16_384..<32_768])
      do throws(StoreRefusal) {
        return try Store(
          superblocks: first, second, fileBytes: UInt64(file.count), identity: identity, limits: limits)
      } catch { preconditionFailure("the store opens: \(error)") }
    }
  }

  func load(_ missing: PageMissing) {
    loads += 1
    let order = store.loadOrder(for: missing)
    file.withUnsafeBytes { file in
      let start = Int(order.fileOffset)
      do throws(PageDamage) {
        try store.pageLoaded(order, UnsafeRawBufferPointer(rebasing: file[start..<start + order.count]))
      } catch { preconditionFailure("a page is good: \(error)") }
    }
  }

  /// Runs `body`, which prepares or applies, until nothing is missing.
  func run<T>(_ body: (Store) throws(PrepareFailure) -> T) -> T {
    while true {
      do throws(PrepareFailure) { return try body(store) } catch {
        guard case .missing(let page) = error else { preconditionFailure("the store has room") }
        load(page)
      }
    }
  }

  /// Runs `body`, which reads, until nothing is missing.
  func read<T>(_ body: (Store) throws(PageMissing) -> T) -> T {
    while true {
      do throws(PageMissing) { return try body(store) } catch { load(error) }
    }
  }

  /// Makes everything durable and forgets every page.
  func cool() {
    var waiting: [CheckpointEffect] = []
    store.beginCheckpoint(into: &waiting)
    while !waiting.isEmpty {
      if let event = perform(waiting.removeFirst()) { store.step(event, into: &waiting) }
    }
    store = TestStore.open(file)
  }

  private func perform(_ effect: CheckpointEffect) -> CheckpointEvent? {
    switch effect {
    case .grow(let count):
      file += [UInt8](repeating: 0, count: Int(count) - file.count)
      return .grown
    case .writePage(let page, let offset):
      write(page, offset)
      return .written(page)
    case .sync: return .synced
    case .awaitLog: return .logDurable
    case .writeSuperblock(let page, let offset):
      write(page, offset)
      return .superblockWritten
    case .finished: return nil
    case .shrink, .awaitRoom, .failed: preconditionFailure("a checkpoint in memory does not fail")
    }
  }

  private func write(_ page: PageID, _ offset: UInt64) {
    let bytes = store.bytes(of: page)
    file.replaceSubrange(Int(offset)..<Int(offset) + bytes.count, with: bytes)
  }
}
