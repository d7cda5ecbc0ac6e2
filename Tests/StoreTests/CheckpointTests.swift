import Primitives
import TestScale
import Testing

@testable import Store

@Suite struct CheckpointTests {
  @Test func ordersComeInSequence() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<1_000 { try harness.put(numbered(i), filled(100, i)) }
    let effects = try harness.checkpoint()
    // 9 leaves, an inner page, the directory and a bitmap.
    #expect(effects.first == .grow(fileBytes: UInt64(18 * pageBytes)))
    #expect(effects.dropFirst().prefix(12).allSatisfy { if case .writePage = $0 { true } else { false } })
    #expect(
      Array(effects.dropFirst(13)) == [
        .sync, .awaitLog, .writeSuperblock(PageID(0), fileOffset: 0), .finished(Epoch(2)),
      ])
    #expect(try harness.checkpoint() == [.finished(Epoch(2))])
    try harness.put(numbered(1), filled(100, 0))
    let next = try harness.checkpoint()
    // The path to one leaf, the directory, the bitmap; the file is long enough.
    #expect(
      next.suffix(4) == [.sync, .awaitLog, .writeSuperblock(PageID(1), fileOffset: 16_384), .finished(Epoch(3))])
    #expect(next.count == 8)
  }

  @Test func atMostSoManyWritesAreInFlight() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<5_000 { try harness.put(numbered(i), filled(1_000, i)) }
    var effects: [CheckpointEffect] = []
    harness.store.beginCheckpoint(into: &effects)
    #expect(effects.count == 1)
    effects.removeAll()
    harness.store.step(.grown, into: &effects)
    #expect(effects.count == 32)
    guard case .writePage(let page, _) = effects[31] else { throw TestFailure() }
    effects.removeAll()
    harness.store.step(.written(page), into: &effects)
    #expect(effects.count == 1)
  }

  @Test func noMorePagesAreWrittenThanMayBe() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<1_000 { try harness.put(numbered(i), filled(1_000, i)) }
    var orders: [CheckpointEffect] = []
    harness.store.beginCheckpoint(writesMax: 3, into: &orders)
    let pages = try #require(harness.store.checkpointPages)
    #expect(pages > 60)
    var written = try harness.run(orders).count - 1
    #expect(written == 3)
    for (allowed, now) in [(2, 3), (4, 4), (4, 4), (50, 50), (pages - 1, pages - 1)] {
      orders.removeAll()
      harness.store.allowWrites(allowed, into: &orders)
      written += try harness.run(orders).count
      #expect(written == now && harness.store.isCheckpointing)
    }
    orders.removeAll()
    harness.store.allowWrites(.max, into: &orders)
    #expect(try harness.run(orders).map(\.step) == [.write, .sync, .log, .superblock, nil])
    #expect(harness.store.checkpointPages == nil)
    #expect(harness.verify().findings == [])
  }

  @Test func frozenPagesStayAsTheyWereWhileWritersGoOn() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<2_000 { try harness.put(numbered(i), filled(100, i)) }
    try harness.setMetadata(bytes("before"))
    let before = try harness.rows()
    var written = 0
    try harness.checkpoint { effect in
      if case .writePage = effect {
        written += 1
        try harness.put(numbered(written * 50), filled(700, 1))
        try harness.delete(numbered(written * 70))
        try harness.setMetadata(bytes("after"))
      }
      return true
    }
    let after = try harness.rows()
    #expect(before != after)
    let report = harness.verify()
    #expect(report.findings == [])
    #expect(report.shards[0].metadata == bytes("before"))
    try harness.reopen()
    #expect(try harness.rows() == before)
  }

  @Test(arguments: [CheckpointStep.grow, .write, .sync, .log, .superblock])
  func aFailureIsReportedAndNeverBecomesSuccess(step: CheckpointStep) throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<1_000 { try harness.put(numbered(i), filled(100, i)) }
    var fault: CheckpointFault?
    try harness.checkpoint { effect in
      guard fault == nil, effect.step == step else { return true }
      var effects: [CheckpointEffect] = []
      harness.store.step(.failed(step, errno: 5), into: &effects)
      fault = CheckpointFault(step: step, errno: 5)
      #expect(effects == [.failed(CheckpointFault(step: step, errno: 5))])
      return true
    }
    #expect(harness.store.checkpointFault == fault)
    #expect(!harness.store.isCheckpointing)
    #expect(harness.store.durableEpoch == Epoch(1))
    #expect(try harness.rows().count == 1_000)
    var effects: [CheckpointEffect] = []
    harness.store.beginCheckpoint(into: &effects)
    #expect(effects == [.failed(CheckpointFault(step: step, errno: 5))])
  }

  @Test(arguments: [Int32(28), 122])
  func aFileThatCannotGrowForWantOfRoomIsToldToGrowAgain(errno: Int32) throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<1_000 { try harness.put(numbered(i), filled(100, i)) }
    var refusals = 0
    try harness.checkpoint { effect in
      guard case .grow = effect else { return true }
      for round in 0..<3 {
        #expect(harness.step(.failed(.grow, errno: errno)) == [.awaitRoom])
        #expect(harness.store.isCheckpointing && harness.store.checkpointFault == nil)
        try harness.put(numbered(5_000 + round), filled(100, round))
        #expect(harness.step(.growAgain) == [effect])
        refusals += 1
      }
      return true
    }
    #expect(refusals == 3)
    #expect(try harness.rows().count == 1_003)
    #expect(harness.verify().findings == [])
    try harness.reopen()
    #expect(try harness.rows().count == 1_000)
  }

  @Test func freedPagesAreReusedAfterTheNextButOneCheckpoint() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<2_000 { try harness.put(numbered(i), filled(100, i)) }
    try harness.checkpoint()
    var pages: [Int] = []
    for round in 0..<30 {
      for i in 0..<2_000 where i % 40 == 0 { try harness.put(numbered(i), filled(100, round)) }
      let free = harness.store.statistics.freePages
      let garbage = harness.store.statistics.garbagePages
      try harness.checkpoint()
      // Owed to the older superblock before, free now; what this epoch freed is still owed.
      #expect(round == 0 || harness.store.statistics.freePages > free)
      #expect(garbage > 0 && harness.store.statistics.garbagePages > 0)
      pages.append(harness.store.statistics.pages)
    }
    #expect(pages[29] == pages[4], "the file does not grow under a steady load")
    #expect(harness.verify().findings == [])
  }

  @Test func pagesOwedToTheOlderSuperblockStaySoAfterARestart() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<1_000 { try harness.put(numbered(i), filled(100, i)) }
    try harness.checkpoint()
    try harness.put(numbered(5), filled(100, 77))
    try harness.checkpoint()
    try harness.reopen()
    try harness.put(numbered(900), filled(100, 78))
    // Whatever is written now, the older superblock must still lead to its rows.
    var effects: [CheckpointEffect] = []
    try harness.checkpoint { effect in
      effects.append(effect)
      if case .writeSuperblock = effect { return false }
      return true
    }
    let older = try #require(
      harness.disk.page(PageID(0)).withUnsafeBytes { try? Superblock.decode($0) })
    #expect(older.epoch == Epoch(2))
    #expect(verifyStore(&harness.disk, older).findings == [])
  }

  @Test func aCrashAtAnyOrderLeavesTheOldOrTheNewCheckpoint() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<1_500 { try harness.put(numbered(i), filled(100, i)) }
    try harness.put(numbered(7), filled(70_000, 1))
    try harness.checkpoint()
    for i in 0..<1_500 where i % 3 == 0 { try harness.put(numbered(i), filled(90, i)) }
    try harness.checkpoint()
    let old = try harness.rows()
    for i in 0..<1_500 where i % 100 == 0 { try harness.delete(numbered(i)) }
    for i in 0..<200 { try harness.put(numbered(5_000 + i), filled(300, i)) }
    let new = try harness.rows()
    let start = harness.disk
    let orders = try harness.checkpoint().count
    var outcomes = (old: 0, new: 0)
    for stop in 0...orders {
      for seed in 0..<scaled(1, long: 3) {
        let rows = try rowsAfterCrash(start, harness, stop: stop, seed: UInt64(stop * 10 + seed))
        #expect(rows == old || rows == new)
        if rows == old { outcomes.old += 1 } else { outcomes.new += 1 }
      }
    }
    #expect(outcomes.old > 0 && outcomes.new > 0)
  }

  /// Repeats the same changes from `start`, crashes before order number `stop`, and opens what is left.
  private func rowsAfterCrash(
    _ start: VirtualDisk, _ done: Harness, stop: Int, seed: UInt64
  ) throws -> [Row] {
    let harness = try Harness(start)
    for i in 0..<1_500 where i % 100 == 0 { try harness.delete(numbered(i)) }
    for i in 0..<200 { try harness.put(numbered(5_000 + i), filled(300, i)) }
    var random = SeededRandom(seed: seed)
    var left = stop
    try harness.checkpoint { effect in
      left -= 1
      if left < 0, case .writeSuperblock(let page, let offset) = effect {
        // The crash may come while the superblock is being written.
        harness.disk.write(Array(harness.store.bytes(of: page)), at: Int(offset))
      }
      return left >= 0
    }
    harness.disk.crash(&random)
    try harness.reopen()
    let report = harness.verify()
    #expect(report.findings == [])
    return try harness.rows()
  }

  @Test func eitherSuperblockAloneRecovers() throws {
    let harness = try Harness()
    try harness.create()
    var states: [[Row]] = []
    for round in 0..<6 {
      for i in 0..<300 { try harness.put(numbered(i * (round + 1)), filled(100, round)) }
      try harness.checkpoint()
      states.append(try harness.rows())
      guard round > 0 else { continue }
      for lost in 0..<2 {
        var disk = harness.disk
        disk.flip(lost * pageBytes + 500, mask: 1)
        let other = try Harness(disk)
        #expect(other.store.damagedSuperblock != nil)
        let isNewest = other.store.durableEpoch == harness.store.durableEpoch
        #expect(try other.rows() == states[isNewest ? round : round - 1])
        // And it goes on from there.
        try other.put(numbered(1), bytes("on"))
        try other.checkpoint()
        #expect(other.verify().findings == [])
      }
    }
  }

  @Test func bitmapsOfManyPagesAreRewrittenOnlyWhereTheyChange() throws {
    let harness = try Harness()
    try harness.create()
    try harness.put(bytes("k"), bytes("v"))
    try harness.checkpoint()
    try harness.put(bytes("k"), bytes("w"))
    let effects = try harness.checkpoint()
    // Leaf, directory, one bitmap page.
    #expect(effects.filter { if case .writePage = $0 { true } else { false } }.count == 3)
  }

  /// Page id and birth epoch are the nonce of an encrypted page (Sealing): one start gives no pair twice. And the tail, where
  /// encryption puts its own, is zero in every page that is written, whatever stood in its frame before.
  @Test func aPageOfAnEpochIsWrittenOnceAndItsTailIsZero() throws {
    let harness = try Harness()
    try harness.create()
    var random = SeededRandom(seed: 21)
    var seen: Set<[UInt64]> = []
    for round in 0..<40 {
      for _ in 0..<300 {
        let key = numbered(Int(random.below(2_000)))
        switch random.below(10) {
        case 0...5: try harness.put(key, filled(Int(random.below(300)), round))
        case 6: try harness.put(key, filled(20_000 + Int(random.below(40_000)), round))
        default: _ = try harness.delete(key)
        }
      }
      try harness.checkpoint { effect in
        guard case .writePage(let page, _) = effect else { return true }
        let bytes = harness.store.bytes(of: page)
        let birth = bytes.load(fromByteOffset: 8, as: UInt64.self)
        #expect(seen.insert([UInt64(page.rawValue), birth]).inserted, "page \(page.rawValue) of epoch \(birth)")
        #expect(bytes.suffix(32).allSatisfy { $0 == 0 })
        return true
      }
      if round % 10 == 0 { harness.store.evictAll() }
    }
    #expect(seen.count > 2_000)
    #expect(harness.verify().isSound)
  }
}

struct TestFailure: Error {}

extension CheckpointEffect {
  var step: CheckpointStep? {
    switch self {
    case .grow: .grow
    case .writePage: .write
    case .sync: .sync
    case .awaitLog: .log
    case .writeSuperblock: .superblock
    case .shrink, .awaitRoom, .finished, .failed: nil
    }
  }
}

/// Orders to read that are answered late.
@Suite struct LateReadTests {
  /// The page of an order is freed, given out again and written anew before the order's bytes are read.
  @Test func bytesOfAPageIDThatWasGivenOutAgainAreNoDamage() throws {
    let filling = try Harness()
    try filling.create()
    try filling.put(bytes("key"), filled(1_000, 1))
    try filling.checkpoint()
    let harness = try Harness(filling.disk)
    let missing = try #require(try firstMiss(harness))
    let order = harness.store.loadOrder(for: missing)
    var value = 2
    while harness.store.entry(order.page).pointee.birth <= missing.pointer.birth {
      try harness.put(bytes("key"), filled(1_000, value))
      try harness.checkpoint()
      value += 1
      try #require(value < 10, "the page id comes back")
    }
    harness.store.evictAll()
    try harness.disk.page(order.page).withUnsafeBytes { try harness.store.pageLoaded(order, $0) }
    harness.store.checkInvariants()
    #expect(try harness.get(bytes("key")) == filled(1_000, value - 1))
  }

  @Test func theMissingPagesOfALongValueAreNamedTogether() throws {
    let harness = try Harness()
    try harness.create()
    let value = filled(100_000, 7)
    try harness.put(bytes("key"), value)
    try harness.checkpoint()
    harness.store.evictAll()
    var loaded = 0
    while true {
      do throws(PageMissing) {
        let count = try withBytes(bytes("key")) { key throws(PageMissing) in try harness.store.get(shard, key)?.count }
        #expect(count == value.count)
        break
      } catch {
        let ahead = harness.store.takeMissesAhead()
        #expect(ahead.isEmpty == (error.kind == .tree || loaded > 0))
        for missing in [error] + ahead { try harness.load(missing) }
        if error.kind == .overflow { loaded += 1 + ahead.count }
      }
    }
    #expect(loaded == 7)
    #expect(harness.store.takeMissesAhead().isEmpty)
  }

  /// Of the row's leaf: all above it has been loaded.
  private func firstMiss(_ harness: Harness) throws -> PageMissing? {
    while true {
      do throws(PageMissing) {
        _ = try withBytes(bytes("key")) { key throws(PageMissing) in try harness.store.get(shard, key) == nil }
        return nil
      } catch {
        let isOfShard = (try? harness.store.shardExists(shard)) ?? false
        if isOfShard, error.kind == .tree { return error }
        try harness.load(error)
      }
    }
  }
}
