// Deleting a key, and merging pages that have become small.

import Primitives

extension Store {
  /// A page with less in it is merged with a neighbour when that is in memory and has room.
  static let smallCount = Page.contentCount / 4
  /// Two pages become one only if the result is not nearly full, so that the next insert does not split it again.
  static let mergedCountMax = Page.contentCount * 3 / 4

  /// Deletes `key`. False if it was not there. Needs `prepareDelete` or `prepareWrite`.
  @discardableResult
  package func delete(_ shard: ShardID, _ key: UnsafeRawBufferPointer) -> Bool {
    let state = preparedShard(shard)
    guard contains(state.pointee.tree, key) else { return false }
    touch(state)
    return delete(state.pointee.tree, key)
  }

  func delete(_ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer) -> Bool {
    guard contains(tree, key) else { return false }
    changeCount &+= 1
    let (leaf, index, _) = locate(tree, key)
    removeRecord(tree, leaf, index)
    rebalance(tree, key)
    return true
  }

  /// Looks before anything is copied.
  private func contains(_ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer) -> Bool {
    guard tree.pointee.height > 0 else { return false }
    if isWalked(tree, key) { return state.pointee.walk.isFound }
    var level = UInt8(tree.pointee.height - 1)
    var page = prepared(tree.pointee.root, .tree, level: level)
    while level > 0 {
      level -= 1
      page = prepared(page.child(page.childIndex(key)), .tree, level: level)
    }
    return page.find(key).found
  }

  /// Takes a record out of a dirty leaf, its overflow pages and its share of the counts with it.
  func removeRecord(_ tree: UnsafeMutablePointer<Tree>, _ leaf: Page, _ index: Int) {
    if leaf.isOverflow(index) { freeOverflow(OverflowList(checked: UnsafeRawBufferPointer(leaf.stored(index)))) }
    takeOutRecord(tree, leaf, index)
  }

  /// The same, but for the overflow pages: another record leads to them now.
  func takeOutRecord(_ tree: UnsafeMutablePointer<Tree>, _ leaf: Page, _ index: Int) {
    tree.pointee.rows -= 1
    tree.pointee.bytes -= UInt64(leaf.key(index).count + leaf.valueCount(index))
    leaf.remove(at: index)
  }

  /// From the leaf of `path`, where `key` was, upwards: merges what is small, then lowers the root. A leaf that has become
  /// empty stays until the batch is over: its range would go to a neighbour, which nobody has pinned, and the batch may
  /// still put something there.
  func rebalance(_ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer) {
    guard path[0].page.count > 0 else { return emptied.append(EmptiedLeaf(tree: tree, key: Array(key))) }
    rebalance(tree, from: 0)
  }

  private func rebalance(_ tree: UnsafeMutablePointer<Tree>, from start: Int) {
    var level = start
    while level < Int(tree.pointee.height) - 1 {
      if path[level].page.usedCount < Store.smallCount { mergeWithNeighbour(level: level) }
      level += 1
    }
    lowerRoot(tree)
  }

  /// The batch is over: cuts off the leaves that it has left empty, of `tree` or of all trees. They and their parents are
  /// dirty, so nothing is loaded or copied.
  func cutEmptied(of tree: UnsafeMutablePointer<Tree>? = nil) {
    guard !emptied.isEmpty else { return }
    changeCount &+= 1
    for leaf in emptied where tree == nil || leaf.tree == tree {
      leaf.key.withUnsafeBytes { key in
        guard isEmptied(leaf.tree, key) else { return }
        _ = descend(leaf.tree, key)
        rebalance(leaf.tree, from: cutEmptyLeaf(leaf.tree))
      }
    }
    emptied.removeAll { tree == nil || $0.tree == tree }
  }

  /// Is the leaf of `key` still empty? It may have been filled again, merged, or cut off when it was noted a second time.
  private func isEmptied(_ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer) -> Bool {
    guard tree.pointee.height > 0 else { return false }
    var (pointer, level) = (tree.pointee.root, UInt8(tree.pointee.height - 1))
    while let page = resident(pointer, .tree, level: level), page.birth == epoch {
      guard level > 0 else { return page.count == 0 }
      pointer = page.child(page.childIndex(key))
      level -= 1
    }
    return false
  }

  /// Frees the empty leaf of `path` and every parent that had no other child. Returns the level of the first page left.
  private func cutEmptyLeaf(_ tree: UnsafeMutablePointer<Tree>) -> Int {
    let top = Int(tree.pointee.height) - 1
    var level = 0
    while level < top {
      free(dirtyPointer(path[level].page))
      level += 1
      let parent = path[level].page
      if parent.count > 1 {
        cutChild(parent, path[level].slot)
        return level
      }
    }
    free(dirtyPointer(path[top].page))
    (tree.pointee.root, tree.pointee.height) = (.none, 0)
    return top
  }

  /// Takes a child out of an inner page. The range of its keys goes to a neighbour.
  private func cutChild(_ parent: Page, _ slot: Int) {
    if slot == 0 { parent.removeFirstChild() } else { parent.remove(at: slot) }
  }

  /// While the root has one child, that is the root.
  func lowerRoot(_ tree: UnsafeMutablePointer<Tree>) {
    while tree.pointee.height > 1 {
      let old = tree.pointee.root
      guard let root = resident(old, .tree, level: UInt8(tree.pointee.height - 1)), root.birth == epoch else { return }
      guard root.count == 1 else { return }
      tree.pointee.root = root.child(0)
      tree.pointee.height -= 1
      free(old)
    }
  }

  /// Merges the page of `path` with the page to its right or left, under the same parent.
  private func mergeWithNeighbour(level: Int) {
    let slot = path[level + 1].slot
    if !merge(level: level, left: slot, right: slot + 1) { _ = merge(level: level, left: slot - 1, right: slot) }
  }

  /// Merges two children of the parent into the one that is on the path, which is dirty; frees the other.
  private func merge(level: Int, left: Int, right: Int) -> Bool {
    let (parent, slot) = (path[level + 1].page, path[level + 1].slot)
    guard left >= 0, right < parent.count else { return false }
    let page = path[level].page
    let other = parent.child(left == slot ? right : left)
    guard let neighbour = resident(other, .tree, level: UInt8(level)) else { return false }
    let separator = parent.key(right)
    let total = page.usedCount + neighbour.usedCount + (level > 0 ? separator.count : 0)
    guard total <= (page.count <= 1 ? Page.contentCount : Store.mergedCountMax) else { return false }
    scratchPage.copyMemory(from: page.base, byteCount: Page.byteCount)
    let copy = Page(scratchPage)
    page.clear()
    append(left == slot ? copy : neighbour, to: page, firstKey: nil)
    append(left == slot ? neighbour : copy, to: page, firstKey: level > 0 ? separator : nil)
    page.finish()
    parent.setChild(left, dirtyPointer(page))
    parent.remove(at: right)
    path[level + 1].slot = left
    free(other)
    return true
  }

  /// Appends all records; an inner page's first gets the key that its parent knew it by.
  private func append(_ source: Page, to page: Page, firstKey: UnsafeRawBufferPointer?) {
    for index in 0..<source.count {
      if index == 0, let firstKey {
        page.append(source.record(0), key: firstKey)
      } else {
        page.append(source.record(index))
      }
    }
  }
}
