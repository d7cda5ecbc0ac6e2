// New pages, copies, freed pages: where the table of frames and the map of the file meet.

extension Store {
  /// A new dirty page. Frame and page id were reserved. Unless it is cleared, who asked fills it or clears what he leaves.
  func newPage(_ kind: PageKind, level: UInt8, isCleared: Bool = true) -> Page {
    let id = PageID(space.pointee.take())
    growTable(through: Int(id.rawValue))
    let page = Page(takeFrame())
    page.format(kind: kind, level: level, id: id, birth: epoch, clearing: isCleared)
    adopt(page.base, as: id)
    return page
  }

  /// The same content as a dirty page of this epoch. The old page is freed.
  func copyPage(_ old: Page) -> Page {
    let oldID = old.id
    let level = old.level
    let id = PageID(space.pointee.take())
    growTable(through: Int(id.rawValue))
    let frame: UnsafeMutableRawPointer
    if entry(oldID).pointee.state == .clean {
      frame = old.base
      entry(oldID).pointee.frame = nil
      entry(oldID).pointee.state = .absent
      residentCount -= 1
      space.pointee.owe(oldID.rawValue)
    } else {
      let pointer = PagePointer(page: oldID, checksum: 0, birth: old.birth)
      frame = takeFrame()
      frame.copyMemory(from: old.base, byteCount: Page.byteCount)
      free(pointer)
    }
    let page = Page(frame)
    page.relabel(kind: .tree, level: level, id: id, birth: epoch)
    adopt(frame, as: id)
    return page
  }

  private func adopt(_ frame: UnsafeMutableRawPointer, as id: PageID) {
    let entry = entry(id)
    if entry.pointee.frame != nil {
      precondition(entry.pointee.state == .clean, "a free page is at most a clean leftover")
      dropFrame(entry)
    }
    if entry.pointee.birth != epoch { dirtyList.append(id.rawValue) }
    if Page(frame).level > 0 { dirtyInner.append(id.rawValue) }
    entry.pointee.frame = frame
    entry.pointee.birth = epoch
    entry.pointee.checksum = 0
    entry.pointee.state = .dirty
    entry.pointee.isReferenced = true
    residentCount += 1
    dirtyCount += 1
  }

  /// No tree wants the page any more. It need not be in memory.
  func free(_ pointer: PagePointer) {
    let entry = entry(pointer.page)
    if pointer.birth == epoch {
      precondition(entry.pointee.state == .dirty, "a page born in this epoch is dirty")
      reshapeCount &+= 1
      dropFrame(entry)
      dirtyCount -= 1
      space.pointee.giveBack(pointer.page.rawValue)
      return
    }
    switch entry.pointee.state {
    case .clean: dropFrame(entry)
    case .frozen: entry.pointee.state = .frozenOrphan
    case .absent: break
    case .dirty, .frozenOrphan: preconditionFailure("a page is freed once")
    }
    space.pointee.owe(pointer.page.rawValue)
  }

  /// Misses until all bitmap pages have come in.
  func requireSpace() throws(PageMissing) {
    if let pointer = space.pointee.awaited.first { throw PageMissing(pointer: pointer, kind: .bitmap, level: 0) }
  }

  func bitmapLoaded(_ pointer: PagePointer, _ bytes: UnsafeRawBufferPointer) throws(PageDamage) {
    guard let base = bytes.baseAddress else { return }
    if let fact = space.pointee.accept(pointer, Page(base)) {
      throw PageDamage(page: pointer.page, reason: .structure(fact))
    }
  }
}
