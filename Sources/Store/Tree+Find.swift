// Reading one key.

import Primitives

extension Store {
  /// The value of `key`, or nil. The bytes are valid until the next call that may change or load pages, or reads another
  /// long value. After `prepareRead` of the key it cannot miss before `endWrite`.
  package func get(
    _ shard: ShardID, _ key: UnsafeRawBufferPointer
  ) throws(PageMissing) -> UnsafeRawBufferPointer? {
    guard let state = try find(shard) else { preconditionFailure("rows are read from shards that exist") }
    return try get(state.pointee.tree, key)
  }

  @inline(__always) func get(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer
  ) throws(PageMissing) -> UnsafeRawBufferPointer? {
    guard tree.pointee.height > 0 else { return nil }
    let leaf = try findLeaf(tree, key)
    let (index, found) = leaf.find(key)
    return found ? try value(of: leaf, index) : nil
  }

  @inline(__always) private func findLeaf(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer
  ) throws(PageMissing) -> Page {
    var level = UInt8(tree.pointee.height - 1)
    var page = try access(tree.pointee.root, .tree, level: level)
    while level > 0 {
      level -= 1
      let child = page.child(page.childIndex(key))
      if level == 0 { prefetchSlots(of: child.page) }
      page = try access(child, .tree, level: level)
    }
    return page
  }

  /// Asks for the first lines of a page that is to be searched next.
  @inline(__always) func prefetchSlots(of page: PageID) {
    let index = Int(page.rawValue)
    if index < tableCount, let frame = table[index].frame { Page(frame).prefetchSlots() }
  }

  /// `get` in pass two, of a key that was prepared with `prepareRead`, or written in this batch.
  package func getPrepared(_ shard: ShardID, _ key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    do throws(PageMissing) {
      return try get(shard, key)
    } catch { preconditionFailure("pass two reads only what pass one has prepared") }
  }
}
