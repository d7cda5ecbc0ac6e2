import Primitives
import Testing

@testable import Node

/// Where a start stops to apply what its log calls committed, and that the loop goes on from there.
@Suite struct EarlyApplyTests {
  private func makeWorld(logBytes: UInt64, frames: Int) throws -> (Harness, Harness.Machine) {
    var limits = NodeLimits()
    limits.checkpointLogBytes = logBytes
    let segmentBytes: UInt64 = 16 << 20
    let room = Harness.Room(frames: frames, segmentBytes: segmentBytes, logBytesMax: 16 * segmentBytes)
    let world = try Harness(1, limits: limits, room: room)
    let node = try world.elect()
    let table =
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#
    world.request(node, .createTable(body: Array(table.utf8)))
    return (world, node)
  }

  private func put(_ row: Int, _ text: String) -> Operation {
    let key = Array(String(row + 10_000).utf8)
    return .put(RowPath(table: "t", key: key), body: Array(#"{"v":"\#(text)"}"#.utf8), .none)
  }

  @Test func aCheckpointThatWouldBeDueEndsIt() throws {
    let (world, node) = try makeWorld(logBytes: .max, frames: 8_192)
    for row in 0..<300 { world.request(node, put(row, String(repeating: "x", count: 30_000))) }
    let (totals, last) = (node.node.totals, node.node.appliedIndex)
    world.room.frames = 1_024
    try world.restart(0)
    let pages = node.node.storeStatistics.dirtyPages
    #expect(pages >= node.node.store.dirtyPagesMax && pages < node.node.store.dirtyPagesMax + 10)
    #expect(node.node.appliedIndex.rawValue > 50 && node.node.appliedIndex.rawValue + 50 < last.rawValue)
    _ = try world.elect()
    world.pass(.seconds(30))
    #expect(node.node.totals == totals && node.node.appliedIndex > last)
  }

  /// In the middle of an entry.
  @Test func manyPagesThatAreNotInMemoryEndIt() throws {
    let (world, node) = try makeWorld(logBytes: 1_500_000, frames: 4_096)
    for row in 0..<600 { world.request(node, put(row, String(repeating: "x", count: 3_000))) }
    let filled = node.checkpoints
    // Behind the others, until those are in a checkpoint, and none is due.
    var row = 600
    while node.checkpoints < filled + 2 {
      world.request(node, put(row, String(repeating: "x", count: 3_000)))
      row += 1
      try #require(row < 3_000)
    }
    let checkpoints = node.checkpoints
    let before = node.node.appliedIndex
    let writes = (0..<100).map { world.begin(node, put(6 * $0, String(repeating: "y", count: 3_000))) }
    world.settle()
    world.request(node, put(1, "z"))
    #expect(writes.allSatisfy { world.reply($0)?.status == 200 } && node.node.appliedIndex == before + 2)
    let totals = node.node.totals
    #expect(node.checkpoints == checkpoints)
    try world.restart(0)
    #expect(node.node.appliedIndex == before)
    #expect(!node.node.isBetweenEntries)
    _ = try world.elect()
    #expect(node.node.totals == totals)
  }
}
