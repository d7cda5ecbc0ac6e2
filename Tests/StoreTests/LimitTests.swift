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

  /// Of the 125 frames that are not headroom a put of a flat tree takes 3, and the first change of a shard in an epoch as
  /// many for its record.
  @Test func aBatchPreparesItsShardsRecordOnce() throws {
    var limits = defaultLimits()
    limits.framesMax = 256
    let harness = try Harness(limits: limits)
    try harness.create()
    try harness.put(numbered(0), filled(100, 0))
    for round in 1...3 {
      try harness.checkpoint()
      for i in 1...30 {
        try numbered(i).withUnsafeBytes { key in
          try harness.prepare { () throws(PrepareFailure) in
            try harness.store.prepareWrite(shard, key, valueCount: 100)
          }
        }
      }
      for i in 1...30 {
        numbered(i).withUnsafeBytes { key in
          filled(100, i + round).withUnsafeBytes { harness.store.put(shard, key, $0) }
        }
      }
      harness.store.endWrite()
    }
    #expect(try harness.rows().count == 31)
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }

  /// Writers go on while a checkpoint is written, with memory for a fifth of the rows: whoever gets no frame is told so,
  /// and gets one when more is written.
  @Test func dirtyAndFrozenPagesNeverTakeAllFrames() throws {
    var limits = defaultLimits()
    limits.framesMax = 256
    let harness = try Harness(limits: limits)
    try harness.create()
    var random = SeededRandom(seed: 5)
    var model: [Int: Int] = [:]
    var (refusals, mostPages) = (0, 0)
    func write(_ version: Int) throws {
      let key = Int(random.below(8_000))
      if try tryPut(harness, numbered(key), filled(1_000, version)) { model[key] = version } else { refusals += 1 }
      let now = harness.store.statistics
      mostPages = max(mostPages, now.dirtyPages + now.frozenPages)
    }
    for round in 0..<60 {
      while harness.store.statistics.dirtyPages <= harness.store.dirtyPagesMax { try write(round) }
      try harness.checkpoint { effect in
        if case .writePage = effect { for _ in 0..<4 { try write(round) } }
        return true
      }
      harness.store.checkInvariants()
    }
    #expect(refusals > 100)
    #expect(mostPages > 256 - harness.store.headroomFrames - 20 && mostPages <= 256 - harness.store.headroomFrames)
    for (key, version) in model.sorted(by: { $0.key < $1.key }) {
      #expect(try harness.get(numbered(key)) == filled(1_000, version))
    }
    #expect(harness.verify().findings == [])
  }

  @Test func treesOfFewPagesNeverHaveTooManyDirtyOnes() throws {
    var limits = defaultLimits()
    limits.framesMax = 1_024
    let harness = try Harness(limits: limits)
    try harness.create()
    var random = SeededRandom(seed: 6)
    let most = harness.store.dirtyPagesMax
    #expect(most == (1_024 - harness.store.headroomFrames) * 3 / 8)
    var rows = 0
    while harness.store.statistics.livePages < most {
      try harness.put(numbered(rows), filled(1_000, rows))
      rows += 1
      if rows % 500 == 0 { try harness.checkpoint() }
    }
    for round in 0..<3 {
      for _ in 0..<4 * rows { try harness.put(numbered(Int(random.below(UInt64(rows)))), filled(1_000, round)) }
      #expect(harness.store.statistics.dirtyPages > most * 9 / 10 && harness.store.statistics.dirtyPages <= most)
      // And as many again while those are written: nobody waits.
      try harness.checkpoint { effect in
        if case .writePage = effect {
          for _ in 0..<40 { try harness.put(numbered(Int(random.below(UInt64(rows)))), filled(1_000, round)) }
        }
        return true
      }
    }
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
