import Primitives
import Testing

@testable import Store

@Suite struct TreeTests {
  @Test func whatIsPutIsRead() throws {
    let harness = try Harness()
    try harness.create()
    try harness.put(bytes("a"), bytes("1"))
    try harness.put(bytes("b"), bytes("22"))
    try harness.put(bytes("a"), bytes("3"))
    try harness.put([], bytes("the empty key"))
    #expect(try harness.get(bytes("a")) == bytes("3"))
    #expect(try harness.get(bytes("b")) == bytes("22"))
    #expect(try harness.get([]) == bytes("the empty key"))
    #expect(try harness.get(bytes("c")) == nil)
    #expect(try harness.delete(bytes("a")))
    #expect(try !harness.delete(bytes("a")))
    #expect(try harness.get(bytes("a")) == nil)
    let statistics = try harness.store.statistics(of: shard)
    #expect(statistics == ShardStatistics(rows: 2, bytes: 16, height: 1))
  }

  @Test(arguments: [0, 1, 4_095, 4_096, 4_097, 16_288, 16_289, 100_000, 1_153_434, 1_200_000])
  func valuesOfAllLengthsComeBack(count: Int) throws {
    let harness = try Harness()
    try harness.create()
    for keyCount in [1, 3_000, 5_000] {
      try harness.put(filled(keyCount, keyCount), filled(count, keyCount))
    }
    try harness.checkpoint()
    try harness.reopen()
    for keyCount in [1, 3_000, 5_000] {
      #expect(try harness.get(filled(keyCount, keyCount)) == filled(count, keyCount))
    }
    #expect(harness.verify().findings == [])
  }

  @Test func overflowPagesAreFreedWithTheirValue() throws {
    let harness = try Harness()
    try harness.create()
    try harness.put(bytes("k"), filled(100, 1))
    let before = harness.store.statistics.livePages
    try harness.put(bytes("k"), filled(200_000, 1))
    #expect(harness.store.statistics.livePages == before + 13)
    try harness.put(bytes("k"), filled(300_000, 1))
    #expect(harness.store.statistics.livePages == before + 19)
    try harness.delete(bytes("k"))
    #expect(harness.store.statistics.livePages == before - 1)
  }

  @Test func theLongestKeysSplitAtEveryLevel() throws {
    let harness = try Harness()
    try harness.create()
    var model = Model()
    var random = SeededRandom(seed: 5)
    for _ in 0..<200 {
      var key = [UInt8](repeating: 0x61, count: 5_000)
      for i in 4_990..<5_000 { key[i] = UInt8(random.below(256)) }
      let value = filled(Int(random.below(6_000)), 3)
      try harness.put(key, value)
      model.put(key, value)
    }
    let height = try #require(try harness.store.statistics(of: shard)).height
    #expect(height >= 5)
    #expect(try harness.rows() == model.rows)
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
    for row in model.rows { #expect(try harness.delete(row.key)) }
    #expect(try harness.store.statistics(of: shard) == ShardStatistics(rows: 0, bytes: 0, height: 0))
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }

  @Test func risingAndFallingKeysFillTheirPages() throws {
    for rising in [true, false] {
      let harness = try Harness()
      try harness.create()
      for i in 0..<5_000 { try harness.put(numbered(rising ? i : 5_000 - i), filled(100, i)) }
      // 131 bytes an entry: 124 to a page.
      #expect(harness.store.statistics.livePages <= 5_000 / 124 + 8)
    }
  }

  @Test func cursorsGoBothWaysFromAnyPlace() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<2_000 { try harness.put(numbered(i * 2), filled(i % 200, i)) }
    let cursor = try harness.store.cursor(shard)
    for i in stride(from: -1, to: 4_001, by: 37) {
      let key = i < 0 ? bytes("a") : numbered(i)
      let after = try key.withUnsafeBytes { try cursor.seek(atOrAfter: $0) }
      let firstAfter = i < 0 ? 0 : (i + 1) / 2
      #expect(after == (firstAfter < 2_000))
      if after { #expect(Array(try cursor.key()) == numbered(firstAfter * 2)) }
      let before = try key.withUnsafeBytes { try cursor.seek(before: $0) }
      #expect(before == (firstAfter > 0))
      if before { #expect(Array(try cursor.key()) == numbered(firstAfter * 2 - 2)) }
      if before, firstAfter < 2_000 {
        #expect(try cursor.next())
        #expect(Array(try cursor.key()) == numbered(firstAfter * 2))
        #expect(try cursor.previous())
      }
    }
    #expect(try harness.rows() == Array(try harness.rowsBackwards().reversed()))
  }

  @Test func aCursorOnAnEmptyShardFindsNothing() throws {
    let harness = try Harness()
    try harness.create()
    let cursor = try harness.store.cursor(shard)
    #expect(try !cursor.first())
    #expect(try !cursor.last())
    #expect(!cursor.isOnRow)
  }

  @Test func aBatchOfAThousandOperationsIsPreparedFirst() throws {
    let harness = try Harness()
    try harness.create()
    var model = Model()
    for i in 0..<3_000 {
      try harness.put(numbered(i), filled(i % 300, i))
      model.put(numbered(i), filled(i % 300, i))
    }
    for seed in 1...4 {
      try harness.checkpoint()
      harness.store.evictAll()
      let operations = randomBatch(seed: UInt64(seed))
      for (key, value) in operations { try prepareOne(harness, key, value) }
      for (key, value) in operations { applyOne(harness, key, value, &model) }
      harness.store.endWrite()
      #expect(try harness.rows() == model.rows)
      harness.store.checkInvariants()
    }
  }

  /// A thousand puts (a value) and deletes (nil), crowded so that they split and merge under each other.
  private func randomBatch(seed: UInt64) -> [([UInt8], [UInt8]?)] {
    var random = SeededRandom(seed: seed)
    return (0..<1_000).map { _ in
      let near = Int(random.below(4)) * 800
      let key = numbered(near + Int(random.below(400))) + (random.chance(1, outOf: 3) ? [UInt8(random.below(256))] : [])
      let length = random.chance(1, outOf: 30) ? 20_000 : Int(random.below(2_000))
      return (key, random.chance(3, outOf: 5) ? nil : filled(length, Int(random.below(99))))
    }
  }

  private func prepareOne(_ harness: Harness, _ key: [UInt8], _ value: [UInt8]?) throws {
    try key.withUnsafeBytes { key in
      try harness.prepare { () throws(PrepareFailure) in
        if let value {
          try harness.store.prepareWrite(shard, key, valueCount: value.count)
        } else {
          try harness.store.prepareDelete(shard, key)
        }
        try harness.store.prepareRead(shard, key)
      }
    }
  }

  private func applyOne(_ harness: Harness, _ key: [UInt8], _ value: [UInt8]?, _ model: inout Model) {
    key.withUnsafeBytes { key in
      let found = harness.store.getPrepared(shard, key).map { Array($0) }
      #expect(found == model.get(Array(key)))
      if let value {
        value.withUnsafeBytes { harness.store.put(shard, key, $0) }
        model.put(Array(key), value)
      } else {
        #expect(harness.store.delete(shard, key) == model.delete(Array(key)))
      }
    }
  }

  @Test func deletingMergesPagesAndLowersTheRoot() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<20_000 { try harness.put(numbered(i), filled(100, i)) }
    let full = harness.store.statistics.livePages
    for i in 0..<20_000 where i % 10 != 0 { try harness.delete(numbered(i)) }
    #expect(harness.store.statistics.livePages < full * 4 / 10)
    for i in 0..<20_000 where i % 10 == 0 { try harness.delete(numbered(i)) }
    #expect(try harness.store.statistics(of: shard)?.height == 0)
  }

  @Test func shrinkingValuesMergePages() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<2_000 { try harness.put(numbered(i), filled(1_000, i)) }
    let full = harness.store.statistics.livePages
    for i in 0..<2_000 { try harness.put(numbered(i), filled(10, i)) }
    #expect(harness.store.statistics.livePages < full / 6)
    #expect(try harness.rows().count == 2_000)
  }

  @Test func shardsDoNotSeeEachOther() throws {
    let harness = try Harness()
    let ids = [ShardID(300), ShardID(2), ShardID(UInt64.max), ShardID(1)]
    for id in ids {
      try harness.create(id)
      try harness.put(bytes("k"), bytes("\(id)"), in: id)
      try harness.setMetadata(bytes("meta \(id)"), of: id)
    }
    try harness.checkpoint()
    try harness.reopen()
    for id in ids {
      #expect(try harness.get(bytes("k"), in: id) == nil || harness.get(bytes("k"), in: id) == bytes("\(id)"))
      let metadata = try harness.retry { () throws(PageMissing) in try harness.store.metadata(id) }
      #expect(metadata == bytes("meta \(id)"))
    }
    let shards = try harness.retry { () throws(PageMissing) in try harness.store.shards() }
    #expect(shards == ids.sorted())
    try harness.delete(bytes("k"), in: ids[0])
    try harness.prepare { () throws(PrepareFailure) in try harness.store.prepareShard(ids[0]) }
    harness.store.dropShard(ids[0])
    harness.store.endWrite()
    #expect(try harness.retry { () throws(PageMissing) in try !harness.store.shardExists(ids[0]) })
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
    #expect(harness.verify().shards.map(\.shard) == ids.sorted().filter { $0 != ids[0] })
  }

  @Test func keysFoundByACursorArePurgedInOneBatch() throws {
    let harness = try Harness()
    try harness.create()
    for i in 0..<3_000 { try harness.put(numbered(i), filled(50, i)) }
    try harness.checkpoint()
    try harness.reopen()
    var left = 3_000
    while left > 0 {
      let keys = try harness.rows().prefix(1_000).map(\.key)
      for key in keys {
        try key.withUnsafeBytes { key in
          try harness.prepare { () throws(PrepareFailure) in try harness.store.prepareDelete(shard, key) }
        }
      }
      for key in keys { #expect(key.withUnsafeBytes { harness.store.delete(shard, $0) }) }
      harness.store.endWrite()
      left -= keys.count
    }
    #expect(try harness.rows() == [])
    // The directory's leaf and the two superblocks; the bitmap page is placed at the next freeze.
    #expect(harness.store.statistics.livePages <= 4)
  }
}
