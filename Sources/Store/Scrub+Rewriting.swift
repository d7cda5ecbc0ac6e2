// A page whose copy on the disk is damaged, and whose content is in memory, gets another place: it is made dirty with its parents,
// as if it had been changed, and the next checkpoint writes it. After two checkpoints no superblock leads to the old place.
//
// A page that has moved to another key since the order to read it (a long value that is kept as an older version) is not found under
// the old one: the next pass meets it again.

import Primitives

/// What became of a damaged page.
package enum PageRewrite: Equatable, Sendable {
  /// The next checkpoint writes it to a new place; a superblock to its own.
  case rewritten
  /// It was freed or changed meanwhile: nothing leads to the old place any more.
  case notNeeded
  /// It is no longer on the way to its key: another pass finds it where it is now.
  case elsewhere
  /// Its content is not in memory, or not what its pointer says either.
  case impossible
}

extension Store {
  /// Gives a damaged page a new place. A batch of its own: only between batches. Throws when a page of its way has to be loaded,
  /// or there is no room now.
  package func rewrite(_ damage: PageScrubDamage) throws(PrepareFailure) -> PageRewrite {
    precondition(!isBatchOpen, "a page is rewritten between batches")
    if damage.read.isSuperblock { return .rewritten }
    guard isStillExpected(damage.read) else { return .notNeeded }
    isBatchOpen = true
    defer { endWrite() }
    try missing { () throws(PageMissing) in try requireSpace() }
    switch damage.read.target {
    case .superblock: return .rewritten
    case .bitmap(let index):
      space.pointee.rewriteBitmap(index)
      return .rewritten
    case .tree(let shard, let key): return try rewrite(damage.read.expected, of: shard, key)
    case .overflow(let shard, let key): return try rewrite(value: damage.read.expected, of: shard, key)
    }
  }

  /// What is in memory is what the pointer promises.
  private func isSoundInMemory(_ expected: PageMissing) -> Page? {
    guard let page = resident(expected.pointer, expected.kind, level: expected.level),
      checksum(page) == expected.pointer.checksum
    else { return nil }
    return page
  }

  private func rewrite(
    _ expected: PageMissing, of shard: ShardID?, _ key: [UInt8]
  ) throws(PrepareFailure) -> PageRewrite {
    guard let page = isSoundInMemory(expected) else { return .impossible }
    let tree = try preparedTree(shard)
    // The key that led to it may lead elsewhere by now, one of its own does not.
    let own = page.count > page.firstKeyed ? Array(page.key(page.firstKeyed)) : key
    for key in [key, own] where try pinWay(tree, key, to: page, expected) {
      try reserve(0, keepsFree: limits.deleteHeadroomPages)
      _ = makeWayDirty(tree, shard, key, downTo: expected.level)
      return .rewritten
    }
    return .elsewhere
  }

  private func rewrite(
    value expected: PageMissing, of shard: ShardID, _ key: [UInt8]
  ) throws(PrepareFailure) -> PageRewrite {
    guard let piece = isSoundInMemory(expected) else { return .impossible }
    let tree = try preparedTree(shard)
    guard tree.pointee.height > 0 else { return .elsewhere }
    try missing { () throws(PageMissing) in
      try withKey(key) { key throws(PageMissing) in try pinPath(tree, key, forDelete: false) }
    }
    let leaf = path[0].page
    let (index, found) = key.withUnsafeBytes { leaf.find($0) }
    guard found, let part = part(of: leaf, index, expected.page) else { return .elsewhere }
    pin(piece)
    try reserve(1, keepsFree: limits.deleteHeadroomPages)
    let dirty = makeWayDirty(tree, shard, key, downTo: 0)
    let new = newPage(.overflow, level: 0)
    new.payloadCount = piece.payloadCount
    new.content.copyMemory(from: piece.content, byteCount: Page.contentCount)
    guard let list = dirty.stored(index).baseAddress else { preconditionFailure("a list has bytes") }
    PagePointer(page: new.id, checksum: checksum(new), birth: epoch)
      .store(to: list + 4 + part * PagePointer.byteCount)
    free(expected.pointer)
    return .rewritten
  }

  private func part(of leaf: Page, _ index: Int, _ page: PageID) -> Int? {
    guard leaf.isOverflow(index) else { return nil }
    let list = OverflowList(checked: UnsafeRawBufferPointer(leaf.stored(index)))
    return (0..<list.pageCount).first { list.pointer($0).page == page }
  }

  private func preparedTree(_ shard: ShardID?) throws(PrepareFailure) -> UnsafeMutablePointer<Tree> {
    guard let shard else { return directory }
    return try openTree(shard)
  }

  /// Pins `page` and those above it. False when the way to `key` does not lead there.
  private func pinWay(
    _ tree: UnsafeMutablePointer<Tree>, _ key: [UInt8], to page: Page, _ expected: PageMissing
  ) throws(PrepareFailure) -> Bool {
    let height = Int(tree.pointee.height)
    guard height > Int(expected.level) else { return false }
    var pointer = tree.pointee.root
    for level in (Int(expected.level) + 1..<height).reversed() {
      let above = try missing { () throws(PageMissing) in try access(pointer, .tree, level: UInt8(level)) }
      pin(above)
      pointer = above.child(key.withUnsafeBytes { above.childIndex($0) })
    }
    pin(page)
    return pointer.page == expected.page && pointer.birth == expected.pointer.birth
  }

  /// Copies the pages on the way to `key` that are not dirty, down to this level; returns the last one.
  private func makeWayDirty(
    _ tree: UnsafeMutablePointer<Tree>, _ shard: ShardID?, _ key: [UInt8], downTo lowest: UInt8
  ) -> Page {
    if let shard { touch(preparedShard(shard)) }
    forgetWalk()
    changeCount &+= 1
    var level = UInt8(tree.pointee.height - 1)
    var page = prepared(tree.pointee.root, .tree, level: level)
    if page.birth != epoch {
      page = copyPage(page)
      tree.pointee.root = dirtyPointer(page)
    }
    while level > lowest {
      level -= 1
      let slot = key.withUnsafeBytes { page.childIndex($0) }
      var child = prepared(page.child(slot), .tree, level: level)
      if child.birth != epoch {
        child = copyPage(child)
        page.setChild(slot, dirtyPointer(child))
      }
      page = child
    }
    return page
  }

  private func withKey(
    _ key: [UInt8], _ body: (UnsafeRawBufferPointer) throws(PageMissing) -> Void
  ) throws(PageMissing) {
    let result = key.withUnsafeBytes { bytes -> Result<Void, PageMissing> in
      do throws(PageMissing) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
    try result.get()
  }
}
