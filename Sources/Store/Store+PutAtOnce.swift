// A put that needs nothing: its leaf was changed since the last freeze and has room. Such a put takes neither a frame nor a page, so
// there is nothing to pin, to reserve or to give back, and both passes are one. Between two checkpoints most puts are of this kind.

import Primitives

/// Where a key is in a leaf that may be changed as it is, or where it belongs there. Valid until the store is called with anything
/// that loads or changes a page.
package struct LeafPlace {
  fileprivate let tree: UnsafeMutablePointer<Tree>
  fileprivate let leaf: Page
  fileprivate let index: Int
  fileprivate let isFound: Bool

  /// The value that is there; nil when there is none.
  package var value: UnsafeRawBufferPointer? { isFound ? UnsafeRawBufferPointer(leaf.stored(index)) : nil }
}

extension Store {
  /// Where `key` may be put at once; nil when that takes more than its leaf, or its value is a long one. `ahead` is where it was seen
  /// by `prefetchLeaves`, and saves the way to it.
  package func placeAtOnce(
    _ shard: ShardID, _ key: UnsafeRawBufferPointer, ahead: LeafAhead
  ) throws(PageMissing) -> LeafPlace? {
    guard let state = try find(shard), state.pointee.touched == epoch, !isBatchOpen else { return nil }
    let tree = state.pointee.tree
    guard let place = placeAhead(tree, key, ahead) else { return try walkedPlace(tree, key) }
    return place
  }

  /// In the leaf that was seen ahead, if it is still what it was and the key lies between others of it. Then the leaf is the key's,
  /// whatever was put, split or merged meanwhile: ranges of leaves do not overlap.
  @inline(__always) private func placeAhead(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer, _ ahead: LeafAhead
  ) -> LeafPlace? {
    guard let frame = ahead.frame, ahead.reshapeCount == reshapeCount, case let leaf = Page(frame),
      leaf.tag == Page.tag(kind: .tree, level: 0, id: ahead.page), leaf.birth == epoch
    else { return nil }
    let (index, isFound) = leaf.find(key)
    guard isFound ? !leaf.isOverflow(index) : index > 0 && index < leaf.count else { return nil }
    return LeafPlace(tree: tree, leaf: leaf, index: index, isFound: isFound)
  }

  private func walkedPlace(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer
  ) throws(PageMissing) -> LeafPlace? {
    guard tree.pointee.height > 0 else { return nil }
    if !isWalked(tree, key) { try walk(tree, key, pins: false) }
    let (leaf, walk) = (path[0].page, self.state.pointee.walk)
    assert(leaf.birth < epoch || (0..<Int(tree.pointee.height)).allSatisfy { path[$0].page.birth == epoch })
    guard leaf.birth == epoch, !walk.isFound || !leaf.isOverflow(walk.index) else { return nil }
    return LeafPlace(tree: tree, leaf: leaf, index: walk.index, isFound: walk.isFound)
  }

  /// Makes a record for `key` at `place` with a value of `valueCount` bytes, or takes the one that is there if its value has as many,
  /// and returns where the value is to be written, at once. Nil when there is no room, and nothing has changed.
  package func open(
    _ place: LeafPlace, _ key: UnsafeRawBufferPointer, valueCount: Int
  ) -> UnsafeMutableRawBufferPointer? {
    let (tree, leaf) = (place.tree, place.leaf)
    if place.isFound {
      let stored = leaf.stored(place.index)
      guard stored.count == valueCount else { return nil }
      forgetWalk()
      changeCount &+= 1
      return stored
    }
    guard Store.isInline(keyCount: key.count, valueCount: valueCount),
      leaf.gapCount >= Page.entryCount(keyCount: key.count, storedCount: valueCount)
    else { return nil }
    forgetWalk()
    changeCount &+= 1
    tree.pointee.rows += 1
    tree.pointee.bytes += UInt64(key.count + valueCount)
    let target = leaf.insert(at: place.index, key: key, storedCount: valueCount, isOverflow: false)
    return UnsafeMutableRawBufferPointer(start: target, count: valueCount)
  }
}
