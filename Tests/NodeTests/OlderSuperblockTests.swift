import Primitives
import Store
import Testing

@testable import Node

/// Either superblock alone recovers: the newest one rots after several checkpoints, and nothing that was acknowledged is missing.
@Suite struct OlderSuperblockTests {
  private func makeWorld() throws -> Harness {
    var limits = NodeLimits()
    limits.checkpointLogBytes = 150_000
    let world = try Harness(1, limits: limits, room: Harness.Room(segmentBytes: 64 << 10, logBytesMax: 2 << 20))
    world.request(try world.elect(), Harness.createTable)
    return world
  }

  /// Writes rows until so many checkpoints more are durable.
  private func write(_ world: Harness, _ rows: inout Int, checkpoints: Int) throws {
    let node = try world.elect()
    let end = node.checkpoints + checkpoints
    while node.checkpoints < end {
      for _ in 0..<20 {
        try put(world, node, rows)
        rows += 1
      }
      world.pass(.milliseconds(200))
      try #require(rows < 4000)
    }
  }

  private func put(_ world: Harness, _ node: Harness.Machine, _ row: Int) throws {
    let path = RowPath(table: "t", key: Array("row-\(row)".utf8))
    let reply = world.reply(world.request(node, .put(path, body: Array("{\"v\":\(row)}".utf8), .none)))
    try #require(reply?.status == 201)
  }

  private func expectAll(_ world: Harness, _ rows: Int) throws {
    let node = try world.elect()
    for row in 0..<rows {
      let path = RowPath(table: "t", key: Array("row-\(row)".utf8))
      let reply = world.reply(world.request(node, .get(path, columns: nil)))
      let text = String(decoding: reply?.body ?? [], as: UTF8.self)
      #expect(text.contains("\"v\":\(row)}"), "row \(row)")
    }
  }

  /// The epoch of each superblock that can be read.
  private func epochs(_ node: Harness.Machine) -> [Epoch?] {
    (0..<2).map { slot in
      let bytes = Array(node.files.pages[slot * Store.pageBytes..<(slot + 1) * Store.pageBytes])
      return try? bytes.withUnsafeBytes { try Superblock.decode($0).epoch }
    }
  }

  private func rotNewest(_ node: Harness.Machine) throws {
    let found = epochs(node)
    let newest = try #require(found[0]) > #require(found[1]) ? 0 : 1
    node.files.pages[newest * Store.pageBytes + 300] ^= 0x20
  }

  @Test func theNewestSuperblockRotsAndNothingIsMissing() throws {
    let world = try makeWorld()
    let node = world.machines[0]
    var rows = 0
    for round in 1...4 {
      try write(world, &rows, checkpoints: round)
      let freed = node.node.journalStatistics.segmentsFreed
      if round > 1 { #expect(freed > 0, "the log is freed all the same") }
      try rotNewest(node)
      try world.restart(0)
      try expectAll(world, rows)
      #expect(epochs(node).count { $0 == nil } == 1, "until the next checkpoint")
    }
    try write(world, &rows, checkpoints: 1)
    #expect(epochs(node).allSatisfy { $0 != nil }, "a checkpoint mends it")
  }

  /// Right after a start the older superblock holds what it held before: nothing that it needs goes before the next checkpoint.
  @Test func afterAStartTheOlderOneStillRecovers() throws {
    let world = try makeWorld()
    let node = world.machines[0]
    var rows = 0
    try write(world, &rows, checkpoints: 3)
    for _ in 0..<3 {
      try world.restart(0)
      _ = try world.elect()
      world.pass(.milliseconds(100))
    }
    try rotNewest(node)
    try world.restart(0)
    try expectAll(world, rows)
  }

  /// When the log is full and only the older superblock needs it, a checkpoint of nothing new lets it go.
  @Test func aFullLogIsFreedWithoutNewWrites() throws {
    var limits = NodeLimits()
    limits.checkpointLogBytes = .max
    let world = try Harness(1, limits: limits, room: Harness.Room(segmentBytes: 256 << 10, logBytesMax: 2 << 20))
    let node = try world.elect()
    world.request(node, Harness.createTable)
    for value in 0..<2000 { world.request(node, Harness.put(value)) }
    world.pass(.seconds(2))
    #expect(!node.node.journal.isFull && node.node.journal.segmentCount <= 4)
    #expect(world.reply(world.request(node, Harness.put(5000)))?.status == 200)
  }
}
