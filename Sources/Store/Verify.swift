// Reads a whole checkpoint and checks everything that must hold: for tests and for `fscluster verify`. It shares the
// page's layout and checks with the store, and none of its machinery.

import Primitives

/// Where `verifyStore` reads pages from.
package protocol PageSource {
  /// Fills `buffer`, 16 KiB, with the page. False when it cannot be read.
  mutating func read(_ page: PageID, into buffer: UnsafeMutableRawBufferPointer) -> Bool
}

/// Something that does not hold.
package enum VerifyFinding: Hashable, Sendable, CustomStringConvertible {
  case damage(PageDamage)
  case unreadable(PageID)
  /// A fact about this page, or about the file (page 0).
  case wrong(PageID, String)

  package var description: String {
    switch self {
    case .damage(let damage): damage.description
    case .unreadable(let page): "page \(page.rawValue) at offset \(page.fileOffset) cannot be read"
    case .wrong(let page, let fact): "page \(page.rawValue) at offset \(page.fileOffset): \(fact)"
    }
  }
}

package struct VerifyReport: Equatable, Sendable {
  package struct Shard: Equatable, Sendable {
    package var shard: ShardID
    package var rows: UInt64
    package var bytes: UInt64
    package var height: UInt32
    package var metadata: [UInt8]
  }

  package var epoch: Epoch
  package var shards: [Shard] = []
  /// Pages reached from the superblock, it and its sibling included.
  package var pages = 2
  /// At most 1000.
  package var findings: [VerifyFinding] = []
  package var isSound: Bool { findings.isEmpty }
}

/// Walks everything that `superblock` leads to. `row` is handed every row of every shard in key order; of a row whose value lies
/// in pages that are damaged, nothing.
package func verifyStore<Source: PageSource>(
  _ source: inout Source, _ superblock: Superblock,
  row: (ShardID, _ key: UnsafeRawBufferPointer, _ value: [UInt8]) -> Void = { _, _, _ in }
) -> VerifyReport {
  var walk = Walk(superblock)
  var records: [(ShardID, DirectoryRecord)] = []
  var discarded: [DiscardedPage] = []
  walk.tree(superblock.directory, &source) { key, value in
    guard let record = value.withUnsafeBytes({ DirectoryRecord($0, pageCount: superblock.pageCount) }) else {
      return false
    }
    if DiscardedKey.place(key) != nil {
      guard let page = DiscardedPage(record) else { return false }
      discarded.append(page)
      return true
    }
    guard key.count == 8 else { return false }
    records.append((ShardID(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self))), record))
    return true
  }
  for (shard, record) in records {
    walk.report.shards.append(
      VerifyReport.Shard(
        shard: shard, rows: record.tree.rows, bytes: record.tree.bytes, height: record.tree.height,
        metadata: record.metadata))
    walk.tree(record.tree, &source) { key, value in
      row(shard, key, value)
      return true
    }
  }
  for page in discarded { walk.discarded(page, &source) }
  walk.bitmaps(&source)
  return walk.report
}

private struct Walk {
  var report: VerifyReport
  let superblock: Superblock
  private var reached: [UInt64]
  private var rows: UInt64 = 0
  private var bytes: UInt64 = 0
  private var lastKey: [UInt8]?

  init(_ superblock: Superblock) {
    self.superblock = superblock
    report = VerifyReport(epoch: superblock.epoch)
    reached = Array(repeating: 0, count: Int(superblock.pageCount) / 64 + 1)
    reached[0] = 3
  }

  mutating func find(_ finding: VerifyFinding) {
    if report.findings.count < 1000 { report.findings.append(finding) }
  }

  /// Reads and checks one page and calls `body` with it. Not for a page that was reached before.
  mutating func page<Source: PageSource>(
    _ pointer: PagePointer, _ kind: PageKind, level: UInt8, _ source: inout Source,
    _ body: (inout Walk, inout Source, Page) -> Void
  ) {
    let (word, bit) = (Int(pointer.page.rawValue / 64), UInt64(1) << UInt64(pointer.page.rawValue % 64))
    guard pointer.page.rawValue < superblock.pageCount, reached[word] & bit == 0 else {
      return find(.wrong(pointer.page, "reached twice, or out of the file"))
    }
    reached[word] |= bit
    report.pages += 1
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Page.byteCount, alignment: 4096)
    defer { buffer.deallocate() }
    guard source.read(pointer.page, into: buffer), let base = buffer.baseAddress else {
      return find(.unreadable(pointer.page))
    }
    do throws(PageDamage) {
      let expected = PageMissing(pointer: pointer, kind: kind, level: level)
      try checkPage(UnsafeRawBufferPointer(buffer), is: expected, pageCount: superblock.pageCount)
      body(&self, &source, Page(base))
    } catch { find(.damage(error)) }
  }
}

// MARK: Trees

extension Walk {
  /// `row` says whether it can use the row.
  mutating func tree<Source: PageSource>(
    _ tree: Tree, _ source: inout Source, row: (UnsafeRawBufferPointer, [UInt8]) -> Bool
  ) {
    (rows, bytes, lastKey) = (0, 0, nil)
    if tree.height > 0 {
      subtree(tree.root, level: UInt8(tree.height - 1), low: [], high: nil, &source, row)
    }
    if rows != tree.rows || bytes != tree.bytes {
      find(.wrong(tree.root.page, "the tree has \(rows) rows of \(bytes) bytes, not \(tree.rows) of \(tree.bytes)"))
    }
  }

  /// What is left of a tree that is being freed. Its rows are nobody's any more.
  mutating func discarded<Source: PageSource>(_ discarded: DiscardedPage, _ source: inout Source) {
    page(discarded.pointer, .tree, level: discarded.level, &source) { walk, source, page in
      for index in 0..<page.count {
        if discarded.level == 0 {
          if page.isOverflow(index) { _ = walk.overflow(page, index, &source) }
        } else if index >= discarded.freedChildren {
          walk.discarded(DiscardedPage(page.child(index), level: discarded.level - 1), &source)
        }
      }
    }
  }

  /// All keys below must be in `low` ..< `high`.
  private mutating func subtree<Source: PageSource>(
    _ pointer: PagePointer, level: UInt8, low: [UInt8], high: [UInt8]?, _ source: inout Source,
    _ row: (UnsafeRawBufferPointer, [UInt8]) -> Bool
  ) {
    page(pointer, .tree, level: level, &source) { walk, source, page in
      for index in 0..<page.count {
        if level == 0 {
          walk.row(page, index, low: low, high: high, &source, row)
        } else {
          let childLow = index == 0 ? low : Array(page.key(index))
          let childHigh = index + 1 < page.count ? Array(page.key(index + 1)) : high
          walk.checkRange(page, childLow, low: low, high: high)
          walk.subtree(page.child(index), level: level - 1, low: childLow, high: childHigh, &source, row)
        }
      }
    }
  }

  private mutating func checkRange(_ page: Page, _ key: [UInt8], low: [UInt8], high: [UInt8]?) {
    if key.lexicographicallyPrecedes(low) || high.map({ !key.lexicographicallyPrecedes($0) }) ?? false {
      find(.wrong(page.id, "a key outside its parent's range"))
    }
  }

  private mutating func row<Source: PageSource>(
    _ page: Page, _ index: Int, low: [UInt8], high: [UInt8]?, _ source: inout Source,
    _ row: (UnsafeRawBufferPointer, [UInt8]) -> Bool
  ) {
    let key = Array(page.key(index))
    checkRange(page, key, low: low, high: high)
    if let lastKey, !lastKey.lexicographicallyPrecedes(key) { find(.wrong(page.id, "keys out of order")) }
    lastKey = key
    rows += 1
    guard let value = page.isOverflow(index) ? overflow(page, index, &source) : Array(page.stored(index)) else {
      return
    }
    bytes += UInt64(key.count + value.count)
    if !row(page.key(index), value) { find(.wrong(page.id, "a record of the directory that cannot be")) }
  }

  /// Nil when a part of it is damaged.
  private mutating func overflow<Source: PageSource>(_ page: Page, _ index: Int, _ source: inout Source) -> [UInt8]? {
    let list = OverflowList(checked: UnsafeRawBufferPointer(page.stored(index)))
    var value: [UInt8] = []
    for i in 0..<list.pageCount {
      self.page(list.pointer(i), .overflow, level: 0, &source) { walk, _, piece in
        guard piece.payloadCount == list.pieceCount(i) else {
          return walk.find(.wrong(piece.id, "a piece of another length"))
        }
        value.append(contentsOf: UnsafeRawBufferPointer(start: piece.content, count: list.pieceCount(i)))
      }
    }
    return value.count == list.valueCount ? value : nil
  }
}

// MARK: Bitmaps

extension Walk {
  /// The bitmaps must say what was reached, no more and no less.
  mutating func bitmaps<Source: PageSource>(_ source: inout Source) {
    var live: [UInt64] = Array(repeating: 0, count: reached.count)
    for (index, pointer) in superblock.bitmaps.enumerated() {
      page(pointer, .bitmap, level: 0, &source) { walk, _, page in
        for i in 0..<Bitmap.wordsPerPage {
          let bits = UInt64(littleEndian: page.content.load(fromByteOffset: i * 8, as: UInt64.self))
          let word = index * Bitmap.wordsPerPage + i
          if word < live.count {
            live[word] = bits
          } else if bits != 0 {
            walk.find(.wrong(page.id, "bits beyond the file"))
          }
        }
      }
    }
    if superblock.bitmaps.isEmpty { live[0] = 3 }
    for word in reached.indices where reached[word] != live[word] {
      let page = PageID(UInt32(word * 64 + (reached[word] ^ live[word]).trailingZeroBitCount))
      let isReached = reached[word] >> UInt64(page.rawValue % 64) & 1 == 1
      find(.wrong(page, isReached ? "in use, but free in the bitmap" : "in the bitmap, but nothing leads to it"))
    }
  }
}
