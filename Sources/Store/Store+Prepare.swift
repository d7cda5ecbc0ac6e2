// Pass one: find, pin, reserve. What is promised here, pass two relies on.
//
// Frames are promised so: dirty and frozen pages stay, pinned pages stay and may each be copied, each operation may split
// every level of its tree. All that, and a headroom for loading pages and for the next freeze, must fit into the frames.

import Primitives

extension Store {
  /// Frames that no batch may reserve: for pages that come in (a long value needs 74 at once) and for the next freeze.
  var headroomFrames: Int { 128 + space.pointee.bitmapCount + 2 * touchedCount }

  /// Dirty pages above which a checkpoint is due: three eighths of the frames. Twice as many may be dirty or frozen, which
  /// the one who paces checkpoints sees to; the last quarter is for pins and reservations. Trees that have fewer pages
  /// than this never have more dirty ones, so when all data fits into memory this never makes a checkpoint due.
  package var dirtyPagesMax: Int { 3 * max(0, limits.framesMax - headroomFrames) / 8 }

  /// Prepares `put` or `delete` of `key` with a value of at most `valueCount` bytes. `forDelete`: it is part of a deletion, and
  /// may take the room on the disk that is left for those.
  package func prepareWrite(
    _ shard: ShardID, _ key: UnsafeRawBufferPointer, valueCount: Int, forDelete: Bool = false
  ) throws(PrepareFailure) {
    precondition(key.count <= StoreLimits.keyCountMax, "a key within its limit")
    precondition(valueCount <= StoreLimits.valueCountMax, "a value within its limit")
    let isInline = Store.isInline(keyCount: key.count, valueCount: valueCount)
    let overflowPages = isInline ? 0 : OverflowList.pageCount(valueCount)
    let tree = try openTree(shard)
    try missing { () throws(PageMissing) in try pinPath(tree, key, forDelete: false) }
    try reserve(Int(tree.pointee.height) + 2 + overflowPages, keepsFree: limits.headroomPages(forDelete: forDelete))
  }

  /// Prepares `delete` of `key`, and what it takes to merge its leaf.
  package func prepareDelete(_ shard: ShardID, _ key: UnsafeRawBufferPointer) throws(PrepareFailure) {
    precondition(key.count <= StoreLimits.keyCountMax, "a key within its limit")
    let tree = try openTree(shard)
    try missing { () throws(PageMissing) in try pinPath(tree, key, forDelete: true) }
    try reserve(0, keepsFree: limits.deleteHeadroomPages)
  }

  /// Prepares `put` or `delete` with `keepingOldAs: kept`, besides what `prepareWrite` or `prepareDelete` of the row
  /// itself prepares. The long values that are kept move with their pages: however long they are, this takes no more room.
  ///
  /// Keys that are kept by one batch must be neighbours in order of the calls (such as versions that rise). Then all of
  /// them split no more than a leaf each, and of the levels above one page in a hundred besides the first.
  package func prepareKeep(
    _ shard: ShardID, as kept: UnsafeRawBufferPointer, forDelete: Bool
  ) throws(PrepareFailure) {
    precondition(kept.count <= StoreLimits.keptKeyCountMax, "a kept key within its limit")
    let tree = try openTree(shard)
    try missing { () throws(PageMissing) in try pinPath(tree, kept, forDelete: false) }
    let levels = keptRound == round ? 0 : Int(tree.pointee.height) + 2
    try reserve(levels + 2, keepsFree: limits.headroomPages(forDelete: forDelete))
    keptRound = round
  }

  /// Prepares `get` of `key`: its leaf and all pages of its value stay until `endWrite`.
  package func prepareRead(_ shard: ShardID, _ key: UnsafeRawBufferPointer) throws(PrepareFailure) {
    isBatchOpen = true
    try missing { () throws(PageMissing) in
      guard let state = try find(shard) else { preconditionFailure("rows are read from shards that exist") }
      let tree = state.pointee.tree
      try pinPath(tree, key, forDelete: false)
      try pinValue(tree)
    }
    try reserve(0, keepsFree: 0)
  }

  /// Prepares `createShard`, `dropShard` or `setMetadata`.
  package func prepareShard(_ shard: ShardID) throws(PrepareFailure) {
    isBatchOpen = true
    try missing { () throws(PageMissing) in
      try requireSpace()
      _ = try find(shard)
    }
    try prepareRecord(shard, keepsFree: limits.deleteHeadroomPages)
  }

  /// Prepares `setMetadata` for a checkpoint, which may use the last pages: it is what makes others free.
  package func prepareCheckpoint(_ shard: ShardID) throws(PrepareFailure) {
    isBatchOpen = true
    try missing { () throws(PageMissing) in
      try requireSpace()
      _ = try find(shard)
    }
    try prepareRecord(shard, keepsFree: 0)
  }

  /// The batch is over, done or given up: everything is unpinned.
  package func endWrite() {
    cutEmptied()
    round &+= 1
    pinnedCount = 0
    reservedCount = 0
    isBatchOpen = false
  }

  func openTree(_ shard: ShardID) throws(PrepareFailure) -> UnsafeMutablePointer<Tree> {
    isBatchOpen = true
    let state = try missing { () throws(PageMissing) in
      try requireSpace()
      return try find(shard)
    }
    guard let state else { preconditionFailure("rows are written to shards that exist") }
    if state.pointee.touched != epoch, state.pointee.preparedRound != round {
      try prepareRecord(shard, keepsFree: limits.deleteHeadroomPages)
      state.pointee.preparedRound = round
    }
    return state.pointee.tree
  }

  private func prepareRecord(_ shard: ShardID, keepsFree: Int) throws(PrepareFailure) {
    var key = shard.rawValue.bigEndian
    try missing { () throws(PageMissing) in
      try withUnsafeBytes(of: &key) { bytes throws(PageMissing) in try pinPath(directory, bytes, forDelete: true) }
    }
    try reserve(Int(directory.pointee.height) + 2, keepsFree: keepsFree)
  }

  @inline(__always) func missing<T>(_ body: () throws(PageMissing) -> T) throws(PrepareFailure) -> T {
    do throws(PageMissing) { return try body() } catch { throw .missing(error) }
  }
}

// MARK: Pinning

extension Store {
  func pinPath(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer, forDelete: Bool
  ) throws(PageMissing) {
    let height = Int(tree.pointee.height)
    guard height > 0 else { return }
    if isWalked(tree, key) {
      for level in 0..<height { pin(path[level].page) }
    } else {
      try walk(tree, key, pins: true)
    }
    guard forDelete else { return }
    for level in 0..<height - 1 where willBeSmall(path[level].page, key) {
      try pinNeighbour(path[level + 1].page, path[level + 1].slot, level: UInt8(level))
    }
  }

  @inline(__always) func pin(_ page: Page) {
    let entry = entry(page.id)
    guard entry.pointee.pinRound != round else { return }
    entry.pointee.pinRound = round
    entry.pointee.preparedDeletes = 0
    if page.birth != epoch { pinnedCount += 1 }
  }

  /// Will the page be small enough to be merged, after all deletes prepared on it?
  private func willBeSmall(_ page: Page, _ key: UnsafeRawBufferPointer) -> Bool {
    guard page.level == 0 else { return page.usedCount < Store.smallCount }
    let (index, found) = page.find(key)
    guard found else { return false }
    let entry = entry(page.id)
    entry.pointee.preparedDeletes &+= 1
    let size = Page.slotCount + Page.recordCount(page.record(index))
    return page.usedCount - Int(entry.pointee.preparedDeletes) * size < Store.smallCount
  }

  private func pinNeighbour(_ parent: Page, _ slot: Int, level: UInt8) throws(PageMissing) {
    guard parent.count > 1 else { return }
    let neighbour = slot + 1 < parent.count ? slot + 1 : slot - 1
    pin(try access(parent.child(neighbour), .tree, level: level))
  }

  /// Of the key whose path was pinned last.
  private func pinValue(_ tree: UnsafeMutablePointer<Tree>) throws(PageMissing) {
    guard tree.pointee.height > 0 else { return }
    let (page, walk) = (path[0].page, state.pointee.walk)
    guard walk.isFound, page.isOverflow(walk.index) else { return }
    let list = OverflowList(checked: UnsafeRawBufferPointer(page.stored(walk.index)))
    for i in 0..<list.pageCount { pin(try access(list.pointer(i), .overflow, level: 0)) }
  }

  /// Promises `need` new pages beside a copy of each pinned one.
  func reserve(_ need: Int, keepsFree: Int) throws(PrepareFailure) {
    let new = pinnedCount + reservedCount + need
    let staying = dirtyCount + frozenCount + pinnedCount
    guard staying + new + headroomFrames <= limits.framesMax else { throw .outOfMemory }
    let forFreeze = space.pointee.bitmapCount + 2 * touchedCount
    guard new + forFreeze + keepsFree <= space.pointee.available(pagesMax: pageLimit) else {
      resize.needed = max(resize.needed, new + forFreeze + keepsFree)
      throw .diskFull
    }
    reservedCount += need
  }
}

extension StoreLimits {
  func headroomPages(forDelete: Bool) -> Int { forDelete ? deleteHeadroomPages : putHeadroomPages }
  /// Pages that deletes and checkpoints may still take when writes are refused.
  var putHeadroomPages: Int { deleteHeadroomPages + reservePages }
  /// Pages that checkpoints may still take when deletes are refused.
  var deleteHeadroomPages: Int { 64 }
}
