// Scrubbing: everything that the newest trees lead to is read again from the disk, page after page, while writers go on.
//
//     superblocks ─► bitmaps ─► directory ─► tree of each shard: a page, then what is below it, in the order of keys
//                                                └─ behind each leaf the pages of its long values
//
// A page's checksum stands with its parent. So a step goes down from the root by a key, through pages in memory, to the pointer
// of the next page, and orders that page's copy on the disk, whether it is in memory or not. Between two steps nothing is
// kept but the key: whatever writers did to the tree meanwhile, the next step finds its way from the root.
//
//     key "k", level 1 ──► next: key "k", level 0        down, to the first child
//     key "k", level 0 ──► next: key "m", level 0 or 1   to where the next page of that level begins, by its parents' keys
//
// What comes is put into no frame, so nothing is evicted for it; only pages that pointers stand in must be in memory, of which
// there is one for hundreds of others. A step pins nothing and marks nothing as accessed.
//
// **What counts as damage.** While a page is read it may be freed, its place taken and written again. So bytes that are not what
// the pointer promised are damage only if the page is still live, was not given out anew, and is not being written: a tree still
// leads to it. A page is never written twice under one birth, so there is no third case.
//
// **What is not read.** Pages that are dirty or being written: what they are on disk will be new. Pages that only the older
// superblock leads to: the next checkpoint makes most of them free. Trees that are being freed: `reclaim` reads them itself.

import Primitives

/// An order to read a page's copy on the disk. Hand it back with the bytes (`PageScrub.completed`).
package struct PageScrubRead: Hashable, Sendable {
  enum Target: Hashable, Sendable {
    /// Expected to be of this epoch when `durableEpoch` was what it was at the order.
    case superblock(Epoch, durable: Epoch)
    case bitmap(Int)
    /// A page of the directory (nil) or of a shard, on the way to `key`.
    case tree(ShardID?, key: [UInt8])
    /// A part of the value of `key`.
    case overflow(ShardID, key: [UInt8])
  }

  let expected: PageMissing
  let target: Target

  package var page: PageID { expected.page }
  package var fileOffset: UInt64 { page.fileOffset }
  package var count: Int { Page.byteCount }
  package var isSuperblock: Bool { page.rawValue < 2 }
}

/// What a step comes to.
package enum PageScrubStep: Equatable, Sendable {
  /// The page to be read, if one was found, and how many before it need not be read now.
  case next(PageScrubRead?, skipped: Int)
  /// All orders of this pass were given.
  case done
}

package enum PageScrubVerdict: Equatable, Sendable {
  case sound
  /// The page is no longer what the order was about.
  case outdated
  case damaged(PageScrubDamage)
}

/// A page whose copy on the disk is not what leads to it says.
package struct PageScrubDamage: Equatable, Sendable, CustomStringConvertible {
  package enum Found: Equatable, Sendable {
    case page(PageDamage)
    case superblock(SuperblockProblem)
    case unreadable(errno: Int32)
  }

  package let read: PageScrubRead
  package let found: Found
  package var page: PageID { read.page }

  package var description: String {
    switch found {
    case .page(let damage): damage.description + details(damage.reason)
    case .superblock(let problem):
      "superblock \(page.rawValue) at offset \(page.fileOffset) is damaged: \(problem.message)"
    case .unreadable(let errno): "page \(page.rawValue) at offset \(page.fileOffset) cannot be read (errno \(errno))"
    }
  }

  private func details(_ reason: PageDamage.Reason) -> String {
    func hex(_ number: UInt32) -> String { String(number, radix: 16) }
    guard case .checksum(let found, let expected) = reason else { return "" }
    return " (\(hex(found)), not \(hex(expected)))"
  }
}

/// One pass after the other over a store's pages.
package struct PageScrub: Sendable {
  /// Pages that one step passes over at most.
  static let skipsMax = 64

  private enum Place: Equatable {
    case superblock(UInt32)
    case bitmap(Int)
    /// The next page stands at `level` on the way to `key`; nil: at the root.
    case tree(ShardID?, key: [UInt8], level: Int?)
    /// The first shard behind this one.
    case shard(after: ShardID?)
    case end
  }

  private var place = Place.superblock(0)
  /// Of the leaves last seen, the last ones first.
  private var values: [PageScrubRead] = []

  package init() {}

  /// The next page to be read. Throws when one that a pointer stands in has to be loaded first.
  package mutating func next(_ store: Store) throws(PageMissing) -> PageScrubStep {
    for skipped in 0..<PageScrub.skipsMax {
      guard let read = try advance(store) else { return skipped > 0 ? .next(nil, skipped: skipped) : .done }
      if store.isToScrub(read) { return .next(read, skipped: skipped) }
      passOver(read, store)
    }
    return .next(nil, skipped: PageScrub.skipsMax)
  }

  /// Begins anew.
  package mutating func restart() { self = PageScrub() }

  private mutating func advance(_ store: Store) throws(PageMissing) -> PageScrubRead? {
    if let value = values.popLast() { return value }
    while true {
      switch place {
      case .superblock(let slot):
        place = slot == 0 ? .superblock(1) : .bitmap(0)
        if let read = store.scrubRead(superblock: slot) { return read }
      case .bitmap(let index):
        let bitmaps = store.space.pointee.bitmaps
        guard index < bitmaps.count else {
          place = .tree(nil, key: [], level: nil)
          continue
        }
        place = .bitmap(index + 1)
        if bitmaps[index].isNone { continue }
        return PageScrubRead(
          expected: PageMissing(pointer: bitmaps[index], kind: .bitmap, level: 0), target: .bitmap(index))
      case .tree(let shard, let key, let level):
        if let read = try advance(store, shard, key, level) { return read }
      case .shard(let last):
        guard let shard = try store.shard(after: last) else {
          place = .end
          continue
        }
        place = .tree(shard, key: [], level: nil)
      case .end: return nil
      }
    }
  }

  /// The page at `level` on the way to `key`; nil when the tree has none, and the walk goes on behind it.
  private mutating func advance(
    _ store: Store, _ shard: ShardID?, _ key: [UInt8], _ level: Int?
  ) throws(PageMissing) -> PageScrubRead? {
    let tree = try store.scrubbedTree(shard)
    guard let tree, tree.height > 0 else {
      place = .shard(after: shard)
      return nil
    }
    let level = min(level ?? .max, Int(tree.height) - 1)
    let way = try store.way(to: key, level: level, in: tree)
    if level > 0 {
      place = .tree(shard, key: key, level: level - 1)
    } else if let next = way.next {
      place = .tree(shard, key: next.key, level: next.level)
    } else {
      place = .shard(after: shard)
    }
    let expected = PageMissing(pointer: store.sealed(way.pointer), kind: .tree, level: UInt8(level))
    return PageScrubRead(expected: expected, target: .tree(shard, key: key))
  }

  /// A leaf that is not read may have long values that are.
  private mutating func passOver(_ read: PageScrubRead, _ store: Store) {
    guard case .tree = read.target, read.expected.level == 0,
      let leaf = store.resident(read.expected.pointer, .tree, level: 0)
    else { return }
    takeValues(of: leaf, read.target)
  }

  private mutating func takeValues(of leaf: Page, _ target: PageScrubRead.Target) {
    guard case .tree(let shard?, _) = target else { return }
    var found: [PageScrubRead] = []
    for index in 0..<leaf.count where leaf.isOverflow(index) {
      let list = OverflowList(checked: UnsafeRawBufferPointer(leaf.stored(index)))
      let key = Array(leaf.key(index))
      for i in 0..<list.pageCount {
        let expected = PageMissing(pointer: list.pointer(i), kind: .overflow, level: 0)
        found.append(PageScrubRead(expected: expected, target: .overflow(shard, key: key)))
      }
    }
    values += found.reversed()
  }
}

// MARK: Judging

extension PageScrub {
  /// A page's bytes have come from the disk, decrypted.
  package mutating func completed(
    _ read: PageScrubRead, _ bytes: UnsafeRawBufferPointer, _ store: Store
  ) -> PageScrubVerdict {
    guard let base = bytes.baseAddress else { preconditionFailure("a page is read whole") }
    if case .superblock(let epoch, _) = read.target { return judge(superblock: bytes, read, epoch, store) }
    do throws(PageDamage) {
      try checkPage(bytes, is: read.expected, pageCount: store.space.pointee.pageCount)
    } catch {
      return store.isStillExpected(read) ? .damaged(PageScrubDamage(read: read, found: .page(error))) : .outdated
    }
    if read.expected.kind == .tree, read.expected.level == 0 { takeValues(of: Page(base), read.target) }
    return .sound
  }

  /// The device said no.
  package func failed(_ read: PageScrubRead, errno: Int32, _ store: Store) -> PageScrubVerdict {
    store.isStillExpected(read) ? .damaged(PageScrubDamage(read: read, found: .unreadable(errno: errno))) : .outdated
  }

  private func judge(
    superblock bytes: UnsafeRawBufferPointer, _ read: PageScrubRead, _ epoch: Epoch, _ store: Store
  ) -> PageScrubVerdict {
    var problem: SuperblockProblem?
    do throws(SuperblockProblem) {
      let found = try Superblock.decode(bytes)
      if found.epoch != epoch { problem = .field("of checkpoint \(found.epoch.rawValue), not \(epoch.rawValue)") }
      if found.identity != store.identity { problem = .field("of another directory") }
    } catch { problem = error }
    guard let problem, store.isStillExpected(read) else { return problem == nil ? .sound : .outdated }
    return .damaged(PageScrubDamage(read: read, found: .superblock(problem)))
  }
}

// MARK: What the store says

extension Store {
  /// Pages that scrubbing reads in a pass, about.
  package var pagesToScrub: Int {
    space.pointee.awaited.isEmpty ? space.pointee.liveCount : Int(space.pointee.pageCount)
  }

  /// Nil for one that was damaged when the file was opened, until it has been written anew.
  fileprivate func scrubRead(superblock slot: UInt32) -> PageScrubRead? {
    let isNewest = durableEpoch.rawValue & 1 == UInt64(slot)
    let isKnownDamage = damagedSuperblock != nil && durableEpoch == openedEpoch
    guard isNewest || !isKnownDamage && durableEpoch.rawValue > 0 else { return nil }
    let epoch = isNewest ? durableEpoch : Epoch(durableEpoch.rawValue - 1)
    let pointer = PagePointer(page: PageID(slot), checksum: 0, birth: epoch)
    return PageScrubRead(
      expected: PageMissing(pointer: pointer, kind: .bitmap, level: 0),
      target: .superblock(epoch, durable: durableEpoch))
  }

  fileprivate func scrubbedTree(_ shard: ShardID?) throws(PageMissing) -> Tree? {
    guard let shard else { return directory.pointee }
    return try find(shard)?.pointee.tree.pointee
  }

  fileprivate func shard(after last: ShardID?) throws(PageMissing) -> ShardID? {
    if let last, last.rawValue == .max { return nil }
    var key = (last.map { $0.rawValue + 1 } ?? 0).bigEndian
    let cursor = Cursor(self, directory)
    var isOn = try withUnsafeBytes(of: &key) { bytes throws(PageMissing) in try cursor.seek(atOrAfter: bytes) }
    while isOn {
      let key = try cursor.key()
      if key.count == 8 { return ShardID(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self))) }
      isOn = try cursor.next()
    }
    return nil
  }

  /// The pointer of the page at `level` on the way to `key`, and where the page behind it begins: the highest one that does.
  fileprivate func way(
    to key: [UInt8], level: Int, in tree: Tree
  ) throws(PageMissing) -> (pointer: PagePointer, next: (key: [UInt8], level: Int)?) {
    var pointer = tree.root
    var next: (key: [UInt8], level: Int)?
    for above in (level + 1..<Int(tree.height)).reversed() {
      guard let page = resident(pointer, .tree, level: UInt8(above)) else {
        throw PageMissing(pointer: pointer, kind: .tree, level: UInt8(above))
      }
      let slot = key.withUnsafeBytes { page.childIndex($0) }
      if slot + 1 < page.count { next = (Array(page.key(slot + 1)), above - 1) }
      pointer = page.child(slot)
    }
    return (pointer, next)
  }

  /// Is the disk's copy what the pointer says?
  fileprivate func isToScrub(_ read: PageScrubRead) -> Bool {
    read.isSuperblock ? !isBeingWritten(superblock: read.page) : isOnDisk(read.page)
  }

  private func isOnDisk(_ page: PageID) -> Bool {
    guard Int(page.rawValue) < tableCount else { return false }
    switch entry(page).pointee.state {
    case .absent, .clean: return true
    case .dirty, .frozen, .frozenOrphan: return false
    }
  }

  private func isBeingWritten(superblock page: PageID) -> Bool {
    checkpoint.state == .writingSuperblock && UInt64(page.rawValue) == checkpoint.epoch.rawValue & 1
  }

  /// The second look: does a tree still lead to the very page that was to be read, and does nobody write it?
  func isStillExpected(_ read: PageScrubRead) -> Bool {
    if case .superblock(_, let durable) = read.target {
      return durableEpoch == durable && !isBeingWritten(superblock: read.page)
    }
    guard isOnDisk(read.page), entry(read.page).pointee.birth <= read.expected.pointer.birth else { return false }
    return !space.pointee.awaited.isEmpty || space.pointee.isLive(read.page.rawValue)
  }
}

extension Store {
  /// For tests of rot: a page that a tree leads to, in memory as it is on the disk.
  package func isCleanInMemory(_ page: PageID) -> Bool {
    guard page.rawValue > 1, Int(page.rawValue) < tableCount, space.pointee.awaited.isEmpty else { return false }
    return space.pointee.isLive(page.rawValue) && entry(page).pointee.state == .clean
  }
}
