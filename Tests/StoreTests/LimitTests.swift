import Primitives
import Testing

@testable import Store

@Suite struct LimitTests {
  @Test func dataFarLargerThanMemoryIsReadAndChanged() throws {
    var limits = defaultLimits()
    limits.framesMax = 256
    let harness = try Harness(limits: limits)
    try harness.create()
    for i in 0..<8_000 {
      while try !tryPut(harness, numbered((i &* 919) % 8_000), filled(1_000, i)) { try harness.checkpoint() }
    }
    try harness.checkpoint()
    #expect(harness.store.statistics.livePages > 500)
    #expect(harness.store.statistics.frameBytes == 256 * pageBytes)
    #expect(harness.loads > 500)
    #expect(try harness.rows().count == 8_000)
    #expect(harness.verify().findings == [])
    harness.store.checkInvariants()
  }

  @Test func framesAreTakenAtTheStartAndNeverMoreThanThereMayBe() throws {
    var limits = defaultLimits()
    (limits.framesMax, limits.framesAtStart) = (512, 300)
    #expect(try Harness(limits: limits).store.statistics.frameBytes == 384 * pageBytes)
    limits.framesAtStart = 4096
    #expect(try Harness(limits: limits).store.statistics.frameBytes == 512 * pageBytes)
    limits.framesAtStart = 0
    #expect(try Harness(limits: limits).store.statistics.frameBytes < 256 * pageBytes)
  }

  /// False when memory is full.
  private func tryPut(_ harness: Harness, _ key: [UInt8], _ value: [UInt8]) throws -> Bool {
    do {
      try harness.put(key, value)
      return true
    } catch PrepareFailure.outOfMemory {
      harness.store.endWrite()
      return false
    }
  }

  @Test func theLongestValueIsReadWithTheFewestFrames() throws {
    var limits = defaultLimits()
    limits.framesMax = 256
    let harness = try Harness(limits: limits)
    try harness.create()
    for i in 0..<6 {
      try harness.put(numbered(i), filled(1_200_000, i))
      try harness.checkpoint()
    }
    for i in [3, 0, 5, 1] { #expect(try harness.get(numbered(i)) == filled(1_200_000, i)) }
  }

  @Test func aFullFileRefusesWritesBeforeDeletesAndRecovers() throws {
    var limits = defaultLimits()
    limits.pagesMax = 400
    let harness = try Harness(limits: limits)
    try harness.create()
    var rows = 0
    var isFull = false
    while !isFull {
      do {
        try harness.put(numbered(rows), filled(2_000, rows))
        rows += 1
        if rows % 50 == 0 { try harness.checkpoint() }
      } catch PrepareFailure.diskFull {
        harness.store.endWrite()
        isFull = true
      }
    }
    #expect(harness.disk.pageCount <= 400)
    for i in 0..<rows where i % 3 != 0 {
      try harness.delete(numbered(i))
      if i % 50 == 0 { try harness.checkpoint() }
    }
    for _ in 0..<3 {
      try harness.setMetadata(bytes("x"))
      try harness.checkpoint()
    }
    try harness.put(numbered(rows), filled(2_000, rows))
    #expect(try harness.rows().count == (rows + 2) / 3 + 1)
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
    #expect(harness.disk.pageCount <= 400)
  }

  @Test func onlyCleanUnpinnedPagesAreEvicted() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<500 { try harness.put(numbered(i), filled(100, i)) }
    #expect(harness.store.statistics.dirtyPages == harness.store.statistics.residentPages)
    harness.store.evictAll()
    #expect(harness.store.statistics.dirtyPages == harness.store.statistics.residentPages)
    try harness.checkpoint()
    try numbered(17).withUnsafeBytes { key in
      try harness.prepare { () throws(PrepareFailure) in
        try harness.store.prepareWrite(shard, key, valueCount: 10)
      }
    }
    harness.store.evictAll()
    // Inner page, leaf and directory.
    #expect(harness.store.statistics.residentPages == 3)
    harness.store.endWrite()
    harness.store.evictAll()
    #expect(harness.store.statistics.residentPages == 0)
    #expect(try harness.rows().count == 500)
  }

  @Test func pinsAreKeptOverMissesSoThatABatchGetsAhead() throws {
    var limits = defaultLimits()
    limits.missChance = 500
    let harness = try Harness(limits: limits)
    try harness.create()
    for i in 0..<2_000 { try harness.put(numbered(i), filled(500, i)) }
    try harness.checkpoint()
    try harness.reopen()
    for i in 0..<1_000 {
      try numbered(i * 2).withUnsafeBytes { key in
        try harness.prepare { () throws(PrepareFailure) in
          try harness.store.prepareWrite(shard, key, valueCount: 900)
        }
      }
    }
    for i in 0..<1_000 {
      numbered(i * 2).withUnsafeBytes { key in filled(900, i).withUnsafeBytes { harness.store.put(shard, key, $0) } }
    }
    harness.store.endWrite()
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }
}
