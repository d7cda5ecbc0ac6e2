import Primitives
import TestScale
import Testing

@testable import Store

/// Room in the page file: made ahead, kept for what must go on, given back.
@Suite struct RoomTests {
  private func limits(_ pages: UInt32) -> StoreLimits {
    var limits = StoreLimits(framesMax: 4096, pagesMax: pages)
    limits.growPages = 16
    limits.reservesRoom = true
    return limits
  }

  private func resize(_ harness: Harness) throws {
    var orders: [CheckpointEffect] = []
    harness.store.resizeWhenDue(into: &orders)
    _ = try harness.run(orders)
  }

  private func make(_ pages: UInt32) throws -> Harness {
    let harness = try Harness(limits: limits(pages))
    try resize(harness)
    try harness.create()
    return harness
  }

  /// Puts rows of a page each until one finds no room.
  private func fill(_ harness: Harness) throws -> Int {
    var rows = 0
    do {
      while rows < 5000 {
        try resize(harness)
        try harness.put(numbered(rows), filled(15_000, rows))
        rows += 1
      }
    } catch PrepareFailure.diskFull { harness.store.endWrite() }
    return rows
  }

  /// What a node does when it has no room for a command: a checkpoint, once or twice.
  private func checkpointForRoom(_ harness: Harness) throws {
    for _ in 0..<2 {
      try harness.prepare { () throws(PrepareFailure) in try harness.store.prepareCheckpoint(shard) }
      harness.store.setMetadata(shard, bytes("m"))
      harness.store.endWrite()
      try harness.checkpoint()
    }
  }

  @Test func noPageIsTakenThatTheFileHasNoRoomFor() throws {
    let harness = try make(1600)
    harness.isDiskFull = true
    let before = harness.store.statistics.filePages
    let rows = try fill(harness)
    #expect(rows > 50 && rows < before)
    #expect(
      harness.store.room.isRefusedByDisk && harness.store.room.more == 0
        && harness.store.room.total < harness.store.room.low)
    // The checkpoint has its pages without growing.
    try checkpointForRoom(harness)
    #expect(harness.store.statistics.pages <= before && harness.disk.pageCount == before)
    #expect(harness.verify().findings == [])
    harness.isDiskFull = false
    _ = try harness.run(harness.step(.growAgain))
    #expect(harness.store.statistics.filePages > before && !harness.store.room.isRefusedByDisk)
    try harness.put(numbered(rows), filled(15_000, 1))
  }

  /// The last pages are for checkpoints: with them the others come back.
  @Test func aCheckpointBeginsWhenDeletesHaveTakenAllThatTheyMay() throws {
    let harness = try make(300)
    let rows = try fill(harness)
    try harness.checkpoint()
    var isStopped = false
    for row in 0..<rows where !isStopped {
      // Without checkpoints each delete that touches another leaf takes pages.
      do { try harness.delete(numbered((row &* 7) % rows)) } catch PrepareFailure.diskFull {
        harness.store.endWrite()
        isStopped = true
      }
    }
    while harness.store.room.free > 64 + 8 {
      do { try harness.put(numbered(0), filled(15_000, 9)) } catch PrepareFailure.diskFull {
        harness.store.endWrite()
        break
      }
    }
    try checkpointForRoom(harness)
    #expect(harness.store.room.free > 64 + 8)
    #expect(harness.verify().findings == [])
  }

  /// Fill, delete, fill: at each moment what is on the disk opens and is whole, also after a crash at any order.
  @Test func theFileIsCutOffAndOpensAtEveryMoment() throws {
    var random = SeededRandom(seed: 3)
    let full = try make(1600)
    for row in 0..<400 {
      try resize(full)
      try full.put(numbered(row), filled(15_000, row))
    }
    try full.checkpoint()
    let largest = full.disk.pageCount
    for stopAt in stride(from: 0, to: 150, by: scaled(7, long: 1)) {
      let harness = try Harness(full.disk, limits: limits(1600))
      var orders = 0
      var isStopped = false
      for row in 10..<400 { try harness.delete(numbered(row)) }
      #expect(try harness.reclaim(), "a node asks soon after its start")
      for _ in 0..<8 where !isStopped {
        // A page that nobody changes stays where it is.
        for row in 0..<10 { try harness.put(numbered(row), filled(15_000, row)) }
        try harness.checkpoint { _ in
          orders += 1
          isStopped = orders == stopAt
          return !isStopped
        }
        guard !isStopped else { break }
        var due: [CheckpointEffect] = []
        harness.store.resizeWhenDue(into: &due)
        _ = try harness.run(due) { _ in
          orders += 1
          isStopped = orders == stopAt
          return !isStopped
        }
      }
      if !isStopped { #expect(harness.disk.pageCount < largest * 2 / 3) }
      var disk = harness.disk
      disk.crash(&random)
      let again = try Harness(disk, limits: limits(1600))
      #expect(again.store.damagedSuperblock == nil, "stopped at \(stopAt)")
      for row in 0..<10 { #expect(try again.get(numbered(row)) == filled(15_000, row)) }
      try again.put(numbered(1), filled(100, 1))
      try again.checkpoint()
      #expect(again.verify().findings == [], "stopped at \(stopAt)")
      again.store.checkInvariants()
    }
  }

  /// Either superblock alone opens what it speaks of, though the newer one speaks of a shorter file.
  @Test func theOlderSuperblockIsGoodThoughItHasMorePages() throws {
    let harness = try make(1600)
    for row in 0..<400 {
      try resize(harness)
      try harness.put(numbered(row), filled(15_000, row))
    }
    try harness.checkpoint()
    try harness.setMetadata(bytes("y"))
    try harness.checkpoint()
    for row in 10..<400 { try harness.delete(numbered(row)) }
    #expect(try harness.reclaim(), "a node asks soon after its start")
    var isShorter = false
    for _ in 0..<6 where !isShorter {
      for row in 0..<10 { try harness.put(numbered(row), filled(15_000, row)) }
      try harness.checkpoint()
      try resize(harness)
      let all = try (0..<2).map { slot in
        try harness.disk.page(PageID(UInt32(slot))).withUnsafeBytes { try Superblock.decode($0) }
      }.sorted { $0.epoch < $1.epoch }
      isShorter = all[1].pageCount < all[0].pageCount
      guard isShorter else { continue }
      #expect(harness.disk.pageCount >= Int(all[0].pageCount))
      #expect(verifyStore(&harness.disk, all[0]).findings == [] && verifyStore(&harness.disk, all[1]).findings == [])
      for slot in [all[0].slot, all[1].slot] {
        var disk = harness.disk
        disk.flip(Int(slot.fileOffset) + 200, mask: 1)
        let again = try Harness(disk, limits: limits(1600))
        #expect(again.store.damagedSuperblock != nil)
        try again.put(numbered(5000), filled(100, 1))
        try again.checkpoint()
        #expect(again.verify().findings == [])
      }
    }
    #expect(isShorter)
  }

  /// A limit below what is there: no write, but deletes, which bring the file below it.
  @Test func aLimitThatWasLoweredLeavesRoomForDeletes() throws {
    let large = try make(1600)
    for row in 0..<600 {
      try resize(large)
      try large.put(numbered(row), filled(15_000, row))
    }
    try large.checkpoint()
    let harness = try Harness(large.disk, limits: limits(400))
    try resize(harness)
    #expect(harness.store.room.total < harness.store.room.lowest)
    for row in 0..<500 {
      try harness.delete(numbered(row))
      if row % 20 == 0 { try checkpointForRoom(harness) }
    }
    for _ in 0..<3 {
      try checkpointForRoom(harness)
      try resize(harness)
    }
    #expect(harness.store.room.total >= harness.store.room.high && harness.store.statistics.livePages < 400)
    try harness.put(numbered(0), filled(15_000, 0))
    #expect(harness.verify().findings == [])
  }
}
