import Primitives

@testable import Store

/// A page file in memory. Pages are shared with the file that it was copied from until they are written.
struct PageFile: PageSource {
  var pages: [[UInt8]]
  let identity: StoreIdentity

  static let identity = StoreIdentity(
    cluster: Array(1...16), node: NodeID(1), lane: LaneID(0), incarnation: Incarnation(17), directory: 1000)

  init(_ image: [UInt8], identity: StoreIdentity = PageFile.identity) {
    pages = stride(from: 0, to: image.count, by: Page.byteCount).map { Array(image[$0..<$0 + Page.byteCount]) }
    self.identity = identity
  }

  /// An empty one.
  init() {
    let (first, second) = Store.format(identity: PageFile.identity)
    self.init(first + second)
  }

  var byteCount: UInt64 { UInt64(pages.count * Page.byteCount) }

  mutating func read(_ page: PageID, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
    guard Int(page.rawValue) < pages.count else { return false }
    buffer.copyBytes(from: pages[Int(page.rawValue)])
    return true
  }

  // MARK: Stores

  func open(framesMax: Int = 2048) throws(StoreRefusal) -> Store {
    var limits = StoreLimits(framesMax: framesMax, pagesMax: 20_000)
    limits.growPages = 4
    limits.memory = FramePool.memory
    return try pages[0].withBytes { first throws(StoreRefusal) in
      try pages[1].withBytes { second throws(StoreRefusal) in
        try Store(superblocks: first, second, fileBytes: byteCount, identity: identity, limits: limits)
      }
    }
  }

  /// Answers a miss of `store`.
  func load(_ missing: PageMissing, into store: Store) throws(PageDamage) {
    let order = store.loadOrder(for: missing)
    guard Int(order.page.rawValue) < pages.count else { throw PageDamage(page: order.page, reason: .notAPage) }
    try pages[Int(order.page.rawValue)].withBytes { raw throws(PageDamage) in try store.pageLoaded(order, raw) }
  }

  /// Runs `body` until it misses nothing.
  func reading<T>(_ store: Store, _ body: () throws(PageMissing) -> T) throws(PageDamage) -> T {
    while true {
      do throws(PageMissing) { return try body() } catch { try load(error, into: store) }
    }
  }

  /// The same for what prepares a change. Nil: the store has no room.
  func preparing<T>(_ store: Store, _ body: () throws(PrepareFailure) -> T) throws(PageDamage) -> T? {
    while true {
      do throws(PrepareFailure) { return try body() } catch {
        guard case .missing(let missing) = error else { return nil }
        try load(missing, into: store)
      }
    }
  }

  /// One checkpoint of `store`, from its beginning to its end.
  mutating func checkpoint(_ store: Store) {
    var orders: [CheckpointEffect] = []
    store.beginCheckpoint(into: &orders)
    while !orders.isEmpty {
      if let event = perform(orders.removeFirst(), bytes: { store.bytes(of: $0) }) { store.step(event, into: &orders) }
    }
  }

  /// Performs an order of a checkpoint; returns what to report.
  mutating func perform(
    _ order: CheckpointEffect, bytes: (PageID) -> UnsafeRawBufferPointer
  ) -> CheckpointEvent? {
    switch order {
    case .grow(let count):
      while byteCount < count { pages.append([UInt8](repeating: 0, count: Page.byteCount)) }
      return .grown
    case .writePage(let page, _):
      pages[Int(page.rawValue)] = Array(bytes(page))
      return .written(page)
    case .shrink(let count):
      pages.removeLast(Int(byteCount - count) / Page.byteCount)
      return .shrunk
    case .sync: return .synced
    case .awaitLog: return .logDurable
    case .writeSuperblock(let page, _):
      pages[Int(page.rawValue)] = Array(bytes(page))
      return .superblockWritten
    case .finished: return nil
    case .awaitRoom: fatalError("memory has room for a checkpoint")
    case .failed(let fault): fatalError("a checkpoint in memory failed: \(fault)")
    }
  }
}

/// Chunks of frames that every run's store uses again: to get 2 MiB anew for each run would cost more than the run.
enum FramePool {
  nonisolated(unsafe) private static var free: [UnsafeMutableRawPointer] = []
  private static let chunkBytes = FrameArenas.chunkFrames * Page.byteCount

  static let memory = FrameMemory(
    allocate: { count, alignment in
      if count == chunkBytes, let chunk = free.popLast() { return chunk }
      return .allocate(byteCount: count, alignment: alignment)
    },
    deallocate: { chunk, count in
      if count == chunkBytes { free.append(chunk) } else { chunk.deallocate() }
    })
}
