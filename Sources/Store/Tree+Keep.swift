// Replacing or deleting a row and keeping what it was under another key, for older versions.
//
// The record moves as it is: stored bytes and, of a long value, the list of its overflow pages. So what is kept costs one
// more record and no copy of a long value, however often it moves.

import Primitives

extension Store {
  /// Puts `value` under `key`, which exists; what it was is found under `kept`, which does not. Needs `prepareWrite` of
  /// `key` and `prepareKeep` of `kept`.
  package func put(
    _ shard: ShardID, _ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer,
    keepingOldAs kept: UnsafeRawBufferPointer
  ) {
    precondition(value.count <= StoreLimits.valueCountMax, "a value within its limit")
    let tree = changed(shard)
    let (leaf, index, old) = takeAside(tree, key)
    if !replaceInPlace(tree, leaf, index, value) {
      let before = leaf.usedCount
      takeOutRecord(tree, leaf, index)
      add(tree, leaf, index, key, value, usedBefore: before)
    }
    keep(tree, old, as: kept)
  }

  /// Deletes `key`, which exists; what it was is found under `kept`, which does not. Needs `prepareDelete` of `key` and
  /// `prepareKeep` of `kept`.
  package func delete(
    _ shard: ShardID, _ key: UnsafeRawBufferPointer, keepingOldAs kept: UnsafeRawBufferPointer
  ) {
    let tree = changed(shard)
    let (leaf, index, old) = takeAside(tree, key)
    takeOutRecord(tree, leaf, index)
    rebalance(tree, key)
    keep(tree, old, as: kept)
  }

  private func changed(_ shard: ShardID) -> UnsafeMutablePointer<Tree> {
    let state = preparedShard(shard)
    touch(state)
    changeCount &+= 1
    return state.pointee.tree
  }

  /// A record's stored bytes, in `keptScratch`.
  private struct KeptRecord {
    let storedCount: Int
    let valueCount: Int
    let isOverflow: Bool
  }

  private func takeAside(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer
  ) -> (leaf: Page, index: Int, old: KeptRecord) {
    let (leaf, index, found) = locate(tree, key)
    precondition(found, "what is kept exists")
    let stored = leaf.stored(index)
    if let start = stored.baseAddress { keptScratch.copyMemory(from: start, byteCount: stored.count) }
    let old = KeptRecord(
      storedCount: stored.count, valueCount: leaf.valueCount(index), isOverflow: leaf.isOverflow(index))
    return (leaf, index, old)
  }

  private func keep(_ tree: UnsafeMutablePointer<Tree>, _ old: KeptRecord, as kept: UnsafeRawBufferPointer) {
    if tree.pointee.height == 0 { plant(tree) }
    let (index, found) = descend(tree, kept).find(kept)
    precondition(!found, "nothing is kept twice under one key")
    tree.pointee.rows += 1
    tree.pointee.bytes += UInt64(kept.count + old.valueCount)
    place(
      tree, level: 0, index, kept, UnsafeRawBufferPointer(start: keptScratch, count: old.storedCount),
      isOverflow: old.isOverflow)
  }
}
