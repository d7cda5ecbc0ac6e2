// Putting a key: walk down making every page writable, place the record, split upwards where there is no room.

import Primitives

extension Store {
  /// Puts `value` under `key`. Needs `prepareWrite`. The bytes must not be the store's own.
  package func put(_ shard: ShardID, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    precondition(key.count <= StoreLimits.keyCountMax, "a key within its limit")
    precondition(value.count <= StoreLimits.valueCountMax, "a value within its limit")
    let state = preparedShard(shard)
    touch(state)
    put(state.pointee.tree, key, value)
  }

  func put(_ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
    changeCount &+= 1
    if tree.pointee.height == 0 { plant(tree) }
    let (leaf, index, found) = locate(tree, key)
    if found, replaceInPlace(tree, leaf, index, value) { return }
    let before = leaf.usedCount
    if found { removeRecord(tree, leaf, index) }
    add(tree, leaf, index, key, value, usedBefore: before)
  }

  /// Puts a new record into the leaf of `path`, which was `usedBefore` full before the old one was taken out.
  func add(
    _ tree: UnsafeMutablePointer<Tree>, _ leaf: Page, _ index: Int, _ key: UnsafeRawBufferPointer,
    _ value: UnsafeRawBufferPointer, usedBefore: Int
  ) {
    tree.pointee.rows += 1
    tree.pointee.bytes += UInt64(key.count + value.count)
    let isSplit: Bool
    if Store.isInline(keyCount: key.count, valueCount: value.count) {
      isSplit = place(tree, level: 0, index, key, value, isOverflow: false)
    } else {
      isSplit = place(tree, level: 0, index, key, writeOverflow(value), isOverflow: true)
    }
    if !isSplit, leaf.usedCount < usedBefore { rebalance(tree, key) }
  }

  func plant(_ tree: UnsafeMutablePointer<Tree>) {
    let leaf = newPage(.tree, level: 0)
    tree.pointee.root = dirtyPointer(leaf)
    tree.pointee.height = 1
  }

  func dirtyPointer(_ page: Page) -> PagePointer { PagePointer(page: page.id, checksum: 0, birth: epoch) }

  /// Overwrites a value of the same length.
  func replaceInPlace(
    _ tree: UnsafeMutablePointer<Tree>, _ leaf: Page, _ index: Int, _ value: UnsafeRawBufferPointer
  ) -> Bool {
    guard !leaf.isOverflow(index) else { return false }
    let stored = leaf.stored(index)
    guard stored.count == value.count else { return false }
    if let source = value.baseAddress { stored.baseAddress?.copyMemory(from: source, byteCount: value.count) }
    return true
  }

  /// Walks to the leaf of `key`, leaving `path` behind, and makes every page on the way dirty.
  func descend(_ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer) -> Page {
    if isWalked(tree, key) { return makePathDirty(tree) }
    forgetWalk()
    var level = Int(tree.pointee.height) - 1
    var page = prepared(tree.pointee.root, .tree, level: UInt8(level))
    if page.birth != epoch {
      page = copyPage(page)
      tree.pointee.root = dirtyPointer(page)
    }
    path[level].page = page
    while level > 0 {
      let slot = page.childIndex(key)
      path[level].slot = slot
      level -= 1
      var child = prepared(page.child(slot), .tree, level: UInt8(level))
      if child.birth != epoch {
        child = copyPage(child)
        page.setChild(slot, dirtyPointer(child))
      }
      page = child
      path[level].page = page
    }
    return page
  }

  /// The same, and where in its leaf the key is or belongs.
  @inline(__always) func locate(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer
  ) -> (leaf: Page, index: Int, found: Bool) {
    if isWalked(tree, key) {
      let walk = state.pointee.walk
      return (makePathDirty(tree), walk.index, walk.isFound)
    }
    let leaf = descend(tree, key)
    let (index, found) = leaf.find(key)
    return (leaf, index, found)
  }

  /// Copies the pages of the last walk that are not dirty. Records are going to change: the walk is forgotten.
  private func makePathDirty(_ tree: UnsafeMutablePointer<Tree>) -> Page {
    forgetWalk()
    var level = Int(tree.pointee.height) - 1
    if path[level].page.birth != epoch {
      path[level].page = copyPage(path[level].page)
      tree.pointee.root = dirtyPointer(path[level].page)
    }
    while level > 0 {
      level -= 1
      guard path[level].page.birth != epoch else { continue }
      path[level].page = copyPage(path[level].page)
      path[level + 1].page.setChild(path[level + 1].slot, dirtyPointer(path[level].page))
    }
    return path[0].page
  }

  /// Puts a record into the page of `path` at `level`. True if the page had to be split.
  @discardableResult
  func place(
    _ tree: UnsafeMutablePointer<Tree>, level: Int, _ index: Int, _ key: UnsafeRawBufferPointer,
    _ stored: UnsafeRawBufferPointer, isOverflow: Bool
  ) -> Bool {
    let page = path[level].page
    let size = Page.entryCount(keyCount: key.count, storedCount: stored.count)
    if page.gapCount < size, page.gapCount + page.garbage >= size { page.compact(scratch: scratchPage) }
    guard page.gapCount >= size else {
      split(tree, level: level, index, NewRecord(key: key, stored: stored, isOverflow: isOverflow))
      return true
    }
    let target = page.insert(at: index, key: key, storedCount: stored.count, isOverflow: isOverflow)
    if let source = stored.baseAddress { target.copyMemory(from: source, byteCount: stored.count) }
    return false
  }
}

// MARK: Splitting

/// A record on its way into a page.
private struct NewRecord {
  let key: UnsafeRawBufferPointer
  let stored: UnsafeRawBufferPointer
  let isOverflow: Bool
  var entryCount: Int { Page.entryCount(keyCount: key.count, storedCount: stored.count) }
}

/// The records of a page with a new one among them, as one sequence.
private struct RecordSequence {
  let source: Page
  let index: Int
  let new: NewRecord
  var count: Int { source.count + 1 }

  func record(_ position: Int) -> UnsafeMutableRawPointer? {
    if position == index { return nil }
    return source.record(position < index ? position : position - 1)
  }
  func key(_ position: Int) -> UnsafeRawBufferPointer { record(position).map { Page.key($0) } ?? new.key }
  func entryCount(_ position: Int) -> Int {
    record(position).map { Page.slotCount + Page.recordCount($0) } ?? new.entryCount
  }

  func append(_ position: Int, to page: Page, withoutKey: Bool = false) {
    let key = withoutKey ? UnsafeRawBufferPointer(start: nil, count: 0) : key(position)
    if let record = record(position) { return page.append(record, key: key) }
    let target = page.append(key: key, storedCount: new.stored.count, isOverflow: new.isOverflow)
    if let bytes = new.stored.baseAddress { target.copyMemory(from: bytes, byteCount: new.stored.count) }
  }

  /// Where the right page begins. Keys that come in rising or falling order leave full pages behind them; otherwise the
  /// halves are as equal as can be, and fit, since no entry is over half a page.
  func splitPosition() -> Int {
    let spare = source.level == 0 ? 1 : 2
    if index == source.count, count >= 2 * spare { return count - spare }
    if index == 0, source.level == 0 { return 1 }
    let total = source.usedCount + new.entryCount
    var left = entryCount(0)
    var position = 1
    while position < count - 1 {
      let next = entryCount(position)
      if max(left, total - left) <= max(left + next, total - left - next) { break }
      left += next
      position += 1
    }
    return position
  }
}

extension Store {
  /// Splits the page of `path` at `level` in two, the new record in one of them, and tells its parent.
  private func split(_ tree: UnsafeMutablePointer<Tree>, level: Int, _ index: Int, _ new: NewRecord) {
    let left = path[level].page
    left.prefetchRecords()
    let right = newPage(.tree, level: UInt8(level), isCleared: false)
    let records = RecordSequence(source: left, index: index, new: new)
    let position = records.splitPosition()
    let separator = keepSeparator(records, position, level: level)
    for i in position..<records.count { records.append(i, to: right, withoutKey: level > 0 && i == position) }
    right.finish()
    right.clearGap()
    if position < left.count || index < position {
      let rest = Page(scratchPage)
      rest.begin(as: left)
      for i in 0..<position { records.append(i, to: rest) }
      rest.finish()
      left.take(rest)
    }  // otherwise all of it stays: rows that come in rising order
    addToParent(tree, level: level + 1, left: left, separator, right: right)
  }

  /// The shortest key that is above all of the left page and not above any of the right, copied aside. Levels take turns
  /// with two buffers: the separator from below is still being placed when the next one is made.
  private func keepSeparator(_ records: RecordSequence, _ position: Int, level: Int) -> UnsafeRawBufferPointer {
    let key = records.key(position)
    let count = level == 0 ? sharedCount(records.key(position - 1), key) + 1 : key.count
    let target = separators + (level & 1) * StoreLimits.keyCountMax
    if let start = key.baseAddress { target.copyMemory(from: start, byteCount: count) }
    return UnsafeRawBufferPointer(start: target, count: count)
  }

  private func addToParent(
    _ tree: UnsafeMutablePointer<Tree>, level: Int, left: Page, _ separator: UnsafeRawBufferPointer, right: Page
  ) {
    if level == Int(tree.pointee.height) { growRoot(tree, left) }
    withUnsafeTemporaryAllocation(byteCount: PagePointer.byteCount, alignment: 8) { pointer in
      guard let start = pointer.baseAddress else { return }
      dirtyPointer(right).store(to: start)
      place(
        tree, level: level, path[level].slot + 1, separator, UnsafeRawBufferPointer(pointer), isOverflow: false)
    }
  }

  /// A new root over the old one.
  private func growRoot(_ tree: UnsafeMutablePointer<Tree>, _ old: Page) {
    let level = Int(tree.pointee.height)
    precondition(level < Int(Tree.heightMax), "a tree has fewer than 32 levels")
    let root = newPage(.tree, level: UInt8(level))
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    let target = root.insert(at: 0, key: none, storedCount: PagePointer.byteCount, isOverflow: false)
    dirtyPointer(old).store(to: target)
    tree.pointee.root = dirtyPointer(root)
    tree.pointee.height += 1
    path[level] = PathStep(page: root, slot: 0)
  }
}
