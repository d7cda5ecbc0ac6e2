import Primitives
import Testing

@testable import Store

@Suite struct DamageTests {
  /// Two checkpoints of a small tree with two levels and a long value.
  private func smallFile() throws -> (harness: Harness, old: [Row], new: [Row]) {
    let harness = try Harness()
    try harness.create()
    for i in 0..<150 { try harness.put(numbered(i), filled(100, i)) }
    try harness.put(numbered(9), filled(17_000, 9))
    try harness.checkpoint()
    let old = try harness.rows()
    try harness.put(numbered(3), filled(50, 1))
    try harness.setMetadata(bytes("applied 7"))
    try harness.checkpoint()
    return (harness, old, try harness.rows())
  }

  /// Every page that the store loads to read all rows and to write.
  private func allReads(_ harness: Harness) throws -> [PageRead] {
    try harness.reopen()
    var reads: [PageRead] = []
    func note(_ missing: PageMissing) throws {
      reads.append(PageRead(missing))
      try harness.load(missing)
    }
    while true {
      do throws(PrepareFailure) {
        try harness.store.prepareShard(shard)
        break
      } catch .missing(let missing) { try note(missing) }
    }
    harness.store.endWrite()
    let cursor = try harness.store.cursor(shard)
    while true {
      do throws(PageMissing) {
        var isOn = try cursor.first()
        while isOn {
          _ = try cursor.value()
          isOn = try cursor.next()
        }
        break
      } catch { try note(error) }
    }
    return reads
  }

  @Test func anyFlippedByteOfAPageIsDamageWithItsOffset() throws {
    let harness = try smallFile().harness
    let reads = try allReads(harness)
    // Two bitmaps, the directory, an inner page, leaves, two overflow pages.
    #expect(reads.count >= 8)
    for read in reads {
      var bytes = harness.disk.page(read.page)
      harness.store.evictAll()
      for offset in 0..<pageBytes {
        let mask = UInt8(1) << UInt8(offset % 8)
        bytes[offset] ^= mask
        let damage = bytes.withUnsafeBytes { bytes -> PageDamage? in
          do throws(PageDamage) {
            try harness.store.pageLoaded(read, bytes)
            return nil
          } catch { return error }
        }
        if damage?.fileOffset != read.fileOffset { Issue.record("byte \(offset) of \(read.page) was not found") }
        bytes[offset] ^= mask
      }
    }
  }

  @Test func anyFlippedByteOfASuperblockGivesAnOlderCheckpointOrTheSame() throws {
    let (harness, old, new) = try smallFile()
    #expect(harness.store.durableEpoch == Epoch(3))
    for slot in 0..<2 {
      var bytes = harness.disk.page(PageID(UInt32(slot)))
      for offset in 0..<pageBytes {
        let mask = UInt8(1) << UInt8(offset % 8)
        bytes[offset] ^= mask
        if bytes.withUnsafeBytes({ (try? Superblock.decode($0)) != nil }) {
          Issue.record("byte \(offset) was not found")
        }
        bytes[offset] ^= mask
      }
    }
    for offset in Array(0..<160) + stride(from: 160, to: 2 * pageBytes, by: 331) {
      var disk = harness.disk
      disk.flip(offset, mask: 0x40)
      let store = try Harness.open(disk, limits: defaultLimits())
      #expect(store.durableEpoch == (offset < pageBytes ? Epoch(3) : Epoch(2)))
      #expect(store.damagedSuperblock != nil)
      #expect(try Harness(disk).rows() == (offset < pageBytes ? new : old))
    }
  }

  @Test func aFlippedByteAnywhereNeverGivesAWrongRow() throws {
    let (harness, old, new) = try smallFile()
    for offset in stride(from: 3, to: harness.disk.current.count, by: 997) {
      var disk = harness.disk
      disk.flip(offset, mask: 0x10)
      do {
        let rows = try Harness(disk).rows()
        #expect(rows == new || rows == old && offset < 2 * pageBytes)
      } catch let damage as PageDamage {
        #expect(damage.page == PageID(UInt32(offset / pageBytes)))
      }
    }
  }

  @Test func aMisdirectedWriteIsNamed() throws {
    let harness = try smallFile().harness
    let reads = try allReads(harness).filter { $0.missing.kind == .tree }
    harness.disk.write(harness.disk.page(reads[0].page), at: Int(reads[1].fileOffset))
    #expect(throws: PageDamage(page: reads[1].page, reason: .misdirected(found: reads[0].page))) {
      try Harness(harness.disk).rows()
    }
  }

  @Test func aLostWriteIsNamed() throws {
    let harness = try smallFile().harness
    // Run until some page id is used for the second time, and lose that write.
    for round in 0..<6 {
      try harness.put(numbered(3), filled(50, round))
      try harness.checkpoint()
    }
    let before = harness.disk
    try harness.put(numbered(3), filled(50, 99))
    try harness.checkpoint()
    let leaf = try #require(
      try allReads(harness).first { $0.missing.kind == .tree && $0.missing.pointer.birth == Epoch(10) })
    harness.disk.write(before.page(leaf.page), at: Int(leaf.fileOffset))
    do {
      _ = try Harness(harness.disk).rows()
      Issue.record("a lost write was not found")
    } catch let damage as PageDamage {
      #expect(damage.page == leaf.page)
      guard case .otherEpoch(_, Epoch(10)) = damage.reason else { throw damage }
    }
  }

  @Test func someoneElsesFileIsRefusedByName() throws {
    let disk = try smallFile().harness.disk
    func refusal(_ identity: StoreIdentity, _ disk: VirtualDisk, bytes: Int? = nil) -> StoreRefusal? {
      disk.page(PageID(0)).withUnsafeBytes { first in
        disk.page(PageID(1)).withUnsafeBytes { second in
          do throws(StoreRefusal) {
            _ = try Store(
              superblocks: first, second, fileBytes: UInt64(bytes ?? disk.current.count), identity: identity,
              limits: defaultLimits())
            return nil
          } catch { return error }
        }
      }
    }
    #expect(refusal(testIdentity, disk) == nil)
    var other = testIdentity
    other.cluster[0] = 99
    guard case .identity("cluster", _, _) = refusal(other, disk) else { throw TestFailure() }
    other = testIdentity
    other.node = NodeID(9)
    #expect(refusal(other, disk) == .identity(field: "node", found: "n2", expected: "n9"))
    other = testIdentity
    other.lane = LaneID(0)
    #expect(refusal(other, disk) == .identity(field: "lane", found: "3", expected: "0"))
    other = testIdentity
    other.incarnation = Incarnation(1)
    #expect(refusal(other, disk) == .identity(field: "incarnation", found: "1111", expected: "1"))
    other = testIdentity
    other.directory = 1
    #expect(refusal(other, disk) == .identity(field: "data directory", found: "2222", expected: "1"))
    #expect(refusal(testIdentity, VirtualDisk([UInt8](repeating: 0, count: 40_000))) == .foreign)
    guard case .truncated = refusal(testIdentity, disk, bytes: 3 * pageBytes) else { throw TestFailure() }
    #expect(refusal(testIdentity, try newerVersion(disk)) == .version(found: 3, supported: 2))
  }

  /// The bitmaps in memory are as long as the file at most.
  @Test func anOlderSuperblockWithMorePagesThanTheFileIsDamaged() throws {
    var disk = try smallFile().harness.disk
    let newest = try #require(disk.newestSuperblock())
    let slot = PageID(1 - newest.slot.rawValue)
    var older = try disk.page(slot).withUnsafeBytes { try Superblock.decode($0) }
    older.pageCount = 100_000
    disk.write(older.encoded(), at: Int(slot.fileOffset))
    let harness = try Harness(disk)
    #expect(harness.store.damagedSuperblock == .field("more pages than the file has"))
    #expect(harness.store.durableEpoch == newest.epoch)
    for i in 0..<500 { try harness.put(numbered(i), filled(100, i)) }
    try harness.checkpoint()
    #expect(harness.verify().isSound)
  }

  @Test func anEpochBeyondEveryCheckpointIsRefused() throws {
    var superblock = try #require(try smallFile().harness.disk.newestSuperblock())
    superblock.epoch = Epoch(.max)
    #expect(throws: SuperblockProblem.field("an epoch beyond every checkpoint")) {
      try superblock.encoded().withUnsafeBytes { raw in try Superblock.decode(raw) }
    }
  }

  /// The same file with its second superblock in a version to come.
  private func newerVersion(_ disk: VirtualDisk) throws -> VirtualDisk {
    var bytes = disk.page(PageID(1))
    bytes[8] = 3
    for i in 12..<16 { bytes[i] = 0 }
    let checksum = crc32c(bytes)
    for i in 0..<4 { bytes[12 + i] = UInt8(truncatingIfNeeded: checksum >> UInt32(8 * i)) }
    var disk = disk
    disk.write(bytes, at: pageBytes)
    return disk
  }

  /// Pages with right checksums but any bytes inside are refused or harmless.
  @Test func madeUpPagesNeverTrap() throws {
    let harness = try smallFile().harness
    let reads = try allReads(harness).filter { $0.missing.kind == .tree }
    var random = SeededRandom(seed: 11)
    var refused = 0
    for read in reads {
      let good = harness.disk.page(read.page)
      for _ in 0..<1_500 {
        var bytes = good
        for _ in 0...random.below(3) {
          let area = random.chance(1, outOf: 2) ? 16..<32 : random.chance(1, outOf: 2) ? 32..<300 : 12_000..<pageBytes
          bytes[area.lowerBound + Int(random.below(UInt64(area.count)))] = UInt8(random.below(256))
        }
        if !accepts(bytes, read.missing) { refused += 1 }
      }
    }
    #expect(refused > 1_000)
  }

  private func accepts(_ bytes: [UInt8], _ missing: PageMissing) -> Bool {
    let pointer = PagePointer(page: missing.page, checksum: crc32c(bytes), birth: missing.pointer.birth)
    let expected = PageMissing(pointer: pointer, kind: missing.kind, level: missing.level)
    return bytes.withUnsafeBytes { raw in
      do throws(PageDamage) {
        try checkPage(raw, is: expected, pageCount: 1_000)
      } catch { return false }
      guard let base = raw.baseAddress else { return false }
      let page = Page(base)
      for index in 0..<page.count { #expect(page.search(page.key(index), from: page.firstKeyed).index <= page.count) }
      return true
    }
  }

  /// An encrypted page that nobody decrypted is not taken, also if its checksum were right.
  @Test func aPageWithATailIsRefused() throws {
    let harness = try smallFile().harness
    for read in try allReads(harness) {
      for offset in pageBytes - 32..<pageBytes {
        var bytes = harness.disk.page(read.page)
        bytes[offset] = 1
        #expect(!accepts(bytes, read.missing), "offset \(offset) of page \(read.page.rawValue)")
      }
    }
  }

  @Test func aPageThatComesTooLateIsIgnored() throws {
    let harness = try smallFile().harness
    let read = try #require(try allReads(harness).last { $0.missing.kind == .tree && $0.missing.level == 0 })
    harness.store.evictAll()
    let bytes = harness.disk.page(read.page)
    // The page is changed, written and its place used again before the old read comes back.
    var round = 0
    while round < 4 || !harness.store.space.pointee.isLive(read.page.rawValue) {
      for i in 0..<150 { try harness.put(numbered(i), filled(40, i + round)) }
      try harness.checkpoint()
      round += 1
    }
    let before = try harness.rows()
    harness.store.evictAll()
    try bytes.withUnsafeBytes { try harness.store.pageLoaded(read, $0) }
    #expect(harness.store.statistics.residentPages == 0)
    harness.store.checkInvariants()
    #expect(try harness.rows() == before)
  }
}
