// Pages come in: access, miss, load, verify.

import Primitives

extension Store {
  /// The page if it is in memory and is the one that the pointer means.
  @inline(__always) func resident(_ pointer: PagePointer, _ kind: PageKind, level: UInt8) -> Page? {
    let index = Int(pointer.page.rawValue)
    guard index < tableCount, let frame = table[index].frame else { return nil }
    let page = Page(frame)
    guard page.tag == Page.tag(kind: kind, level: level, id: pointer.page), page.birth == pointer.birth else {
      return nil
    }
    return page
  }

  /// A first access: misses when the page is not in memory, and now and then on purpose. It is what keeps a page from
  /// being evicted.
  @inline(__always) func access(_ pointer: PagePointer, _ kind: PageKind, level: UInt8) throws(PageMissing) -> Page {
    if let page = resident(pointer, kind, level: level), limits.missChance == 0 || !missesOnPurpose(pointer.page) {
      table[Int(pointer.page.rawValue)].isReferenced = true
      return page
    }
    throw PageMissing(pointer: pointer, kind: kind, level: level)
  }

  /// An access in pass two: the page was prepared or is dirty.
  @inline(__always) func prepared(_ pointer: PagePointer, _ kind: PageKind, level: UInt8) -> Page {
    guard let page = resident(pointer, kind, level: level) else {
      preconditionFailure("pass two touches only pages that pass one has pinned")
    }
    return page
  }

  /// For tests: drops the page by chance, if it may be dropped. A page stays for some time after it came in, so that
  /// whoever starts again and again does get ahead.
  @inline(never) private func missesOnPurpose(_ page: PageID) -> Bool {
    accessCount &+= 1
    guard accessCount &- loadedAt[page, default: 0] > 500 else { return false }
    return missRandom.chance(limits.missChance, outOf: 1000) && evict(page)
  }

  /// The order to read a missing page. Ordering the same page twice does no harm.
  package func loadOrder(for missing: PageMissing) -> PageRead {
    PageRead(PageMissing(pointer: sealed(missing.pointer), kind: missing.kind, level: missing.level))
  }

  /// The bytes of a page have come. They are copied and may be reused.
  ///
  /// Throws when they are not what the pointer that asked for them promises; then nothing has changed. If the page id was
  /// given out again after the order, nobody waits for these bytes any more, and they may be those of its next life.
  package func pageLoaded(_ read: PageRead, _ bytes: UnsafeRawBufferPointer) throws(PageDamage) {
    guard read.missing.kind == .bitmap || isWanted(read) else { return }
    try checkPage(bytes, is: read.missing, pageCount: space.pointee.pageCount)
    if read.missing.kind == .bitmap { return try bitmapLoaded(read.missing.pointer, bytes) }
    guard let source = bytes.baseAddress else { return }
    let frame = takeFrame()
    frame.copyMemory(from: source, byteCount: Page.byteCount)
    let entry = entry(read.page)
    entry.pointee.frame = frame
    entry.pointee.state = .clean
    entry.pointee.isReferenced = false
    if limits.missChance > 0 { loadedAt[read.page] = accessCount }
    residentCount += 1
  }

  /// Neither here already nor given out again since the order.
  private func isWanted(_ read: PageRead) -> Bool {
    guard Int(read.page.rawValue) < tableCount else { return false }
    let entry = entry(read.page)
    return entry.pointee.frame == nil && read.missing.pointer.birth >= entry.pointee.birth
  }
}
