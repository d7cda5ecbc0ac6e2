// Deleting all rows of a range of keys, in time that does not grow with their number.

import Primitives

extension Store {
  /// Prepares `deleteRange`.
  package func prepareDeleteRange(
    _ shard: ShardID, from: UnsafeRawBufferPointer, to: UnsafeRawBufferPointer
  ) throws(PrepareFailure) {
    precondition(max(from.count, to.count) <= StoreLimits.keyCountMax, "a key within its limit")
    let tree = try openTree(shard)
    try missing { () throws(PageMissing) in
      try pinPath(tree, from, forDelete: true)
      try pinPath(tree, to, forDelete: true)
    }
    try reserve(2 * Int(tree.pointee.height) + 1, keepsFree: limits.deleteHeadroomPages)
    try prepareDiscard()
  }

  /// Deletes the rows at or behind `from` and before `to`, which is behind it: `rows` rows of `bytes` bytes of keys and values,
  /// which the caller knows and the tree does not. Needs `prepareDeleteRange`.
  ///
  /// What lies between the two cuts is taken out as a tree of its own. Nobody reads it any more; its pages are freed by
  /// `reclaim`, some at a time.
  package func deleteRange(
    _ shard: ShardID, from: UnsafeRawBufferPointer, to: UnsafeRawBufferPointer, rows: UInt64, bytes: UInt64
  ) {
    precondition(compareBytes(from, to) < 0, "a range ends behind its start")
    let state = preparedShard(shard)
    let tree = state.pointee.tree
    guard tree.pointee.height > 0 else { return }
    touch(state)
    changeCount &+= 1
    reshapeCount &+= 1
    if deleteInLeaf(tree, from, to, rows: rows) { return }
    let low = lowerBoundOfLeaf(tree, from)
    var (left, middle, end, right): ([Page], [Page], [Page], [Page]) = ([], [], [], [])
    var rest = cut(tree, from, left: &left, right: &middle)
    _ = withUnsafeMutablePointer(to: &rest) { cut($0, to, left: &end, right: &right) }
    discard(rest)
    close(tree, left: left, to, right: right)
    precondition(tree.pointee.rows >= rows && tree.pointee.bytes >= bytes, "no more is deleted than there is")
    tree.pointee.rows -= rows
    tree.pointee.bytes -= bytes
    if left[0].count == 0 { emptied.append(EmptiedLeaf(tree: tree, key: low)) }
  }

  /// A key that belongs to the same leaf as `key`, and is not above any other that does.
  private func lowerBoundOfLeaf(_ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer) -> [UInt8] {
    _ = descend(tree, key)
    for level in 1..<max(1, Int(tree.pointee.height)) where path[level].slot > 0 {
      return Array(path[level].page.key(path[level].slot))
    }
    return []
  }

  /// Both ends lie in one leaf: its records go one by one. False if they do not.
  private func deleteInLeaf(
    _ tree: UnsafeMutablePointer<Tree>, _ from: UnsafeRawBufferPointer, _ to: UnsafeRawBufferPointer, rows: UInt64
  ) -> Bool {
    let (last, end, _) = locate(tree, to)
    let (leaf, start, _) = locate(tree, from)
    guard leaf.base == last.base else { return false }
    precondition(end - start == Int(rows), "as many rows are deleted as there are")
    for _ in start..<end { removeRecord(tree, leaf, start) }
    if start < end { rebalance(tree, from) }
    return true
  }
}
