import Primitives
import Testing

@testable import Store

/// The bytes on disk. When one of these tests fails, a file written yesterday is no longer read.
@Suite struct FormatTests {
  private func hex(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  private func withPage<T>(_ level: UInt8, _ body: (Page) -> T) -> T {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: pageBytes, alignment: 4096)
    defer { memory.deallocate() }
    let page = Page(memory)
    page.format(kind: .tree, level: level, id: PageID(0x0102_0304), birth: Epoch(0x1122))
    return body(page)
  }

  private func insert(_ page: Page, _ index: Int, _ key: String, _ value: [UInt8], isOverflow: Bool = false) {
    bytes(key).withUnsafeBytes { key in
      let target = page.insert(at: index, key: key, storedCount: value.count, isOverflow: isOverflow)
      target.copyMemory(from: value, byteCount: value.count)
    }
  }

  private func all(_ page: Page) -> [UInt8] {
    Array(UnsafeRawBufferPointer(start: page.base, count: pageBytes))
  }

  @Test func aLeafHasItsGoldenBytes() {
    let raw = withPage(0) { page in
      insert(page, 0, "row/0001", bytes("one"))
      insert(page, 1, "row/0003", bytes("three"))
      insert(page, 1, "row/0002", [0x40, 0x9C, 0, 0] + [UInt8](repeating: 0xEE, count: 48), isOverflow: true)
      return all(page)
    }
    #expect(
      hex(raw[0..<88]) == """
        465001000403020122110000000000000300803f000007000000000000000000\
        726f772f30303000000000000000000000000000000000000000000000000000\
        d13f000000000031\
        803f000000000032\
        c03f000000000033
        """)
    #expect(raw[88..<0x3F80].allSatisfy { $0 == 0 })
    #expect(
      hex(raw[0x3F80..<0x3FE0]) == """
        08003480726f772f30303032409c0000\(String(repeating: "ee", count: 48))\
        08000500726f772f303030337468726565\
        08000300726f772f303030316f6e65
        """)
    #expect(raw[0x3FE0...].allSatisfy { $0 == 0 })
    #expect(crc32c(raw) == 0x6055_e2bd)
  }

  @Test func anInnerPageHasItsGoldenBytes() {
    let pointer = [5, 0, 0, 0, 0xDD, 0xCC, 0xBB, 0xAA, 0x21, 0x11] + [UInt8](repeating: 0, count: 6)
    let raw = withPage(1) { page in
      insert(page, 0, "", pointer)
      insert(page, 1, "m", pointer)
      #expect(page.child(1) == PagePointer(page: PageID(5), checksum: 0xAABB_CCDD, birth: Epoch(0x1121)))
      return all(page)
    }
    #expect(
      hex(raw[0..<80]) == """
        465001010403020122110000000000000200b73f000001000000000000000000\
        6d00000000000000000000000000000000000000000000000000000000000000\
        cc3f000000000000\
        b73f000000000000
        """)
    #expect(hex(raw[0x3FB7..<0x3FE0]) == "010010006d\(hex(pointer))00001000\(hex(pointer))")
    #expect(raw[0x3FE0...].allSatisfy { $0 == 0 })
    #expect(crc32c(raw) == 0x6d25_1a48)
  }

  @Test func theSuperblockHasItsGoldenBytes() throws {
    let superblock = Superblock(
      epoch: Epoch(0x0A0B), identity: testIdentity, pageCount: 77, directoryHeight: 1,
      directoryRoot: PagePointer(page: PageID(6), checksum: 0x0102_0304, birth: Epoch(0x0A0B)), directoryRows: 3,
      directoryBytes: 144, bitmaps: [PagePointer(page: PageID(9), checksum: 0x0506_0708, birth: Epoch(0x0A0A))])
    let raw = superblock.encoded()
    #expect(
      hex(raw[0..<144]) == """
        46696c6553746f720200000000ffb1d90b0a000000000000\
        0102030405060708090a0b0c0d0e0f10\
        0200000003000100\
        11110000000000002222000000000000\
        4d00000001000000\
        06000000040302010b0a000000000000\
        03000000000000009000000000000000\
        000000000000000000000000000000000000000000000000\
        09000000080706050a0a000000000000
        """)
    #expect(raw[144...].allSatisfy { $0 == 0 })
    #expect(try raw.withUnsafeBytes { try Superblock.decode($0) } == superblock)
  }

  @Test func aDirectoryRecordHasItsGoldenBytes() {
    let root = PagePointer(page: PageID(3), checksum: 4, birth: Epoch(5))
    let record = DirectoryRecord(tree: Tree(root: root, height: 2, rows: 6, bytes: 7), metadata: [8, 9])
    #expect(
      hex(record.encoded())
        == "03000000040000000500000000000000" + "0200000000000000" + "0600000000000000" + "0700000000000000" + "0809")
    let decoded = record.encoded().withUnsafeBytes { DirectoryRecord($0, pageCount: 100) }
    #expect(decoded == record)
    var discarded = DiscardedPage(root, level: 1)
    discarded.freedChildren = 0x0809
    #expect(hex(DiscardedKey.encoded(0x0102)) == "ff00000102")
    #expect(
      hex(discarded.record.encoded())
        == "03000000040000000500000000000000" + "0200000000000000" + "0000000000000000" + "0000000000000000" + "0908")
    #expect(DiscardedPage(discarded.record) == discarded)
  }

  /// The pages of one kind in a file with one long row.
  private func pages(_ kind: UInt8) throws -> [[UInt8]] {
    let harness = try Harness()
    try harness.create()
    try harness.put(bytes("long"), (0..<20_000).map { UInt8(truncatingIfNeeded: $0) })
    try harness.checkpoint()
    let all = (2..<harness.disk.pageCount).map { harness.disk.page(PageID(UInt32($0))) }
    return all.filter { $0[0] == 0x46 && $0[1] == 0x50 && $0[2] == kind }
  }

  @Test func overflowPagesHaveTheirGoldenBytes() throws {
    let found = try pages(2)
    try #require(found.count == 2)
    #expect(
      hex(found[0][0..<72]) == """
        465002000400000002000000000000000000e03f00000000a03f000000000000\
        \(String(repeating: "00", count: 32))\
        0001020304050607
        """)
    #expect(crc32c(found[0]) == 0x29bb_aee6)
    #expect(
      hex(found[1][0..<72]) == """
        465002000500000002000000000000000000e03f00000000800e000000000000\
        \(String(repeating: "00", count: 32))\
        a0a1a2a3a4a5a6a7
        """)
    #expect(found[1][(64 + 3712)...].allSatisfy { $0 == 0 })
    #expect(crc32c(found[1]) == 0x8941_c362)
  }

  @Test func aBitmapPageHasItsGoldenBytes() throws {
    let found = try pages(3)
    try #require(found.count == 1)
    // The superblocks and the five pages that are reached from them, this one included.
    #expect(
      hex(found[0][0..<72]) == """
        465003000600000002000000000000000000e03f000000000000000000000000\
        \(String(repeating: "00", count: 32))\
        7f00000000000000
        """)
    #expect(found[0][72...].allSatisfy { $0 == 0 })
  }

  @Test func aNewFileIsTwoEmptySuperblocks() throws {
    let (first, second) = Store.format(identity: testIdentity)
    let superblocks = try [first, second].map { try $0.withUnsafeBytes { try Superblock.decode($0) } }
    #expect(superblocks.map(\.epoch) == [Epoch(0), Epoch(1)])
    #expect(superblocks.allSatisfy { $0.pageCount == 2 && $0.bitmaps.isEmpty && $0.directoryHeight == 0 })
  }
}

/// A page's search against a plain one, over keys made to tie.
@Suite struct PageTests {
  @Test func searchFindsWhatALinearSearchFinds() {
    var random = SeededRandom(seed: 3)
    let memory = UnsafeMutableRawPointer.allocate(byteCount: 2 * pageBytes, alignment: 4096)
    defer { memory.deallocate() }
    for round in 0..<60 {
      let page = Page(memory)
      page.format(kind: .tree, level: 0, id: PageID(2), birth: Epoch(1))
      var keys: [[UInt8]] = []
      for _ in 0..<(round % 20) * 10 { insertOne(page, key(&random, round), &keys) }
      for index in keys.indices.reversed() where random.chance(1, outOf: 5) {
        page.remove(at: index)
        keys.remove(at: index)
      }
      if random.chance(1, outOf: 2) { page.compact(scratch: memory + pageBytes) }
      #expect(page.treeProblem(pageCount: 10) == nil)
      for probe in keys + (0..<100).map({ _ in key(&random, round) }) { check(page, probe, keys) }
    }
  }

  /// Eight at a time or one by one, behind whatever is known to be the same.
  @Test func bytesAreOrderedAsByAPlainComparison() {
    var random = SeededRandom(seed: 4)
    for _ in 0..<3000 {
      let same = (0..<random.below(20)).map { _ in UInt8(random.below(256)) }
      let (a, b) = (same + tail(&random), same + tail(&random))
      let expected = a == b ? 0 : a.lexicographicallyPrecedes(b) ? -1 : 1
      for start in 0...same.count {
        let order = a.withUnsafeBytes { a in b.withUnsafeBytes { compareBytes(a, $0, from: start) } }
        #expect(order.signum() == expected, "\(a) and \(b) from \(start)")
      }
    }
  }

  private func tail(_ random: inout SeededRandom) -> [UInt8] {
    (0..<random.below(12)).map { _ in random.chance(1, outOf: 6) ? UInt8(random.below(256)) : 0 }
  }

  /// Few different bytes, zeros among them, so that heads tie and keys are prefixes of each other.
  private func key(_ random: inout SeededRandom, _ round: Int) -> [UInt8] {
    let shared = [0, 3, 8, 22, 33][round % 5]
    let prefix = random.chance(1, outOf: 50) ? [] : [UInt8](repeating: 7, count: shared)
    return prefix + (0..<random.below(14)).map { _ in UInt8(random.below(2)) }
  }

  private func insertOne(_ page: Page, _ key: [UInt8], _ keys: inout [[UInt8]]) {
    key.withUnsafeBytes { raw in
      let (index, found) = page.find(raw)
      if found { return }
      _ = page.insert(at: index, key: raw, storedCount: 0, isOverflow: false)
      keys.insert(key, at: index)
    }
  }

  private func check(_ page: Page, _ probe: [UInt8], _ keys: [[UInt8]]) {
    let expected = keys.firstIndex { !$0.lexicographicallyPrecedes(probe) } ?? keys.count
    let (index, found) = probe.withUnsafeBytes { page.find($0) }
    #expect(index == expected)
    #expect(found == (expected < keys.count && keys[expected] == probe))
  }
}
