// What the next writes will touch is asked of the processor's memory ahead of them, for several keys side by side: a walk to a
// leaf is a chain of waits for lines that are not in its caches, and the waits of different keys pass at the same time. All of
// it is a hint: nothing follows from it but time.

import Primitives

/// A key that will soon be written to.
package struct KeyAhead {
  package var key: UnsafeRawBufferPointer
  /// Bytes that its record will have, about.
  package var recordCount: Int
  /// Where the walk has come to.
  fileprivate var pointer = PagePointer(page: PageID(0), checksum: 0, birth: Epoch(0))
  fileprivate var page: UnsafeMutableRawPointer?
  fileprivate var slot = 0
  fileprivate var reshapeCount: UInt64 = 0

  package init(key: UnsafeRawBufferPointer, recordCount: Int) {
    self.key = key
    self.recordCount = recordCount
  }

  /// For the write.
  package var leaf: LeafAhead {
    LeafAhead(frame: page, page: pointer.page, reshapeCount: reshapeCount)
  }

  /// Nothing is asked for.
  package static var none: KeyAhead { KeyAhead(key: UnsafeRawBufferPointer(start: nil, count: 0), recordCount: 0) }
}

/// The leaf to which the way of a key has led. A hint: whoever uses it looks whether it still holds.
package struct LeafAhead {
  fileprivate(set) var frame: UnsafeMutableRawPointer?
  fileprivate(set) var page: PageID
  fileprivate(set) var reshapeCount: UInt64

  package static var none: LeafAhead { LeafAhead(frame: nil, page: PageID(0), reshapeCount: 0) }
}

extension Store {
  /// Asks for the leaves of `keys`, as far as the ways there are in memory; goes down all ways level by level.
  package func prefetchLeaves(_ shard: ShardID, _ keys: UnsafeMutableBufferPointer<KeyAhead>) {
    guard let state = lastShard, state.pointee.shard == shard, state.pointee.tree.pointee.height > 0 else {
      for index in keys.indices { keys[index].page = nil }
      return
    }
    let (root, height) = (state.pointee.tree.pointee.root, Int(state.pointee.tree.pointee.height))
    // No page has the id of a superblock, so a way from there leads nowhere.
    for index in keys.indices { keys[index].pointer = keys[index].key.isEmpty ? KeyAhead.none.pointer : root }
    for level in (1..<max(1, height)).reversed() { descend(keys, from: UInt8(level)) }
    for index in keys.indices {
      let page = Int(keys[index].pointer.page.rawValue)
      keys[index].page = page < tableCount ? table[page].frame : nil
      keys[index].reshapeCount = reshapeCount
      if let frame = keys[index].page { Page(frame).prefetchFirstSlots() }
    }
    for index in keys.indices {
      if let frame = keys[index].page { Page(frame).prefetchOtherSlots() }
    }
  }

  private func descend(_ keys: UnsafeMutableBufferPointer<KeyAhead>, from level: UInt8) {
    for index in keys.indices { keys[index].page = resident(keys[index].pointer, .tree, level: level)?.base }
    for index in keys.indices {
      guard let page = keys[index].page else { continue }
      keys[index].slot = Page(page).childIndex(keys[index].key)
    }
    for index in keys.indices {
      guard let page = keys[index].page else { continue }
      keys[index].pointer = Page(page).child(keys[index].slot)
    }
  }

  /// Asks for the place in the leaf where the record will go, once the leaf's header is there. For the rest of a long one the processor
  /// asks by itself.
  package func prefetchPlace(_ ahead: KeyAhead) {
    guard let page = ahead.page else { return }
    let (heap, start) = (Page(page).heap, max(0, Page(page).heap - ahead.recordCount))
    for offset in stride(from: start, to: min(heap, start + Store.placeBytesAhead, Page.byteCount), by: 64) {
      prefetch(page + offset)
    }
  }

  private static var placeBytesAhead: Int { 512 }
}
