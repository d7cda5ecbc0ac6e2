// Freezing and sealing: what a checkpoint does to pages.
//
//     freeze, at once          dirty ─► frozen, listed with children first; bitmaps written; the next epoch begins
//     seal, a page at a time   right before it is written: its children's checksums go into it, its own into the table

import Primitives

extension Store {
  /// What is there now becomes the checkpoint's, and the next epoch begins.
  func freeze() {
    changeCount &+= 1
    // A page of a discarded tree still names children that are freed already: they stay below the end until it is gone itself.
    if !mayHaveDiscarded { space.pointee.trim() }
    for state in shardStates where state.pointee.touched == epoch { writeRecord(of: state) }
    moveBitmaps()
    checkpoint.superblock = superblockOfNow()
    listWrites()
    space.pointee.freeze()
    checkpoint.epoch = epoch
    epoch = epoch.next
    touchedCount = 0
  }

  /// Gives every changed bitmap page a new place. That changes bitmaps again, until all that changed have moved.
  private func moveBitmaps() {
    var moved: [Page?] = []
    while let index = nextUnmoved(moved) {
      while moved.count <= index { moved.append(nil) }
      while space.pointee.bitmaps.count <= index { space.pointee.bitmaps.append(.none) }
      if !space.pointee.bitmaps[index].isNone { free(space.pointee.bitmaps[index]) }
      moved[index] = newPage(.bitmap, level: 0)
    }
    for (index, page) in moved.enumerated() {
      guard let page else { continue }
      space.pointee.writeBitmap(index, to: page)
      space.pointee.bitmaps[index] = PagePointer(page: page.id, checksum: checksum(page), birth: epoch)
    }
  }

  private func nextUnmoved(_ moved: [Page?]) -> Int? {
    space.pointee.isChanged.indices.first { space.pointee.isChanged[$0] && ($0 >= moved.count || moved[$0] == nil) }
  }

  private func superblockOfNow() -> Superblock {
    let tree = directory.pointee
    return Superblock(
      epoch: epoch, identity: identity, pageCount: space.pointee.pageCount, directoryHeight: tree.height,
      directoryRoot: tree.root, directoryRows: tree.rows, directoryBytes: tree.bytes, bitmaps: space.pointee.bitmaps)
  }

  /// Dirty pages become frozen, and the list of what is to be written.
  private func listWrites() {
    let ofDirectory = freezeDirectory()
    checkpoint.writes = freezeOthers()
    checkpoint.directoryStart = checkpoint.writes.count
    checkpoint.writes += ofDirectory
    dirtyList.removeAll(keepingCapacity: true)
    dirtyInner.removeAll(keepingCapacity: true)
    checkpoint.orderedCount = 0
    checkpoint.writtenCount = 0
    precondition(checkpoint.writes.count == dirtyCount, "all dirty pages are written")
    frozenCount = dirtyCount
    dirtyCount = 0
  }

  /// Leaves and pages of values, then inner pages by level. Leaves may be very many, and a look at each of them takes longer
  /// than all else here: only the table is looked at.
  private func freezeOthers() -> [UInt32] {
    let inner = freezeInner()
    var pages: [UInt32] = []
    pages.reserveCapacity(dirtyCount)
    for id in dirtyList where table[Int(id)].state == .dirty {
      table[Int(id)].state = .frozen
      pages.append(id)
    }
    for level in inner { pages += level }
    // Nobody wants these in memory afterwards.
    for bitmap in space.pointee.bitmaps where bitmap.birth == epoch { entry(bitmap.page).pointee.state = .frozenOrphan }
    return pages
  }

  /// By level, which is asked now: a page in the list may have been freed meanwhile, and taken again for another one.
  private func freezeInner() -> [[UInt32]] {
    var levels: [[UInt32]] = []
    for id in dirtyInner {
      let entry = table + Int(id)
      guard entry.pointee.state == .dirty, let frame = entry.pointee.frame else { continue }
      let level = Int(Page(frame).level)
      entry.pointee.state = .frozen
      while levels.count <= level { levels.append([]) }
      levels[level].append(id)
    }
    return levels
  }

  private func freezeDirectory() -> [UInt32] {
    var pages: [UInt32] = []
    let tree = directory.pointee
    if tree.height > 0 { freezeDirectory(tree.root, level: UInt8(tree.height - 1), into: &pages) }
    return pages
  }

  private func freezeDirectory(_ pointer: PagePointer, level: UInt8, into pages: inout [UInt32]) {
    guard pointer.birth == epoch else { return }
    let page = prepared(pointer, .tree, level: level)
    if level > 0 {
      for index in 0..<page.count { freezeDirectory(page.child(index), level: level - 1, into: &pages) }
    }
    entry(pointer.page).pointee.state = .frozen
    pages.append(pointer.page.rawValue)
  }
}

// MARK: Sealing

extension Store {
  /// Makes a frozen page what will be on disk. Its children have been sealed. Overflow and bitmap pages were when they were
  /// made.
  func seal(_ id: PageID, isOfDirectory: Bool) {
    guard let frame = entry(id).pointee.frame else { preconditionFailure("a frozen page is in memory") }
    let page = Page(frame)
    guard page.kind == .tree else { return }
    if page.level > 0 { sealChildren(page) } else if isOfDirectory { sealRecords(page) }
    entry(id).pointee.checksum = checksum(page)
  }

  private func sealChildren(_ page: Page) {
    for index in 0..<page.count where page.child(index).checksum == 0 {
      page.setChild(index, sealed(page.child(index)))
    }
  }

  /// The roots of shards that stand in a leaf of the directory.
  private func sealRecords(_ leaf: Page) {
    for index in 0..<leaf.count {
      guard let record = leaf.stored(index).baseAddress else { continue }
      sealed(PagePointer(from: record)).store(to: record)
    }
  }

  /// The pointer with the checksum that its page was sealed with, if it was since the pointer was made.
  func sealed(_ pointer: PagePointer) -> PagePointer {
    guard pointer.checksum == 0, !pointer.isNone, Int(pointer.page.rawValue) < tableCount else { return pointer }
    let entry = entry(pointer.page)
    guard entry.pointee.birth == pointer.birth else { return pointer }
    return PagePointer(page: pointer.page, checksum: entry.pointee.checksum, birth: pointer.birth)
  }

  /// When all pages are written: the last of them was the directory's root.
  func encodeSuperblock() {
    guard var superblock = checkpoint.superblock else { preconditionFailure("a checkpoint has frozen a superblock") }
    superblock.directoryRoot = sealed(superblock.directoryRoot)
    superblockFrame.copyMemory(from: superblock.encoded(), byteCount: Page.byteCount)
  }
}
