// Values that are too long for a leaf: cut into pages, which the leaf's record lists.
//
//     stored bytes of the record   0      4       value count
//                                  4      16 n    pointers to the pages, in order; all but the last are full

import Primitives

/// The stored bytes of a record whose value lies in overflow pages.
struct OverflowList {
  let bytes: UnsafeRawBufferPointer

  static func pageCount(_ valueCount: Int) -> Int { (valueCount + Page.contentCount - 1) / Page.contentCount }
  static func byteCount(_ valueCount: Int) -> Int { 4 + pageCount(valueCount) * PagePointer.byteCount }
  static let byteCountMax = byteCount(StoreLimits.valueCountMax)

  /// Nil when length and value count do not fit together.
  init?(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    guard bytes.count >= 4, valueCount <= StoreLimits.valueCountMax,
      bytes.count == OverflowList.byteCount(valueCount)
    else { return nil }
  }

  /// Of a record that has been checked.
  init(checked bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var valueCount: Int { Int(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self))) }
  var pageCount: Int { OverflowList.pageCount(valueCount) }
  func pointer(_ index: Int) -> PagePointer {
    guard let base = bytes.baseAddress else { preconditionFailure("a list has bytes") }
    return PagePointer(from: base + 4 + index * PagePointer.byteCount)
  }
  /// Bytes of the value on page `index`.
  func pieceCount(_ index: Int) -> Int { min(Page.contentCount, valueCount - index * Page.contentCount) }
}

extension Page {
  /// Length of a leaf's value, wherever it lies.
  func valueCount(_ index: Int) -> Int {
    let stored = UnsafeRawBufferPointer(stored(index))
    return isOverflow(index) ? OverflowList(checked: stored).valueCount : stored.count
  }
}

extension Store {
  /// Does the value stay in the leaf?
  static func isInline(keyCount: Int, valueCount: Int) -> Bool {
    valueCount <= StoreLimits.inlineValueCountMax
      && Page.entryCount(keyCount: keyCount, storedCount: valueCount) <= StoreLimits.entryCountMax
  }

  /// Writes the value to new pages, sealed at once as they never change, and returns the list for the record. The list is
  /// valid until the next call.
  func writeOverflow(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    let list = UnsafeRawBufferPointer(start: overflowScratch, count: OverflowList.byteCount(value.count))
    overflowScratch.storeBytes(of: UInt32(value.count).littleEndian, as: UInt32.self)
    for index in 0..<OverflowList.pageCount(value.count) {
      let start = index * Page.contentCount
      let piece = UnsafeRawBufferPointer(rebasing: value[start..<min(start + Page.contentCount, value.count)])
      let page = newPage(.overflow, level: 0)
      page.payloadCount = piece.count
      if let bytes = piece.baseAddress { page.content.copyMemory(from: bytes, byteCount: piece.count) }
      PagePointer(page: page.id, checksum: checksum(page), birth: epoch)
        .store(to: overflowScratch + 4 + index * PagePointer.byteCount)
    }
    return list
  }

  func freeOverflow(_ list: OverflowList) {
    for index in 0..<list.pageCount { free(list.pointer(index)) }
  }

  /// The value of a record, in the page or put together in the scratch buffer.
  @inline(__always) func value(of page: Page, _ index: Int) throws(PageMissing) -> UnsafeRawBufferPointer {
    if !page.isOverflow(index) { return UnsafeRawBufferPointer(page.stored(index)) }
    return try assemble(OverflowList(checked: UnsafeRawBufferPointer(page.stored(index))))
  }

  @inline(never) private func assemble(_ list: OverflowList) throws(PageMissing) -> UnsafeRawBufferPointer {
    // Nothing is copied before all of it is there.
    try requireAll(list)
    reserveValueScratch(list.valueCount)
    guard let target = valueScratch.baseAddress else { preconditionFailure("the scratch buffer has room") }
    for index in 0..<list.pageCount {
      let page = try access(list.pointer(index), .overflow, level: 0)
      (target + index * Page.contentCount).copyMemory(from: page.content, byteCount: list.pieceCount(index))
    }
    return UnsafeRawBufferPointer(start: target, count: list.valueCount)
  }

  /// Throws the first page that is missing, and keeps the others for `takeMissesAhead`: a disk reads many in hardly more
  /// time than one.
  private func requireAll(_ list: OverflowList) throws(PageMissing) {
    missesAhead.removeAll(keepingCapacity: true)
    var first: PageMissing?
    for index in 0..<list.pageCount {
      do throws(PageMissing) { _ = try access(list.pointer(index), .overflow, level: 0) } catch {
        if first == nil { first = error } else { missesAhead.append(error) }
      }
    }
    if let first { throw first }
  }

  /// Pages that a read needs beside the one that it has just missed.
  package func takeMissesAhead() -> [PageMissing] {
    defer { missesAhead.removeAll(keepingCapacity: true) }
    return missesAhead
  }

  private func reserveValueScratch(_ count: Int) {
    guard valueScratch.count < count else { return }
    valueScratch.deallocate()
    valueScratch = .allocate(byteCount: max(count, 64 * 1024), alignment: 16)
  }

  func checksum(_ page: Page) -> UInt32 {
    crc32c(UnsafeRawBufferPointer(start: page.base, count: Page.byteCount))
  }
}
