import Primitives
import TestScale
import Testing

@testable import Store

/// Random operations against a sorted array, with checkpoints, evictions, misses on purpose, restarts and crashes between.
@Suite struct ModelTests {
  @Test(arguments: [UInt64(1), 2, 3, 4])
  func randomOperationsGiveWhatTheModelGives(seed: UInt64) throws {
    var world = try World(seed: seed)
    for _ in 0..<scaled(12_000, long: 250_000) { try world.step() }
    try world.compareAll()
    try world.emptyAndReclaim()
    for kind in world.happened { #expect(kind.value > 0, "\(kind.key) never happened") }
  }
}

private struct World {
  var random: SeededRandom
  let harness: Harness
  var now = Model()
  /// What the newest durable checkpoint holds.
  var durable = Model()
  /// Keys are drawn from so many.
  var spread: UInt64 = 3_000
  var happened = [
    "checkpoint": 0, "crash": 0, "reopen": 0, "miss": 0, "long value": 0, "scan": 0, "merge": 0, "keep": 0,
    "between": 0, "range": 0, "all reclaimed": 0, "at once": 0, "seen ahead": 0,
  ]
  /// Rises with each row that is kept, as versions do.
  var keptCount: UInt64 = 0

  init(seed: UInt64) throws {
    random = SeededRandom(seed: seed)
    var limits = defaultLimits()
    limits.missChance = 30
    limits.missSeed = seed
    harness = try Harness(limits: limits)
    try harness.create()
    try harness.checkpoint()
  }

  mutating func step() throws {
    switch random.below(10_000) {
    case 0..<3_900: try put()
    case 3_900..<4_000: try putAhead()
    case 4_000..<4_500: try keep()
    case 4_500..<7_500: try delete()
    case 7_500..<9_880: try get()
    case 9_880..<9_900: try reclaim()
    case 9_900..<9_960: try scan()
    case 9_960..<9_985: try checkpoint()
    case 9_985..<9_990: try reopen()
    case 9_990..<9_994: try crash()
    case 9_994..<9_997: harness.store.evictAll()
    case 9_997..<9_999: try deleteRange()
    default: spread = [30, 500, 3_000, 8_000][Int(random.below(4))]
    }
  }

  private mutating func key() -> [UInt8] {
    let n = Int(random.below(spread))
    switch n % 5 {
    case 0: return withUnsafeBytes(of: UInt32(n).bigEndian) { Array($0) } + [0, 0]
    case 1: return withUnsafeBytes(of: UInt32(n).bigEndian) { Array($0) }
    case 2: return numbered(n) + filled(n % 700, 1)
    default: return numbered(n)
    }
  }

  private mutating func value() -> [UInt8] {
    let n = Int(random.below(1_000_000))
    if random.chance(1, outOf: 300) {
      happened["long value", default: 0] += 1
      return filled(4_000 + n % 60_000, n)
    }
    return filled(random.chance(1, outOf: 10) ? n % 3_000 : n % 150, n)
  }

  private mutating func put() throws {
    let (key, value) = (key(), value())
    try look(key)
    try harness.put(key, value)
    now.put(key, value)
  }

  /// Leaves are looked for together, as for the commands of an entry; then come the puts, and now and then something else between.
  private mutating func putAhead() throws {
    let keys = (0..<8).map { _ in key() }
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: keys.reduce(0) { $0 + $1.count }, alignment: 8)
    defer { bytes.deallocate() }
    bytes.copyBytes(from: keys.joined())
    var ahead: [KeyAhead] = []
    var start = 0
    for key in keys {
      let part = UnsafeRawBufferPointer(rebasing: bytes[start..<start + key.count])
      ahead.append(KeyAhead(key: part, recordCount: 100))
      start += key.count
    }
    ahead.withUnsafeMutableBufferPointer { harness.store.prefetchLeaves(shard, $0) }
    for (key, ahead) in zip(keys, ahead) {
      let value = value()
      if random.chance(1, outOf: 2) { try disturb() }
      if let before = try harness.putAtOnce(key, value, ahead: ahead.leaf) {
        #expect(before == now.get(key))
        happened["at once", default: 0] += 1
        if ahead.leaf.frame != nil { happened["seen ahead", default: 0] += 1 }
      } else {
        try harness.put(key, value)
      }
      now.put(key, value)
    }
  }

  private mutating func disturb() throws {
    switch random.below(40) {
    case 0: harness.store.evictAll()
    case 1: try checkpoint()
    case 2: try deleteRange()
    case 3: try reclaim()
    case 4..<12: try delete()
    case 12..<16: try keep()
    case 16..<24: try put()
    default: try get()
    }
  }

  /// What was there moves behind all other keys, long values too, while the row is replaced or deleted.
  private mutating func keep() throws {
    let place = now.place(key()).index
    guard place < now.rows.count, now.rows[place].key[0] != 0xF0 else { return }
    happened["keep", default: 0] += 1
    let old = now.rows[place]
    keptCount += 1
    let kept = [0xF0] + withUnsafeBytes(of: keptCount.bigEndian) { Array($0) }
    let value = random.chance(1, outOf: 3) ? nil : value()
    try look(old.key)
    guard now.get(old.key) == old.value else { return }
    try harness.replace(old.key, by: value, keepingOldAs: kept)
    if let value { now.put(old.key, value) } else { _ = now.delete(old.key) }
    now.put(kept, old.value)
    // They grow for ever otherwise.
    while now.rows.last?.key[0] == 0xF0, keptCount > 200, random.chance(4, outOf: 5) {
      let oldest = now.rows[now.place([0xF0]).index].key
      #expect(try harness.delete(oldest) == now.delete(oldest))
    }
  }

  private mutating func delete() throws {
    // Half of the deletes take a run of neighbours, so that pages empty.
    let key = key()
    let first = now.place(key).index
    let run = random.chance(1, outOf: 200) ? Int(random.below(300)) : 0
    let keys = now.rows[first..<min(first + run, now.rows.count)].map(\.key)
    let before = harness.store.statistics.livePages
    for key in keys + [key] {
      try look(key)
      #expect(try harness.delete(key) == now.delete(key))
    }
    if harness.store.statistics.livePages < before { happened["merge", default: 0] += 1 }
  }

  /// Most who write to a key have looked at it before. Now and then something comes between that makes the way to it another.
  private mutating func look(_ key: [UInt8]) throws {
    guard random.chance(3, outOf: 4) else { return }
    #expect(try harness.getToWrite(key) == now.get(key))
    guard random.chance(1, outOf: 8) else { return }
    happened["between", default: 0] += 1
    switch random.below(5) {
    case 0: harness.store.evictAll()
    case 1: try harness.setMetadata([UInt8(random.below(256))])
    case 2:
      let (other, value) = (self.key(), value())
      try harness.put(other, value)
      now.put(other, value)
    case 3:
      let other = self.key()
      #expect(try harness.delete(other) == now.delete(other))
    default: #expect(try harness.getToWrite(self.key() + [0]) == nil)
    }
  }

  /// From some row to some other, a few rows or nearly all.
  private mutating func deleteRange() throws {
    happened["range", default: 0] += 1
    let from = key()
    let start = now.place(from).index
    let count = Int(random.below(random.chance(1, outOf: 3) ? 10 : UInt64(now.rows.count + 2)))
    let to = start + count < now.rows.count ? now.rows[start + count].key : [0xF8]
    guard from.lexicographicallyPrecedes(to) else { return }  // no rows, and the key is one of them
    try harness.deleteRange(from, to, &now)
    harness.store.checkInvariants()
  }

  private mutating func reclaim() throws {
    let waited = harness.store.discardedCount ?? 1 > 0
    let isDone = try harness.reclaim(pagesMax: Int(random.below(100)))
    if waited, isDone { happened["all reclaimed", default: 0] += 1 }
  }

  private mutating func get() throws {
    let key = key()
    #expect(try harness.get(key) == now.get(key))
  }

  private mutating func scan() throws {
    happened["scan", default: 0] += 1
    let key = key()
    let place = now.place(key).index
    let forward = random.chance(1, outOf: 2)
    let expected = forward ? Array(now.rows[place...].prefix(50)) : Array(now.rows[..<place].suffix(50).reversed())
    let cursor = try harness.retry { () throws(PageMissing) in try harness.store.cursor(shard) }
    var isOn = try seek(cursor, key, forward: forward)
    var found: [Row] = []
    while isOn, found.count < 50 {
      found.append(
        try harness.retry { () throws(PageMissing) in
          Row(key: Array(try cursor.key()), value: Array(try cursor.value()))
        })
      isOn = try harness.retry { () throws(PageMissing) in try forward ? cursor.next() : cursor.previous() }
    }
    #expect(found == expected)
  }

  private func seek(_ cursor: Cursor, _ key: [UInt8], forward: Bool) throws -> Bool {
    try harness.retry { () throws(PageMissing) -> Bool in
      try withBytes(key) { key throws(PageMissing) -> Bool in
        if forward { return try cursor.seek(atOrAfter: key) }
        return try cursor.seek(before: key)
      }
    }
  }

  /// A checkpoint during which writers go on.
  private mutating func checkpoint() throws {
    happened["checkpoint", default: 0] += 1
    let frozen = now
    var finished = false
    try harness.checkpoint { effect in
      if case .finished = effect { finished = true }
      if random.chance(1, outOf: 4) { try random.chance(1, outOf: 2) ? put() : delete() }
      return true
    }
    #expect(finished)
    durable = frozen
    let report = harness.verify()
    #expect(report.findings == [])
    #expect(report.shards.first?.rows == UInt64(durable.rows.count))
    #expect(report.shards.first?.bytes == UInt64(durable.bytes))
    harness.store.checkInvariants()
  }

  private mutating func reopen() throws {
    happened["reopen", default: 0] += 1
    happened["miss", default: 0] += harness.loads
    try harness.reopen()
    now = durable
    try compareAll()
  }

  /// The power fails somewhere in a checkpoint: either the old one or the new one is there.
  private mutating func crash() throws {
    happened["crash", default: 0] += 1
    let frozen = now
    var left = Int(random.below(60))
    try harness.checkpoint { _ in
      if random.chance(1, outOf: 4) { try put() }
      left -= 1
      return left > 0
    }
    harness.disk.crash(&random)
    try harness.reopen()
    let rows = try harness.rows()
    #expect(rows == durable.rows || rows == frozen.rows)
    if rows != durable.rows { durable = frozen }
    now = durable
    #expect(harness.verify().findings == [])
  }

  /// Nothing stays behind when the last row has gone.
  mutating func emptyAndReclaim() throws {
    try harness.deleteRange([], [0xFF], &now)
    #expect(try harness.reclaim())
    try compareAll()
    for _ in 0..<3 { try checkpoint() }
    try harness.deleteRange([], [0xFF], &now)
    #expect(try harness.reclaim())
    #expect(harness.store.statistics.livePages == 2 + 1 + 1, "superblocks, the directory's leaf, a bitmap page")
  }

  func compareAll() throws {
    #expect(try harness.rows() == now.rows)
    #expect(try harness.rowsBackwards() == now.rows.reversed())
    let statistics = try harness.retry { () throws(PageMissing) in try harness.store.statistics(of: shard) }
    #expect(statistics?.rows == UInt64(now.rows.count))
    #expect(statistics?.bytes == UInt64(now.bytes))
  }
}
