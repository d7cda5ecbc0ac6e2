import Primitives
import Testing

@testable import Store

/// `verifyStore` must be able to fail: each test breaks one thing behind right checksums.
@Suite struct VerifyTests {
  @Test func aSoundStoreHasNoFindingsAndAllRows() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<3_000 { try harness.put(numbered(i), filled(100, i)) }
    try harness.checkpoint()
    let superblock = try #require(harness.disk.newestSuperblock())
    var rows: [Row] = []
    let report = verifyStore(&harness.disk, superblock) { _, key, value in
      rows.append(Row(key: Array(key), value: value))
    }
    #expect(report.isSound)
    #expect(try rows == harness.rows())
    #expect(report.pages == harness.store.statistics.livePages)
  }

  @Test func aWrongBitIsFound() throws {
    #expect(try findings { $0[64] |= 0x80 } == ["in the bitmap, but nothing leads to it"])
    #expect(try findings { $0[64] &= 0xFB } == ["in use, but free in the bitmap"])
  }

  /// Changes the bitmap page of a small store, with a checksum to match, and returns the findings.
  private func findings(_ change: (inout [UInt8]) -> Void) throws -> [String] {
    let harness = try Harness()
    try harness.create()
    try harness.put(bytes("a"), bytes("b"))
    try harness.checkpoint()
    var superblock = try #require(harness.disk.newestSuperblock())
    var page = harness.disk.page(superblock.bitmaps[0].page)
    change(&page)
    superblock.bitmaps[0].checksum = crc32c(page)
    harness.disk.write(page, at: Int(superblock.bitmaps[0].page.fileOffset))
    return verifyStore(&harness.disk, superblock).findings.map {
      if case .wrong(_, let fact) = $0 { fact } else { $0.description }
    }
  }

  @Test func wrongCountsAndSharedPagesAreFound() throws {
    let harness = try Harness()
    try harness.create(ShardID(1))
    try harness.put(bytes("a"), bytes("b"), in: ShardID(1))
    try harness.checkpoint()
    var superblock = try #require(harness.disk.newestSuperblock())
    superblock.directoryRows = 2
    #expect(verifyStore(&harness.disk, superblock).findings.count == 1)
    superblock.directoryRows = 1
    superblock.bitmaps.append(superblock.bitmaps[0])
    #expect(!verifyStore(&harness.disk, superblock).isSound)
  }

  /// Not with what is left of its value.
  @Test func aRowWhoseOverflowPageIsDamagedIsNotHandedOut() throws {
    let harness = try Harness()
    try harness.create()
    try harness.put(bytes("a"), filled(40_000, 1))
    try harness.put(bytes("b"), filled(40_000, 2))
    try harness.checkpoint()
    let superblock = try #require(harness.disk.newestSuperblock())
    var keysByPage: [[String]] = []
    for page in 2..<Int(superblock.pageCount) {
      harness.disk.flip(page * pageBytes + 9_000, mask: 4)
      var keys: [String] = []
      let report = verifyStore(&harness.disk, superblock) { _, key, value in
        keys.append(String(decoding: key, as: UTF8.self))
        #expect(value == filled(40_000, keys.last == "a" ? 1 : 2))
      }
      #expect(!report.isSound)
      keysByPage.append(keys)
      harness.disk.flip(page * pageBytes + 9_000, mask: 4)
    }
    #expect(keysByPage.filter { $0 == ["a"] }.count == 3 && keysByPage.filter { $0 == ["b"] }.count == 3)
  }

  @Test func damageIsFoundWithItsPlace() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<500 { try harness.put(numbered(i), filled(100, i)) }
    try harness.checkpoint()
    harness.disk.flip(5 * pageBytes + 9_000, mask: 4)
    let report = harness.verify()
    #expect(
      report.findings.contains {
        if case .damage(let damage) = $0 { damage.fileOffset == UInt64(5 * pageBytes) } else { false }
      })
  }
}
