// Cutting a tree in two along one path, and closing it again over what was taken out: work that follows from the height of the
// tree, not from what is in it.
//
//     before                     cut at `from`, then at `to`               closed
//
//          [ a b c d ]           [ a b ]   [ b c ]   [ c d ]               [ a b c d ]
//         /   |   |   \     ─►     |  \     /   \     /  \           ─►      |  |  |  |
//                                 … left    discarded   right …             as before, less what was between

import Primitives

extension Store {
  /// Takes what is at or behind `key` out of a tree that is not empty. Both trees have the height of before: pages with one
  /// child, and an empty leaf on either side, may be left. `left` and `right` get the pages along the cut, by level. The counts
  /// stay with `tree`. All pages on the way to `key` are pinned or dirty; a new page is made for each level.
  func cut(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer, left: inout [Page], right: inout [Page]
  ) -> Tree {
    let (leaf, index, _) = locate(tree, key)
    right = [newPage(.tree, level: 0)]
    left = [leaf]
    move(from: leaf, at: index, to: right[0])
    for level in 1..<max(1, Int(tree.pointee.height)) {
      let (page, slot) = (path[level].page, path[level].slot)
      let new = newPage(.tree, level: UInt8(level))
      let none = UnsafeRawBufferPointer(start: nil, count: 0)
      let first = new.append(key: none, storedCount: PagePointer.byteCount, isOverflow: false)
      dirtyPointer(right[level - 1]).store(to: first)
      move(from: page, at: slot + 1, to: new)
      left.append(page)
      right.append(new)
    }
    return Tree(root: dirtyPointer(right[right.count - 1]), height: tree.pointee.height)
  }

  /// Moves the records from `index` on behind those of another page.
  private func move(from page: Page, at index: Int, to other: Page) {
    scratchPage.copyMemory(from: page.base, byteCount: Page.byteCount)
    let all = Page(scratchPage)
    page.clear()
    for i in 0..<index { page.append(all.record(i)) }
    page.finish()
    for i in index..<all.count { other.append(all.record(i)) }
    other.finish()
  }

  /// Makes one tree of two that were one, after what lay between was taken out: `left` and `right` are the pages along the
  /// gap, `separator` is above all keys of the one and not above any of the other. Pages that fit into one become one.
  func close(
    _ tree: UnsafeMutablePointer<Tree>, left: [Page], _ separator: UnsafeRawBufferPointer, right: [Page]
  ) {
    var separator = separator
    var isOpen = !merge(left[0], separator, right[0])
    for level in 1..<max(1, left.count) {
      let page = right[level]
      if !isOpen {
        // The first child has become part of the left side.
        guard page.count > 1 else {
          free(dirtyPointer(page))
          continue
        }
        separator = setAside(page.key(1))
        page.removeFirstChild()
      }
      isOpen = !merge(left[level], separator, page)
    }
    if isOpen { growRoot(tree, left[left.count - 1], separator, right[right.count - 1]) }
    lowerRoot(tree)
  }

  /// Puts all of `right` into `left` and frees it, if it fits.
  private func merge(_ left: Page, _ separator: UnsafeRawBufferPointer, _ right: Page) -> Bool {
    let total = left.usedCount + right.usedCount + (left.level > 0 ? separator.count : 0)
    guard total <= Page.contentCount else { return false }
    left.compact(scratch: scratchPage)
    for index in 0..<right.count {
      if index == 0, left.level > 0 {
        left.append(right.record(0), key: separator)
      } else {
        left.append(right.record(index))
      }
    }
    left.finish()
    free(dirtyPointer(right))
    return true
  }

  private func setAside(_ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    if let start = key.baseAddress { separators.copyMemory(from: start, byteCount: key.count) }
    return UnsafeRawBufferPointer(start: separators, count: key.count)
  }

  /// A root over the old one and a page of the same level.
  private func growRoot(
    _ tree: UnsafeMutablePointer<Tree>, _ left: Page, _ separator: UnsafeRawBufferPointer, _ right: Page
  ) {
    let level = Int(tree.pointee.height)
    precondition(level < Int(Tree.heightMax), "a tree has fewer than 32 levels")
    let root = newPage(.tree, level: UInt8(level))
    let none = UnsafeRawBufferPointer(start: nil, count: 0)
    for (key, child) in [(none, left), (separator, right)] {
      let place = root.append(key: key, storedCount: PagePointer.byteCount, isOverflow: false)
      dirtyPointer(child).store(to: place)
    }
    root.finish()
    tree.pointee.root = dirtyPointer(root)
    tree.pointee.height += 1
  }
}

extension Page {
  /// Takes the first of several children out of an inner page. The next one stands for "before everything" then.
  func removeFirstChild() {
    let second = child(1)
    remove(at: 1)
    setChild(0, second)
  }
}
