import Primitives
import Testing

@testable import Store

/// Who has to leave when frames run out.
@Suite struct EvictionTests {
  /// A store of so many leaves, just opened: nothing is in memory.
  private func storeOfLeaves(_ leaves: Int, frames: Int) throws -> Harness {
    let limits = defaultLimits()
    let filling = try Harness(limits: limits)
    try filling.create()
    for i in 0..<leaves * rowsOfALeaf { try filling.put(numbered(i), filled(1_000, i)) }
    try filling.checkpoint()
    var few = limits
    few.framesMax = frames
    return try Harness(filling.disk, limits: few)
  }

  /// Rows of 1 000 bytes that a leaf takes when they come in rising order.
  private let rowsOfALeaf = 15

  @Test func aPageThatIsReadAgainAndAgainSurvivesAScanOverManyColdOnes() throws {
    let harness = try storeOfLeaves(1_000, frames: 256)
    let hot = numbered(500 * rowsOfALeaf)
    #expect(try harness.get(hot) == filled(1_000, 500 * rowsOfALeaf))
    var lost = 0
    for leaf in 0..<1_000 {
      #expect(try harness.get(numbered(leaf * rowsOfALeaf)) != nil)
      let loads = harness.loads
      #expect(try harness.get(hot) != nil)
      lost += harness.loads - loads
    }
    #expect(harness.loads > 990, "the scan came from the disk")
    #expect(lost == 0, "the page that was in use stayed")
    harness.store.checkInvariants()
  }

  @Test func aPageThatIsNotReadAnyMoreLeaves() throws {
    let harness = try storeOfLeaves(1_000, frames: 256)
    for _ in 0..<100 { #expect(try harness.get(numbered(0)) != nil) }
    for leaf in 1..<1_000 { #expect(try harness.get(numbered(leaf * rowsOfALeaf)) != nil) }
    let loads = harness.loads
    #expect(try harness.get(numbered(0)) != nil)
    #expect(harness.loads > loads)
  }

  @Test func oneSearchGivesABoundedNumberOfChances() throws {
    let harness = try storeOfLeaves(700, frames: 600)
    var leaf = 0
    while harness.store.statistics.residentPages < 600 {
      #expect(try harness.get(numbered(leaf * rowsOfALeaf)) != nil)
      leaf += 1
    }
    #expect(unreferenced(harness.store) == 0, "all were accessed")
    #expect(try harness.get(numbered(leaf * rowsOfALeaf)) != nil)
    #expect(unreferenced(harness.store) == Store.chancesMax)
    #expect(harness.store.statistics.residentPages == 600)
  }

  private func unreferenced(_ store: Store) -> Int {
    (0..<store.tableCount).count { store.table[$0].frame != nil && !store.table[$0].isReferenced }
  }

  /// Looking ahead asks the processor for memory. It changes nothing, whatever is there and whatever is looked for.
  @Test func lookingAheadChangesNothing() throws {
    let harness = try Harness()
    try harness.create()
    lookAhead(harness, [numbered(1), []])
    for row in 0..<3_000 { try harness.put(numbered(row), filled(100, row)) }
    try harness.checkpoint()
    let rows = try harness.rows()
    for isEvicted in [false, true] {
      if isEvicted { harness.store.evictAll() }
      let before = harness.store.statistics
      lookAhead(harness, [numbered(1), [], numbered(2_999), [0xFF, 0xFF], numbered(1_500), [0]])
      #expect(harness.store.statistics == before)
    }
    #expect(try harness.rows() == rows)
    harness.store.checkInvariants()
  }

  private func lookAhead(_ harness: Harness, _ keys: [[UInt8]]) {
    let bytes = keys.flatMap { $0 }
    bytes.withUnsafeBytes { raw in
      var start = 0
      var ahead: [KeyAhead] = []
      for key in keys {
        ahead.append(
          KeyAhead(key: UnsafeRawBufferPointer(rebasing: raw[start..<start + key.count]), recordCount: 20_000))
        start += key.count
      }
      ahead.withUnsafeMutableBufferPointer { harness.store.prefetchLeaves(shard, $0) }
      for key in ahead { harness.store.prefetchPlace(key) }
    }
  }
}
