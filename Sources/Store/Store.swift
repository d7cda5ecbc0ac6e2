import Primitives

/// One page file of a lane: a copy-on-write B+tree for each shard, checkpoints, two superblocks.
///
/// **What it is.** Sorted maps from bytes to bytes, one a shard, in one file of 16 KiB pages. The store performs no I/O: it
/// throws `PageMissing` when it wants a page and says in a checkpoint's effects what to write. It knows neither logs nor
/// tables. What makes a change durable before the next checkpoint is the log in front of it.
///
/// **The tree.** `Page` holds a page's layout. Leaves hold records, long values lie in overflow pages to which the leaf
/// points. A child pointer is (page id, birth epoch, CRC-32C), so a parent vouches for its children and the superblock,
/// at the end, for all. A directory, itself such a tree, holds for each shard its root and a few bytes of metadata of
/// the node's (applied position, configuration).
///
///     superblock ──► directory tree ──► shard 1: root, rows, metadata ──► inner ──► leaf ──► overflow
///           └──────► bitmap pages   └─► shard 2 …
///
/// **Copy on write.** The first change of a page after a freeze gives it a new page id, and so all its parents up to the
/// root; later changes are made in place until the next freeze. A page that was never written since is *dirty*; at the
/// freeze it becomes *frozen*; when its write has completed it is *clean*. Clean pages may be evicted at any time. When a
/// clean page is changed its frame is relabelled and not copied: the old bytes are on disk, and nobody in memory wants
/// them.
///
/// **Space.** A page that checkpoint n holds and n + 1 does not may be written again after n + 2 is durable: until then
/// one of the two superblocks could still lead to it. Which pages belong to a checkpoint stands in its bitmap; the
/// difference of the two superblocks' bitmaps tells after a restart what the older one still needs.
///
/// **Two passes.** Pass one (`prepareWrite`, `prepareDelete`, `prepareRead`, `prepareShard`) finds the pages that an
/// operation will touch, pins them and reserves frames and page ids. It may throw and be run again; pins are kept, so a
/// long batch gets ahead. Pass two (`put`, `delete`, `setMetadata`, …) cannot fail. `endWrite` unpins. Operations of one
/// batch may split and merge under each other: all that an operation can meet is then pinned or dirty, and dirty pages
/// stay in memory. So a leaf that becomes empty is cut off by `endWrite` only: the range of its keys goes to a neighbour that
/// nobody has pinned. Merging is a favour, never a duty: it happens when a neighbour is in memory.
///
/// **Ranges.** `deleteRange` cuts the tree at both ends and closes it over what lay between: work that follows from its height. What
/// was taken out is put on a stack of discarded trees, which `reclaim` frees page by page when there is time.
///
/// **Checkpoint.** `beginCheckpoint` freezes: it lists the dirty pages, children before parents, and starts the next epoch.
/// Then they are written while writers go on with copies; each is *sealed* when its write is ordered, that is, its
/// pointers get the checksums of its children, and its own checksum goes into the table. So the work is spread over as
/// many turns as the writes are, and these over as much time as `allowWrites` gives them. Then the file is synced, then the log must be durable, then one superblock.
///
/// A writer may copy a parent before its children are sealed: the copy's pointers have no checksums. So a pointer without
/// one is looked up in the table (`sealed`), when the copy is sealed itself, in a later checkpoint, and when the child
/// was evicted and is to be loaded. The table never forgets: the page id is not given out again while it is live.
///
/// **Invariants** (`checkInvariants`, `verifyStore`)
/// - Nothing is served from bytes that were not verified against the pointer that led to them.
/// - A frozen page is sealed after its children and before it is written; a page that is not sealed is in memory.
/// - A page whose birth is the current epoch is dirty and in memory; no other page is ever changed.
/// - A page is live (in the newest trees), or owed to a superblock, or free; exactly one of these.
/// - Dirty + frozen + pinned pages + reservations never exceed the frames.
///
/// **What it does not do.** The freeze itself goes over all dirty pages at once, to list them. Eviction does not tell a scan
/// from other readers. Reservations are for the worst case: a put reserves a split of every level, so a batch of 1000 wants
/// some 6000 frames of budget. A live page that nobody changes keeps the file as long as its place is high. A dropped shard must
/// be empty. How many rows a range holds is told by who deletes it. Keys are stored whole (the shared
/// prefix only speeds up the search). Versions and encryption are not here. A page is checked when it comes in, each by
/// itself; pages that are sound and wired wrongly under right checksums (two parents of one child) are found by
/// `verifyStore` and may trap here.
package final class Store {
  /// What every operation touches: Store+State.swift.
  let state: UnsafeMutablePointer<StoreState>
  let frames: UnsafeMutablePointer<FrameArenas>
  let space: UnsafeMutablePointer<Space>
  /// Pages that were taken in this epoch, each once. Some may have been freed since.
  var dirtyList: [UInt32] = []
  /// Those of them that were inner pages when they were taken.
  var dirtyInner: [UInt32] = []
  /// Leaves that this batch has left empty: Tree+Delete.swift.
  var emptied: [EmptiedLeaf] = []
  /// How many trees wait to be freed, nil before the directory was asked: Store+Discarded.swift.
  var discardedCount: UInt32?
  var missRandom: SeededRandom
  /// When pages were loaded, counted in accesses. Only for misses on purpose.
  var loadedAt: [PageID: UInt32] = [:]

  // Trees: Store+Directory.swift
  let directory: UnsafeMutablePointer<Tree>
  var shardStates: [UnsafeMutablePointer<ShardState>] = []
  let path: UnsafeMutablePointer<PathStep>
  /// Key of the last walk: Tree+Walk.swift.
  let walkedKey: UnsafeMutableRawPointer
  let scratchPage: UnsafeMutableRawPointer
  let separators: UnsafeMutableRawPointer
  let overflowScratch: UnsafeMutableRawPointer
  /// The stored bytes of a record on its way to another key.
  let keptScratch: UnsafeMutableRawPointer
  var valueScratch: UnsafeMutableRawBufferPointer
  /// Further pages of the value whose first missing page was thrown.
  var missesAhead: [PageMissing] = []

  // Space, epochs, checkpoints: Store+Space.swift, Checkpoint.swift
  package let limits: StoreLimits
  package let identity: StoreIdentity
  /// The newest durable checkpoint.
  package internal(set) var durableEpoch: Epoch
  /// Set when one superblock was damaged at opening. The other one was good.
  package let damagedSuperblock: SuperblockProblem?
  /// The newest durable checkpoint when the file was opened.
  let openedEpoch: Epoch
  /// Pages that the file has room for; with `reservesRoom` no others are taken.
  var filePages: UInt32
  /// What the file may grow to.
  let pagesCap: UInt32
  var resize = FileResize()
  var checkpoint: Checkpoint
  let superblockFrame: UnsafeMutableRawPointer

  /// Opens a page file of `fileBytes` bytes by its first two pages. All else is loaded when it is asked for.
  package init(
    superblocks first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, fileBytes: UInt64,
    identity: StoreIdentity, limits: StoreLimits
  ) throws(StoreRefusal) {
    limits.check()
    let choice = try chooseSuperblock(first, second, identity: identity, fileBytes: fileBytes)
    let newest = choice.newest
    self.limits = limits
    self.identity = identity
    durableEpoch = newest.epoch
    openedEpoch = newest.epoch
    damagedSuperblock = choice.problem
    filePages = UInt32(min(fileBytes / UInt64(Page.byteCount), UInt64(UInt32.max)))
    let pageCount = max(newest.pageCount, choice.older?.pageCount ?? 0)
    pagesCap = limits.cap(pagesNow: pageCount)
    resize.durablePages = (newest.pageCount, choice.older?.pageCount ?? 0)
    space = .allocate(capacity: 1)
    space.initialize(to: Space(newest: newest, older: choice.older))
    checkpoint = Checkpoint()
    frames = .allocate(capacity: 1)
    frames.initialize(to: FrameArenas(limits))
    let tableCount = Store.tableCapacity(for: pageCount)
    state = .allocate(capacity: 1)
    state.initialize(to: StoreState(epoch: newest.epoch.next, tableCount: tableCount))
    missRandom = SeededRandom(seed: limits.missSeed)
    directory = .allocate(capacity: 1)
    directory.initialize(to: newest.directory)
    path = .allocate(capacity: Int(Tree.heightMax))
    scratchPage = .allocate(byteCount: Page.byteCount, alignment: 4096)
    path.initialize(repeating: PathStep(page: Page(scratchPage)), count: Int(Tree.heightMax))
    walkedKey = .allocate(byteCount: LastWalk.keyCountMax, alignment: 16)
    separators = .allocate(byteCount: 2 * StoreLimits.keyCountMax, alignment: 16)
    overflowScratch = .allocate(byteCount: OverflowList.byteCountMax, alignment: 16)
    keptScratch = .allocate(byteCount: StoreLimits.entryCountMax, alignment: 16)
    valueScratch = .allocate(byteCount: 0, alignment: 16)
    superblockFrame = .allocate(byteCount: Page.byteCount, alignment: 4096)
    space.pointee.reserve(tableCount)
  }

  deinit {
    table.deallocate()
    state.deallocate()
    frames.pointee.deallocate()
    frames.deinitialize(count: 1).deallocate()
    for state in shardStates { Store.deallocate(state) }
    directory.deallocate()
    path.deallocate()
    scratchPage.deallocate()
    walkedKey.deallocate()
    separators.deallocate()
    overflowScratch.deallocate()
    keptScratch.deallocate()
    valueScratch.deallocate()
    superblockFrame.deallocate()
    space.pointee.deallocate()
    space.deinitialize(count: 1).deallocate()
  }

  package var statistics: StoreStatistics {
    StoreStatistics(
      pages: Int(space.pointee.pageCount), filePages: Int(filePages), livePages: space.pointee.liveCount,
      garbagePages: space.pointee.owedCount,
      freePages: space.pointee.freeCount, residentPages: residentCount, dirtyPages: dirtyCount,
      frozenPages: frozenCount,
      frameBytes: frames.pointee.allocatedCount * Page.byteCount)
  }
}

/// A tree: where its root is, and how much is in it. Height 0 is the empty tree.
struct Tree: Equatable {
  var root: PagePointer = .none
  var height: UInt32 = 0
  var rows: UInt64 = 0
  /// Keys and values, in bytes.
  var bytes: UInt64 = 0

  /// With two children to an inner page and 2^32 pages no tree is as high.
  static let heightMax: UInt32 = 32
}

/// A leaf without records, by its tree and a key that belongs there.
struct EmptiedLeaf {
  let tree: UnsafeMutablePointer<Tree>
  let key: [UInt8]
}

/// A page on the way from the root to a leaf, and the slot that the way took. Indexed by level.
struct PathStep {
  var page: Page
  var slot = 0
}

// MARK: Invariants

extension Store {
  /// Walks the table and compares it with the counts. Slow; for tests and the simulator.
  package func checkInvariants() {
    var (resident, dirty, frozen) = (0, 0, 0)
    for index in 0..<tableCount {
      let entry = table[index]
      precondition((entry.frame == nil) == (entry.state == .absent), "a page in memory has a frame and a state")
      guard let frame = entry.frame else { continue }
      resident += 1
      precondition(Page(frame).id == PageID(UInt32(index)), "the table leads to the page of that id")
      switch entry.state {
      case .dirty:
        dirty += 1
        precondition(Page(frame).birth == epoch && space.pointee.isLive(UInt32(index)), "a dirty page is new and live")
      case .frozen, .frozenOrphan: frozen += 1
      case .clean, .absent: break
      }
      if entry.state != .dirty { precondition(Page(frame).birth < epoch, "only dirty pages are of this epoch") }
    }
    precondition(resident == residentCount, "resident pages are counted")
    precondition(dirty == dirtyCount && frozen == frozenCount, "dirty and frozen pages are counted")
    precondition(frames.pointee.allocatedCount - frames.pointee.freeCount == residentCount, "no frame is lost")
    precondition(
      space.pointee.liveCount + space.pointee.owedCount + space.pointee.freeCount == Int(space.pointee.pageCount)
        || !space.pointee.awaited.isEmpty,
      "a page is live, owed or free")
  }
}
