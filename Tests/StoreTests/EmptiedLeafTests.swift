import Primitives
import Testing

@testable import Store

/// A batch that empties leaves and goes on where they were.
@Suite struct EmptiedLeafTests {
  /// Rows of 1 000 bytes that a leaf takes when they come in rising order.
  private let rowsOfALeaf = 15

  /// Just opened, with nothing in memory.
  private func storeOfLeaves(_ leaves: Int) throws -> Harness {
    let filling = try Harness()
    try filling.create()
    for i in 0..<leaves * rowsOfALeaf { try filling.put(numbered(i), filled(1_000, i)) }
    try filling.checkpoint()
    return try Harness(filling.disk)
  }

  /// Deletes `rows` and puts `key` in one batch: all is prepared before anything is changed.
  private func replace(_ rows: Range<Int>, by key: [UInt8], _ harness: Harness) throws {
    for row in rows {
      try numbered(row).withUnsafeBytes { key in
        try harness.prepare { () throws(PrepareFailure) in try harness.store.prepareDelete(shard, key) }
      }
    }
    try key.withUnsafeBytes { key in
      try harness.prepare { () throws(PrepareFailure) in try harness.store.prepareWrite(shard, key, valueCount: 3) }
    }
    for row in rows { #expect(numbered(row).withUnsafeBytes { harness.store.delete(shard, $0) }) }
    key.withUnsafeBytes { key in bytes("new").withUnsafeBytes { harness.store.put(shard, key, $0) } }
    harness.store.endWrite()
    harness.store.checkInvariants()
  }

  @Test(arguments: [0, 1, 5, 9])
  func aRowIsPutWhereTheBatchHasEmptiedTheLeaf(leaf: Int) throws {
    let harness = try storeOfLeaves(10)
    let rows = leaf * rowsOfALeaf..<(leaf + 1) * rowsOfALeaf
    try replace(rows, by: numbered(rows.lowerBound + 3), harness)
    #expect(try harness.rows().count == 9 * rowsOfALeaf + 1)
    #expect(try harness.get(numbered(rows.lowerBound + 3)) == bytes("new"))
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }

  /// The parents of all leaves go as well: more leaves than one inner page leads to.
  @Test func aRowIsPutWhereTheBatchHasEmptiedAWholeSubtree() throws {
    let harness = try storeOfLeaves(900)
    #expect(try harness.retry { () throws(PageMissing) in try harness.store.statistics(of: shard)?.height } == 3)
    let rows = 100 * rowsOfALeaf..<850 * rowsOfALeaf
    try replace(rows, by: numbered(700 * rowsOfALeaf), harness)
    #expect(try harness.rows().count == 150 * rowsOfALeaf + 1)
    #expect(harness.store.statistics.livePages < 160)
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }

  @Test func leavesThatStayEmptyAreGoneWhenTheBatchIsOver() throws {
    let harness = try storeOfLeaves(10)
    try replace(0..<10 * rowsOfALeaf, by: numbered(3), harness)
    #expect(try harness.delete(numbered(3)))
    #expect(try harness.retry { () throws(PageMissing) in try harness.store.statistics(of: shard)?.height } == 0)
    try harness.prepare { () throws(PrepareFailure) in try harness.store.prepareShard(shard) }
    harness.store.dropShard(shard)
    harness.store.endWrite()
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }

  @Test func aShardIsDroppedByTheBatchThatTookItsLastRow() throws {
    let harness = try Harness()
    try harness.create()
    try harness.put(bytes("k"), bytes("v"))
    try bytes("k").withUnsafeBytes { key in
      try harness.prepare { () throws(PrepareFailure) in
        try harness.store.prepareDelete(shard, key)
        try harness.store.prepareShard(shard)
      }
      #expect(harness.store.delete(shard, key))
    }
    harness.store.dropShard(shard)
    harness.store.endWrite()
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
  }
}
