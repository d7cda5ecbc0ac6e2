// The state that every operation touches. It lies behind a pointer: a class's own variables are checked for exclusive
// access at run time, and those checks were a quarter of all instructions of a get or put.

struct StoreState {
  var table: UnsafeMutablePointer<PageEntry>
  var tableCount: Int
  var epoch: Epoch
  var residentCount = 0
  var dirtyCount = 0
  var frozenCount = 0
  var sweepHand = 2
  var round: UInt64 = 1
  var isBatchOpen = false
  var pinnedCount = 0
  var reservedCount = 0
  var keptRound: UInt64 = 0
  var accessCount: UInt32 = 0
  var changeCount: UInt64 = 0
  var reshapeCount: UInt64 = 0
  var lastShard: UnsafeMutablePointer<ShardState>?
  var touchedCount = 0
  var walk = LastWalk()

  init(epoch: Epoch, tableCount: Int) {
    self.epoch = epoch
    self.tableCount = tableCount
    table = .allocate(capacity: tableCount)
    table.initialize(repeating: PageEntry(), count: tableCount)
  }
}

extension Store {
  /// From page id to frame: Store+Frames.swift.
  var table: UnsafeMutablePointer<PageEntry> {
    @inline(__always) get { state.pointee.table }
    set { state.pointee.table = newValue }
  }
  var tableCount: Int {
    @inline(__always) get { state.pointee.tableCount }
    set { state.pointee.tableCount = newValue }
  }
  /// The epoch that is being changed; the newest durable checkpoint is an older one.
  package internal(set) var epoch: Epoch {
    @inline(__always) get { state.pointee.epoch }
    set { state.pointee.epoch = newValue }
  }
  /// Pages in memory; among them dirty and frozen ones.
  var residentCount: Int {
    @inline(__always) get { state.pointee.residentCount }
    set { state.pointee.residentCount = newValue }
  }
  var dirtyCount: Int {
    @inline(__always) get { state.pointee.dirtyCount }
    set { state.pointee.dirtyCount = newValue }
  }
  var frozenCount: Int {
    @inline(__always) get { state.pointee.frozenCount }
    set { state.pointee.frozenCount = newValue }
  }
  /// Where the search for a page to evict goes on.
  var sweepHand: Int {
    @inline(__always) get { state.pointee.sweepHand }
    set { state.pointee.sweepHand = newValue }
  }
  /// The number of this batch: pages that carry it are pinned.
  var round: UInt64 {
    @inline(__always) get { state.pointee.round }
    set { state.pointee.round = newValue }
  }
  /// Between the first prepare of a batch and `endWrite`.
  package internal(set) var isBatchOpen: Bool {
    @inline(__always) get { state.pointee.isBatchOpen }
    set { state.pointee.isBatchOpen = newValue }
  }
  /// Pages pinned in this batch that a change would have to copy.
  var pinnedCount: Int {
    @inline(__always) get { state.pointee.pinnedCount }
    set { state.pointee.pinnedCount = newValue }
  }
  /// New pages promised to this batch, copies aside.
  var reservedCount: Int {
    @inline(__always) get { state.pointee.reservedCount }
    set { state.pointee.reservedCount = newValue }
  }
  /// The last round in which something was prepared to be kept.
  var keptRound: UInt64 {
    @inline(__always) get { state.pointee.keptRound }
    set { state.pointee.keptRound = newValue }
  }
  /// Accesses so far. Counted only for misses on purpose.
  var accessCount: UInt32 {
    @inline(__always) get { state.pointee.accessCount }
    set { state.pointee.accessCount = newValue }
  }
  /// Rises with every change of a tree; a cursor that sees it change refuses to step.
  var changeCount: UInt64 {
    @inline(__always) get { state.pointee.changeCount }
    set { state.pointee.changeCount = newValue }
  }
  /// Rises when a page of this epoch leaves its tree: whoever remembers a leaf looks for it again.
  var reshapeCount: UInt64 {
    @inline(__always) get { state.pointee.reshapeCount }
    set { state.pointee.reshapeCount = newValue }
  }
  var lastShard: UnsafeMutablePointer<ShardState>? {
    @inline(__always) get { state.pointee.lastShard }
    set { state.pointee.lastShard = newValue }
  }
  /// Shards changed in this epoch.
  var touchedCount: Int {
    @inline(__always) get { state.pointee.touchedCount }
    set { state.pointee.touchedCount = newValue }
  }
}
