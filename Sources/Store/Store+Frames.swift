// Frames: the memory of pages. A flat table leads from a page id to its frame; frames come from arenas and go back to a
// free list. Who may be evicted, and who evicts, is decided here.

/// What the store knows of one page id, in memory or not.
struct PageEntry {
  enum State: UInt8 {
    /// Not in memory.
    case absent
    /// In memory as it is on disk. May be evicted.
    case clean
    /// Born in the current epoch. Changed in place.
    case dirty
    /// Of a checkpoint, its write not completed. Changed only by being sealed, right before it is written.
    case frozen
    /// Frozen, and no tree wants it any more: its frame goes when it is written.
    case frozenOrphan
  }

  var frame: UnsafeMutableRawPointer?
  /// The epoch in which this process last gave out the page id. A page that comes in and is older is stale; a page of
  /// the current epoch stands in the list of dirty pages.
  var birth = Epoch(0)
  /// Pinned while this is the store's round.
  var pinRound: UInt64 = 0
  /// Of the page that was born in `birth`, once it was sealed.
  var checksum: UInt32 = 0
  /// Deletes prepared in this round on this page.
  var preparedDeletes: UInt16 = 0
  var state = State.absent
  /// Accessed since the hand came by. With it an entry has 32 bytes.
  var isReferenced = false
}

/// Where the memory of frames comes from. The edge may hand in chunks of huge pages, bound to a NUMA node.
package struct FrameMemory: Sendable {
  /// Any bytes, aligned to `alignment`.
  package var allocate: @Sendable (_ byteCount: Int, _ alignment: Int) -> UnsafeMutableRawPointer
  package var deallocate: @Sendable (_ chunk: UnsafeMutableRawPointer, _ byteCount: Int) -> Void
  /// Of some pages of the system, spread over all chunks, how many are near the processor that asks, and how many were looked at.
  package var nearness: @Sendable () -> (near: Int, resident: Int)

  package init(
    allocate: @escaping @Sendable (_ byteCount: Int, _ alignment: Int) -> UnsafeMutableRawPointer,
    deallocate: @escaping @Sendable (_ chunk: UnsafeMutableRawPointer, _ byteCount: Int) -> Void,
    nearness: @escaping @Sendable () -> (near: Int, resident: Int) = { (0, 0) }
  ) {
    self.allocate = allocate
    self.deallocate = deallocate
    self.nearness = nearness
  }

  /// The allocator of the language.
  package static let plain = FrameMemory(
    allocate: { .allocate(byteCount: $0, alignment: $1) }, deallocate: { chunk, _ in chunk.deallocate() })
}

/// Frames of 16 KiB, in chunks of 2 MiB that are aligned to 2 MiB. Free frames are a list that runs through them.
package struct FrameArenas {
  private let memory: FrameMemory
  private var chunks: [(start: UnsafeMutableRawPointer, byteCount: Int)] = []
  private var free: UnsafeMutableRawPointer?
  private(set) var freeCount = 0
  private(set) var allocatedCount = 0
  let framesMax: Int

  static let chunkFrames = 128

  package init(_ limits: StoreLimits) {
    framesMax = limits.framesMax
    memory = limits.memory
    while allocatedCount < min(limits.framesAtStart, framesMax) { grow() }
  }

  /// A frame with any bytes in it, or nil when all are in use.
  package mutating func take() -> UnsafeMutableRawPointer? {
    if free == nil { grow() }
    guard let frame = free else { return nil }
    free = frame.load(as: UnsafeMutableRawPointer?.self)
    freeCount -= 1
    return frame
  }

  package mutating func give(_ frame: UnsafeMutableRawPointer) {
    frame.storeBytes(of: free, as: UnsafeMutableRawPointer?.self)
    free = frame
    freeCount += 1
  }

  private mutating func grow() {
    let count = min(FrameArenas.chunkFrames, framesMax - allocatedCount)
    guard count > 0 else { return }
    let size = count * Page.byteCount
    let chunk = memory.allocate(size, FrameArenas.chunkFrames * Page.byteCount)
    chunks.append((chunk, size))
    for index in (0..<count).reversed() { give(chunk + index * Page.byteCount) }
    allocatedCount += count
  }

  func deallocate() {
    for chunk in chunks { memory.deallocate(chunk.start, chunk.byteCount) }
  }
}

extension Store {
  static func tableCapacity(for pageCount: UInt32) -> Int { max(1024, Int(pageCount).roundedUpToPowerOfTwo) }

  /// Entries that the page table has for a file of so many pages.
  package static func tablePages(for pages: UInt64) -> Int { max(1024, Int(pages).roundedUpToPowerOfTwo) }

  /// Entries that the page table has now.
  package var tablePages: Int { tableCount }

  /// Makes the table and the bitmaps reach page `last`.
  func growTable(through last: Int) {
    guard last >= tableCount else { return }
    let grown = (last + 1).roundedUpToPowerOfTwo
    let new = UnsafeMutablePointer<PageEntry>.allocate(capacity: grown)
    new.moveInitialize(from: table, count: tableCount)
    (new + tableCount).initialize(repeating: PageEntry(), count: grown - tableCount)
    table.deallocate()
    table = new
    tableCount = grown
    space.pointee.reserve(grown)
  }

  @inline(__always) func entry(_ page: PageID) -> UnsafeMutablePointer<PageEntry> { table + Int(page.rawValue) }

  /// A frame, if need be that of a clean page.
  func takeFrame() -> UnsafeMutableRawPointer {
    if let frame = frames.pointee.take() { return frame }
    reclaimFrame()
    guard let frame = frames.pointee.take() else { preconditionFailure("a reclaimed frame is free") }
    return frame
  }

  /// Pages that the hand lets stay in one search. Then it takes the next one although it was accessed: a search must not
  /// go round all of a large table while everybody waits.
  static let chancesMax = 256

  /// Evicts the next clean, unpinned page that the hand finds on its way round the table (the clock of Corbató, 1968). A
  /// page that was accessed since the hand last came by gets a second chance: it stays, and has to be accessed again
  /// before the hand is back.
  private func reclaimFrame() {
    let end = Int(space.pointee.pageCount)
    var chances = Store.chancesMax
    for _ in 0..<2 * max(end, 1) {
      sweepHand = sweepHand + 1 < end ? sweepHand + 1 : 2
      guard sweepHand < end, mayEvict(table + sweepHand) else { continue }
      guard table[sweepHand].isReferenced, chances > 0 else { return dropFrame(table + sweepHand) }
      table[sweepHand].isReferenced = false
      chances -= 1
    }
    preconditionFailure("dirty, frozen and pinned pages leave a frame free")
  }

  private func mayEvict(_ entry: UnsafeMutablePointer<PageEntry>) -> Bool {
    entry.pointee.state == .clean && entry.pointee.pinRound != round
  }

  /// Drops a clean, unpinned page from memory. False if it is not in memory or must stay.
  @discardableResult
  package func evict(_ page: PageID) -> Bool {
    guard Int(page.rawValue) < tableCount else { return false }
    let entry = entry(page)
    guard mayEvict(entry) else { return false }
    dropFrame(entry)
    return true
  }

  /// Drops all pages that may be dropped. For tests and for giving memory back.
  package func evictAll() {
    for page in 2..<UInt32(space.pointee.pageCount) { evict(PageID(page)) }
  }

  func dropFrame(_ entry: UnsafeMutablePointer<PageEntry>) {
    guard let frame = entry.pointee.frame else { preconditionFailure("a page in memory has a frame") }
    forgetWalk()
    frames.pointee.give(frame)
    entry.pointee.frame = nil
    entry.pointee.state = .absent
    residentCount -= 1
  }
}

extension Int {
  var roundedUpToPowerOfTwo: Int { self <= 1 ? 1 : 1 << (Int.bitWidth - (self - 1).leadingZeroBitCount) }
}
