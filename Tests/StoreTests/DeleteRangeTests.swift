import Primitives
import Testing

@testable import Store

/// Ranges that go at once, and the pages that come back afterwards.
@Suite struct DeleteRangeTests {
  /// Rows of 1 000 bytes that a leaf takes when they come in rising order.
  private let rowsOfALeaf = 15

  private func filledStore(leaves: Int) throws -> (Harness, Model) {
    let harness = try Harness()
    var model = Model()
    try harness.create()
    for i in 0..<leaves * rowsOfALeaf {
      try harness.put(numbered(i), filled(1_000, i))
      model.put(numbered(i), filled(1_000, i))
    }
    try harness.checkpoint()
    return (try Harness(harness.disk), model)
  }

  @Test func itsCostDoesNotFollowFromTheRowsThatGo() throws {
    var (harness, model) = try filledStore(leaves: 900)
    #expect(try harness.retry { () throws(PageMissing) in try harness.store.statistics(of: shard)?.height } == 3)
    let loads = harness.loads
    try harness.deleteRange(numbered(100), numbered(850 * rowsOfALeaf), &model)
    #expect(harness.loads - loads < 12, "two ways down, and the directory")
    #expect(harness.store.statistics.dirtyPages < 20)
    #expect(try harness.rows() == model.rows)
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }

  @Test func aTreeDoesNotGrowByRangesThatGo() throws {
    var (harness, model) = try filledStore(leaves: 60)
    for i in 0..<50 {
      let start = (i * 37) % (58 * rowsOfALeaf)
      try harness.deleteRange(numbered(start), numbered(start + 17), &model)
      #expect(try harness.rows() == model.rows)
    }
    #expect(try harness.retry { () throws(PageMissing) in try harness.store.statistics(of: shard)?.height } == 2)
    #expect(try harness.reclaim())
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
    #expect(harness.store.statistics.livePages < 45)
  }

  /// Every pair of edges of a small tree: before, at and behind each row.
  @Test func everyRangeOfASmallTreeGoes() throws {
    let (harness, whole) = try filledStore(leaves: 4)
    for from in stride(from: 0, through: 60, by: 3) {
      for to in stride(from: from + 1, through: 61, by: 3) {
        var model = whole
        let part = try Harness(harness.disk)
        try part.deleteRange(numbered(from), numbered(to), &model)
        #expect(try part.rows() == model.rows, "\(from) ..< \(to)")
        let statistics = try part.retry { () throws(PageMissing) in try part.store.statistics(of: shard) }
        #expect(statistics?.rows == UInt64(model.rows.count) && statistics?.bytes == UInt64(model.bytes))
        part.store.checkInvariants()
      }
    }
  }

  @Test func whatIsDiscardedComesBackPageByPageOverRestarts() throws {
    var (harness, model) = try filledStore(leaves: 900)
    for i in 0..<20 {
      let key = numbered(200 * rowsOfALeaf + i) + bytes("long")
      try harness.put(key, filled(50_000, i))
      model.put(key, filled(50_000, i))
    }
    let before = harness.store.statistics.livePages
    try harness.deleteRange(numbered(10), numbered(890 * rowsOfALeaf), &model)
    var steps = 0
    while harness.store.discardedCount != 0 {
      steps += 1
      do throws(PrepareFailure) { _ = try harness.store.reclaim(pagesMax: 50) } catch {
        guard case .missing(let missing) = error else { throw error }
        try harness.load(missing)
      }
      guard steps % 100 == 0 else { continue }
      try harness.checkpoint()
      #expect(harness.verify().findings == [])
      if steps % 300 == 0 { try harness.reopen() }
    }
    #expect(steps > 900)
    #expect(harness.store.statistics.livePages < before - 940)
    #expect(try harness.rows() == model.rows)
    for _ in 0..<3 {
      try harness.setMetadata(bytes("\(steps)"))
      try harness.checkpoint()
    }
    #expect(harness.verify().findings == [])
    #expect(harness.store.statistics.garbagePages < 20, "nobody needs the freed pages any more")
  }

  /// Long after it was cut off the top of the stack may lie in another leaf of the directory than the shards.
  @Test func manyDiscardedTreesWaitTogether() throws {
    let harness = try Harness()
    var models: [ShardID: Model] = [:]
    for id in (1...400).map({ ShardID($0) }) + [ShardID(UInt64.max)] {
      try harness.create(id)
      var model = Model()
      for i in 0..<40 {
        try harness.put(numbered(i), filled(1_000, i), in: id)
        model.put(numbered(i), filled(1_000, i))
      }
      models[id] = model
    }
    try harness.checkpoint()
    for (id, old) in models.sorted(by: { $0.key < $1.key }) {
      var model = old
      try harness.deleteRange(numbered(2), numbered(38), &model, in: id)
      models[id] = model
    }
    #expect(harness.store.discardedCount == 401)
    try harness.checkpoint()
    try harness.reopen()
    #expect(harness.verify().findings == [])
    let shards = try harness.retry { () throws(PageMissing) in try harness.store.shards() }
    #expect(shards.count == 401)
    #expect(try harness.reclaim())
    for (id, model) in models { #expect(try harness.rows(in: id) == model.rows) }
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }

  /// A row is put where a range has gone, in one batch: all is prepared before anything is changed.
  @Test func aBatchGoesOnWhereARangeHasGone() throws {
    var (harness, model) = try filledStore(leaves: 40)
    let (from, to) = (numbered(5 * rowsOfALeaf), numbered(35 * rowsOfALeaf))
    let removed = model.deleteRange(from, to)
    let keys = [5, 20, 34].map { numbered($0 * rowsOfALeaf + 2) }
    for key in keys {
      try key.withUnsafeBytes { key in
        try harness.prepare { () throws(PrepareFailure) in try harness.store.prepareWrite(shard, key, valueCount: 1) }
      }
      model.put(key, bytes("7"))
    }
    try from.withUnsafeBytes { from in
      try to.withUnsafeBytes { to in
        try harness.prepare { () throws(PrepareFailure) in
          try harness.store.prepareDeleteRange(shard, from: from, to: to)
        }
        harness.store.deleteRange(shard, from: from, to: to, rows: removed.rows, bytes: removed.bytes)
      }
    }
    for key in keys { key.withUnsafeBytes { key in bytes("7").withUnsafeBytes { harness.store.put(shard, key, $0) } } }
    harness.store.endWrite()
    #expect(try harness.rows() == model.rows)
    #expect(try harness.reclaim())
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }
}
