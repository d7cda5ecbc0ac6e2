import Primitives
import Testing

@testable import Store

/// Pages are sealed when they are written: what happens in between.
@Suite struct SealingTests {
  /// Rows of 100 bytes in some shards.
  private func filledStore(_ rows: Int, in shards: [ShardID] = [shard]) throws -> Harness {
    let harness = try Harness()
    for shard in shards {
      try harness.create(shard)
      for i in 0..<rows { try harness.put(numbered(i), filled(100, i), in: shard) }
    }
    return harness
  }

  private func sealedPages(_ store: Store) -> Int {
    store.checkpoint.writes.count { store.table[Int($0)].checksum != 0 }
  }

  @Test func aFreezeSealsNothingAndEachWriteOnePage() throws {
    let harness = try filledStore(10_000)
    var effects: [CheckpointEffect] = []
    harness.store.beginCheckpoint(into: &effects)
    #expect(harness.store.checkpoint.writes.count > 80)
    #expect(sealedPages(harness.store) == 0)
    effects = harness.step(.grown)
    #expect(effects.count == 32 && sealedPages(harness.store) == 32)
    guard case .writePage(let page, _) = effects[0] else { throw TestFailure() }
    #expect(harness.step(.written(page)).count == 1 && sealedPages(harness.store) == 33)
  }

  @Test func childrenAreWrittenBeforeTheirParentsAndTheDirectoryLast() throws {
    let harness = try filledStore(60_000)
    var written: [PageID] = []
    try harness.checkpoint { effect in
      if case .writePage(let page, _) = effect { written.append(page) }
      return true
    }
    let headers = written.map { harness.disk.page($0).prefix(4) }
    let levels = headers.filter { $0[2] == PageKind.tree.rawValue }.map { $0[3] }
    #expect(levels.dropLast() == levels.dropLast().sorted()[...] && levels.dropLast().last == 2)
    #expect(written.last == harness.disk.newestSuperblock()?.directoryRoot.page)
  }

  /// Writes one row when the first page is about to be written: parents are copied before their children are sealed.
  private func checkpointWithAnEarlyWriter(_ harness: Harness, in shard: ShardID = shard) throws {
    var isFirst = true
    try harness.checkpoint { effect in
      if isFirst, case .writePage = effect {
        isFirst = false
        try harness.put(numbered(5_000), filled(90, 1), in: shard)
      }
      return true
    }
  }

  @Test func aCopyMadeBeforeItsChildrenWereSealedLeadsToThem() throws {
    let harness = try filledStore(10_000)
    try checkpointWithAnEarlyWriter(harness)
    let rows = try harness.rows()
    let loads = harness.loads
    harness.store.evictAll()
    #expect(try harness.rows() == rows, "each page is what its pointer promises, though that has no checksum")
    #expect(harness.loads > loads + 70)
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
    try harness.reopen()
    #expect(try harness.rows() == rows)
  }

  @Test func rotIsFoundThroughAPointerWithoutChecksum() throws {
    let harness = try filledStore(10_000)
    try checkpointWithAnEarlyWriter(harness)
    let leaf = try #require(harness.store.checkpoint.writes.first { harness.store.table[Int($0)].state == .clean })
    harness.disk.flip(Int(leaf) * pageBytes + 9_000, mask: 4)
    harness.store.evictAll()
    #expect { _ = try harness.rows() } throws: { ($0 as? PageDamage)?.page == PageID(leaf) }
  }

  @Test func aPageThatIsFreedBeforeItIsSealedStillBelongsToTheCheckpoint() throws {
    let harness = try filledStore(10_000)
    let before = try harness.rows()
    var isFirst = true
    try harness.checkpoint { effect in
      if isFirst, case .writePage = effect {
        isFirst = false
        for i in 2_000..<9_000 { try harness.delete(numbered(i)) }
      }
      return true
    }
    #expect(harness.verify().findings == [])
    #expect(try harness.rows().count == 3_000)
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
    #expect(try harness.rows().count == 3_000)
    try harness.reopen()
    #expect(try harness.rows() == Array(before[..<2_000] + before[9_000...]))
  }

  /// The directory's leaf is copied while it holds the root of a shard that nobody changes for some time.
  @Test func aShardThatRestsKeepsItsRoot() throws {
    let (busy, resting) = (ShardID(7), ShardID(8))
    let harness = try filledStore(2_000, in: [busy, resting])
    try checkpointWithAnEarlyWriter(harness, in: busy)
    for round in 0..<4 {
      try harness.checkpoint()
      #expect(harness.verify().findings == [])
      try harness.put(numbered(round), filled(80, round), in: busy)
    }
    try harness.setMetadata(bytes("m"), of: resting)
    try harness.checkpoint()
    #expect(harness.verify().findings == [])
    let rows = (try harness.rows(in: busy), try harness.rows(in: resting))
    try harness.reopen()
    #expect(try harness.rows(in: busy) == rows.0 && harness.rows(in: resting) == rows.1)
    #expect(rows.1.count == 2_000)
  }
}
