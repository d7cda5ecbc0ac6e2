// The walk to the leaf of a key, and the memory of the last one: a command looks for a row, prepares its change and makes it,
// three times the same way.

import Primitives

/// Where the last walk led. Its pages are in `Store.path`, and are what they were: whoever drops a page from memory, gives one
/// another place or changes a record forgets the walk.
struct LastWalk {
  /// Of the walk; nil when there is none that can be used again.
  var tree: UnsafeMutablePointer<Tree>?
  /// The slot of the key in its leaf, or the slot where it belongs.
  var index = 0
  var isFound = false
  /// Beside the tree's, since keys of some other length are common in batches.
  var keyCount = 0

  /// Longer keys are walked to each time: the bytes are kept, and compared.
  static let keyCountMax = 256
}

extension Store {
  /// `get` by one who is about to write to the key: `prepareWrite` or `prepareDelete`, and then the change, go the same way
  /// without searching again if nothing has come between.
  package func getToWrite(
    _ shard: ShardID, _ key: UnsafeRawBufferPointer
  ) throws(PageMissing) -> UnsafeRawBufferPointer? {
    guard let state = try find(shard) else { preconditionFailure("rows are read from shards that exist") }
    let tree = state.pointee.tree
    guard tree.pointee.height > 0 else { return nil }
    if !isWalked(tree, key) { try walk(tree, key, pins: false) }
    let last = self.state.pointee.walk
    return last.isFound ? try value(of: path[0].page, last.index) : nil
  }

  /// To the leaf of `key` in a tree that is not empty, leaving `path` behind. What was pinned stays so when a page is missing.
  @inline(__always) func walk(
    _ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer, pins: Bool
  ) throws(PageMissing) {
    forgetWalk()
    var level = Int(tree.pointee.height) - 1
    var page = try access(tree.pointee.root, .tree, level: UInt8(level))
    path[level].page = page
    if pins { pin(page) }
    while level > 0 {
      let slot = page.childIndex(key)
      path[level].slot = slot
      level -= 1
      let child = page.child(slot)
      if level == 0 { prefetchSlots(of: child.page) }
      page = try access(child, .tree, level: UInt8(level))
      path[level].page = page
      if pins { pin(page) }
    }
    let (index, found) = page.find(key)
    if key.count <= LastWalk.keyCountMax, let start = key.baseAddress {
      walkedKey.copyMemory(from: start, byteCount: key.count)
      state.pointee.walk = LastWalk(tree: tree, index: index, isFound: found, keyCount: key.count)
    } else {
      (state.pointee.walk.index, state.pointee.walk.isFound) = (index, found)
    }
  }

  /// Was the last walk to this key, and is `path` still what it was?
  @inline(__always) func isWalked(_ tree: UnsafeMutablePointer<Tree>, _ key: UnsafeRawBufferPointer) -> Bool {
    guard state.pointee.walk.tree == tree, state.pointee.walk.keyCount == key.count else { return false }
    return compareBytes(UnsafeRawBufferPointer(start: walkedKey, count: key.count), key) == 0
  }

  @inline(__always) func forgetWalk() { state.pointee.walk.tree = nil }
}
