// Everything that must hold inside a page, checked once when it comes in. Afterwards its offsets and counts are trusted.

import Primitives

/// Checks that `bytes` are the page that `expected` points to, and that its inside is sound. `pageCount` is the number of
/// pages of the file: a pointer beyond it is damage.
func checkPage(_ bytes: UnsafeRawBufferPointer, is expected: PageMissing, pageCount: UInt32) throws(PageDamage) {
  precondition(bytes.count == Page.byteCount, "a page is loaded whole")
  guard let base = bytes.baseAddress else { return }
  let page = Page(base)
  if let reason = identityProblem(page, bytes, expected) { throw PageDamage(page: expected.page, reason: reason) }
  let fact: String? =
    switch expected.kind {
    case .tree: page.treeProblem(pageCount: pageCount)
    case .overflow: page.payloadCount <= Page.contentCount ? nil : "an overflow page with too long a payload"
    case .bitmap: nil
    }
  if let fact { throw PageDamage(page: expected.page, reason: .structure(fact)) }
}

/// Is it the page that was asked for, unchanged? A good page in the wrong place is named as such.
private func identityProblem(
  _ page: Page, _ bytes: UnsafeRawBufferPointer, _ expected: PageMissing
) -> PageDamage.Reason? {
  let checksum = crc32c(bytes)
  if checksum == expected.pointer.checksum, page.hasZeroTail, page.birth == expected.pointer.birth,
    page.tag == Page.tag(kind: expected.kind, level: expected.level, id: expected.page)
  {
    return nil
  }
  guard page.field(0) == Int(Page.magic), page.kind != nil else { return .notAPage }
  if page.id != expected.page { return .misdirected(found: page.id) }
  if page.birth != expected.pointer.birth {
    return .otherEpoch(found: page.birth, expected: expected.pointer.birth)
  }
  if checksum != expected.pointer.checksum {
    return .checksum(found: checksum, expected: expected.pointer.checksum)
  }
  if !page.hasZeroTail { return .structure("a page that is encrypted, or was") }
  return .structure("a page of another kind or level")
}

extension Page {
  /// What could not be decrypted has a tail, whatever its checksum is.
  var hasZeroTail: Bool {
    var bits: UInt64 = 0
    for offset in stride(from: Page.contentEnd, to: Page.byteCount, by: 8) {
      bits |= base.load(fromByteOffset: offset, as: UInt64.self)
    }
    return bits == 0
  }

  /// The first fact about a tree page that does not hold, or nil.
  func treeProblem(pageCount: UInt32) -> String? {
    guard level < Tree.heightMax else { return "a level above \(Tree.heightMax)" }
    guard count >= firstKeyed else { return "an inner page without children" }
    guard heap >= Page.headerCount + count * Page.slotCount, heap <= Page.contentEnd else {
      return "slots and records overlap"
    }
    var recordBytes = 0
    for index in 0..<count {
      if let fact = recordProblem(index, pageCount: pageCount) { return fact }
      recordBytes += Page.recordCount(record(index))
    }
    guard recordBytes + garbage == Page.contentEnd - heap else { return "records and garbage do not fill the heap" }
    return prefixProblem() ?? orderProblem()
  }

  private func recordProblem(_ index: Int, pageCount: UInt32) -> String? {
    let place = Int(slot(index) & 0xFFFF)
    guard place >= heap, place + Page.recordHeaderCount <= Page.contentEnd else { return "a record outside the heap" }
    let record = base + place
    guard place + Page.recordCount(record) <= Page.contentEnd else { return "a record beyond the page" }
    guard Page.keyCount(record) <= StoreLimits.keyCountMax else { return "a key over its limit" }
    if level > 0 { return childProblem(index, pageCount: pageCount) }
    return Page.isOverflow(record) ? overflowProblem(index, pageCount: pageCount) : nil
  }

  private func childProblem(_ index: Int, pageCount: UInt32) -> String? {
    guard stored(index).count == PagePointer.byteCount, !isOverflow(index) else { return "a child without a pointer" }
    guard index > 0 || key(0).isEmpty else { return "a first child with a key" }
    return pointerProblem(child(index), pageCount)
  }

  private func overflowProblem(_ index: Int, pageCount: UInt32) -> String? {
    let list = UnsafeRawBufferPointer(stored(index))
    guard let value = OverflowList(list) else { return "a list of overflow pages with a wrong length" }
    for i in 0..<value.pageCount {
      if let fact = pointerProblem(value.pointer(i), pageCount) { return fact }
    }
    return nil
  }

  private func pointerProblem(_ pointer: PagePointer, _ pageCount: UInt32) -> String? {
    guard pointer.page.rawValue >= 2, pointer.page.rawValue < pageCount else { return "a pointer out of the file" }
    guard pointer.birth <= birth else { return "a child younger than its parent" }
    return nil
  }

  private func prefixProblem() -> String? {
    let skip = prefixCount
    guard skip <= Page.prefixMax else { return "a prefix over its limit" }
    for index in firstKeyed..<max(firstKeyed, count) {
      let key = key(index)
      guard compareWithPrefix(key, skip) == 0 else { return "a key without the prefix" }
      guard slot(index) & ~0xFFFF == Page.head(key, skip: skip) else { return "a slot with a wrong head" }
    }
    return nil
  }

  private func orderProblem() -> String? {
    guard count > firstKeyed + 1 else { return nil }
    for index in firstKeyed + 1..<count where compareBytes(key(index - 1), key(index)) >= 0 {
      return "keys out of order"
    }
    return nil
  }
}
