// Trees that nobody reads any more, on their way to be freed a page at a time.
//
// They are a stack, each a record of the directory, so that a checkpoint holds them like all else and a restart goes on where
// it was:
//
//     key     0      1      FF
//             1      4      place in the stack from 0, big-endian
//     value                 as that of a shard, with no rows; metadata: children of the root that are freed already, u16
//
// The top is worked on: its next child is put on the stack, or, without any left, the page is freed. So of one tree there is a
// record a level at most.

import Primitives

enum DiscardedKey {
  static let mark: UInt8 = 0xFF
  /// Behind all places that the stack will ever have, and before the last shard.
  static let end: [UInt8] = [mark, 0xFF]

  static func encoded(_ place: UInt32) -> [UInt8] {
    precondition(place < 0xFF00_0000, "the stack is of some trees")
    return [mark] + withUnsafeBytes(of: place.bigEndian) { Array($0) }
  }

  /// The place; nil for the keys of shards, which have another length.
  static func place(_ key: UnsafeRawBufferPointer) -> UInt32? {
    guard key.count == 5, key[0] == mark else { return nil }
    return UInt32(bigEndian: key.loadUnaligned(fromByteOffset: 1, as: UInt32.self))
  }
}

/// A page whose tree was discarded.
struct DiscardedPage: Equatable {
  var pointer: PagePointer
  var level: UInt8
  /// So many of its children are freed.
  var freedChildren: Int

  /// Nil when the record is none.
  init?(_ record: DirectoryRecord) {
    guard record.metadata.count == 2, record.tree.height > 0 else { return nil }
    pointer = record.tree.root
    level = UInt8(record.tree.height - 1)
    freedChildren = Int(record.metadata[0]) | Int(record.metadata[1]) << 8
  }

  init(_ pointer: PagePointer, level: UInt8) {
    (self.pointer, self.level) = (pointer, level)
    freedChildren = 0
  }

  var record: DirectoryRecord {
    DirectoryRecord(
      tree: Tree(root: pointer, height: UInt32(level) + 1),
      metadata: [UInt8(truncatingIfNeeded: freedChildren), UInt8(truncatingIfNeeded: freedChildren >> 8)])
  }
}

extension Store {
  /// Pins where the next tree is put on the stack. Any number of further ones go to the same leaf.
  func prepareDiscard() throws(PrepareFailure) {
    try missing { () throws(PageMissing) in
      if discardedCount == nil { discardedCount = try topDiscarded().map { $0.place + 1 } ?? 0 }
      try pinPlace(discardedCount ?? 0, forDelete: false)
    }
    try reserve(Int(directory.pointee.height) + 2, keepsFree: limits.deleteHeadroomPages)
  }

  /// Nobody reads the tree any more. Needs `prepareDiscard`.
  func discard(_ tree: Tree) {
    guard tree.height > 0 else { return }
    guard let count = discardedCount else { preconditionFailure("pass one has counted what is discarded") }
    write(DiscardedPage(tree.root, level: UInt8(tree.height - 1)), at: count)
    discardedCount = count + 1
  }

  /// False when `reclaim` has nothing to do.
  package var mayHaveDiscarded: Bool { discardedCount != 0 }

  /// Frees up to `pagesMax` pages of trees that were discarded, each in a batch of its own. Throws when a page has to be
  /// loaded or there is no room now; then it may have freed some. True when nothing is left.
  package func reclaim(pagesMax: Int) throws(PrepareFailure) -> Bool {
    for _ in 0..<pagesMax {
      guard discardedCount != 0 else { return true }
      defer { endWrite() }
      if let top = try prepareReclaim() { reclaim(top.page, at: top.place) }
    }
    return discardedCount == 0
  }

  private typealias Top = (place: UInt32, page: DiscardedPage)

  /// Pins all that freeing the top touches.
  private func prepareReclaim() throws(PrepareFailure) -> Top? {
    isBatchOpen = true
    let top = try missing { () throws(PageMissing) -> Top? in
      try requireSpace()
      guard let top = try topDiscarded() else { return nil }
      pin(try access(top.page.pointer, .tree, level: top.page.level))
      try pinPlace(top.place, forDelete: true)
      try pinPlace(top.place + 1, forDelete: false)
      return top
    }
    discardedCount = top.map { $0.place + 1 } ?? 0
    if top != nil { try reserve(Int(directory.pointee.height) + 2, keepsFree: 0) }
    return top
  }

  private func pinPlace(_ place: UInt32, forDelete: Bool) throws(PageMissing) {
    try DiscardedKey.encoded(place).withBytes { key throws(PageMissing) in
      try pinPath(directory, key, forDelete: forDelete)
    }
  }

  private func topDiscarded() throws(PageMissing) -> Top? {
    let cursor = Cursor(self, directory)
    let isOn = try DiscardedKey.end.withBytes { end throws(PageMissing) in try cursor.seek(before: end) }
    guard isOn else { return nil }
    let (key, value) = try cursor.row()
    guard let place = DiscardedKey.place(key) else { return nil }
    guard let record = DirectoryRecord(value, pageCount: space.pointee.pageCount), let page = DiscardedPage(record)
    else {
      preconditionFailure("the directory holds records of shards and of discarded trees")
    }
    return (place, page)
  }

  /// Puts the page's next child on the stack; frees the page when it has none left.
  private func reclaim(_ top: DiscardedPage, at place: UInt32) {
    changeCount &+= 1
    let page = prepared(top.pointer, .tree, level: top.level)
    if top.level > 0, top.freedChildren < page.count {
      var rest = top
      rest.freedChildren += 1
      write(rest, at: place)
      write(DiscardedPage(page.child(top.freedChildren), level: top.level - 1), at: place + 1)
      discardedCount = place + 2
      return
    }
    if top.level == 0 {
      for index in 0..<page.count where page.isOverflow(index) {
        freeOverflow(OverflowList(checked: UnsafeRawBufferPointer(page.stored(index))))
      }
    }
    let wasThere = DiscardedKey.encoded(place).withUnsafeBytes { delete(directory, $0) }
    precondition(wasThere, "what is freed was discarded")
    free(top.pointer)
    discardedCount = place
  }

  private func write(_ page: DiscardedPage, at place: UInt32) {
    DiscardedKey.encoded(place).withUnsafeBytes { key in
      page.record.encoded().withUnsafeBytes { put(directory, key, $0) }
    }
  }
}

extension [UInt8] {
  /// `withUnsafeBytes` with a typed error.
  fileprivate func withBytes<T>(
    _ body: (UnsafeRawBufferPointer) throws(PageMissing) -> T
  ) throws(PageMissing) -> T {
    let result = withUnsafeBytes { bytes -> Result<T, PageMissing> in
      do throws(PageMissing) { return .success(try body(bytes)) } catch { return .failure(error) }
    }
    return try result.get()
  }
}
