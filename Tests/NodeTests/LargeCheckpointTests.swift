import Primitives
import Testing

@testable import Node

/// Checkpoints of nodes with more than a few pages.
@Suite struct LargeCheckpointTests {
  /// A node with a table; memory and log of a given size.
  private func makeWorld(
    logBytes: UInt64 = .max, frames: Int = 2_048,
    segmentBytes: UInt64 = 16 << 20
  ) throws -> (Harness, Harness.Machine) {
    var limits = NodeLimits()
    limits.checkpointLogBytes = logBytes
    limits.checkpointPagesAtOnce = 4
    let room = Harness.Room(frames: frames, segmentBytes: segmentBytes, logBytesMax: 16 * segmentBytes)
    let world = try Harness(1, limits: limits, room: room)
    let node = try world.elect()
    let table =
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#
    world.request(node, .createTable(body: Array(table.utf8)))
    return (world, node)
  }

  private func put(_ world: Harness, _ node: Harness.Machine, _ row: Int, _ count: Int) throws {
    let reply = try #require(world.reply(order(world, node, row, count)))
    #expect(reply.status == 200 || reply.status == 201)
  }

  @discardableResult
  private func order(_ world: Harness, _ node: Harness.Machine, _ row: Int, _ count: Int) -> UInt64 {
    let body = #"{"v":""# + String(repeating: "x", count: count) + #""}"#
    return world.request(node, .put(RowPath(table: "t", key: Array("\(row)".utf8)), body: Array(body.utf8), .none))
  }

  private func dirty(_ node: Harness.Machine) -> Int { node.node.storeStatistics.dirtyPages }
  private func frozen(_ node: Harness.Machine) -> Int { node.node.storeStatistics.frozenPages }

  @Test func pagesAreWrittenWhileTheLogGrows() throws {
    let (world, node) = try makeWorld(logBytes: 4_000_000)
    var row = 0
    while frozen(node) == 0 {
      try put(world, node, row, 30_000)
      row += 1
      try #require(row < 300)
    }
    let pages = node.pagesWritten + frozen(node)
    #expect(pages > 200 && node.pagesWritten < 10)
    let begin = node.node.journalStatistics.bytesWritten
    var shares: [Double] = []
    while node.checkpoints == 0 {
      try put(world, node, row, 30_000)
      row += 1
      try #require(row < 300)
      shares.append(
        Double(node.pagesWritten) / Double(pages)
          / (Double(node.node.journalStatistics.bytesWritten - begin) / 2_000_000))
    }
    #expect(shares.count > 50)
    #expect(shares.dropFirst(5).allSatisfy { $0 > 0.8 && $0 < 1.2 }, "\(shares)")
    #expect(row < 220, "the second half of the way has no checkpoint")
  }

  /// In half of the time since the one before began, and in 10 s at most.
  @Test func withoutNewLogACheckpointEndsInTime() throws {
    let (world, node) = try makeWorld(logBytes: 2_000_000)
    for (wait, length) in [(22, 10), (1, 6)] as [(UInt64, UInt64)] {
      world.pass(.seconds(wait))
      let done = (checkpoints: node.checkpoints, pages: node.pagesWritten)
      try fill(world, node)
      let pages = node.pagesWritten - done.pages + frozen(node)
      #expect(node.node.checkpoint.paceAt == world.now + .milliseconds(5))
      #expect(node.node.nextDeadline <= node.node.checkpoint.paceAt, "the loop wakes for it")
      world.pass(.milliseconds(500 * length))
      #expect(node.checkpoints == done.checkpoints)
      #expect(abs(2 * (node.pagesWritten - done.pages) - pages) < pages / 10)
      world.pass(.milliseconds(500 * length + 1_000))
      #expect(node.checkpoints == done.checkpoints + 1)
      #expect(node.node.checkpoint.paceAt == .never, "nothing is left to do")
    }
  }

  /// Writes until a checkpoint has begun.
  private func fill(_ world: Harness, _ node: Harness.Machine) throws {
    var row = 0
    while frozen(node) == 0 {
      try put(world, node, row, 30_000)
      row += 1
      try #require(row < 300)
    }
  }

  @Test func aLongLogMakesACheckpointHurry() throws {
    let (world, node) = try makeWorld(segmentBytes: 512 << 10)
    var row = 0
    while node.pagesWritten == 0 {
      try put(world, node, row, 30_000)
      row += 1
      try #require(row < 300)
    }
    // The second one lets go what the older superblock of the first one still needed.
    #expect(node.checkpoints == 2 && node.pagesWritten > 80 && row > 40)
    #expect(node.node.journalStatistics.segmentsFreed > 0)
  }

  @Test func aNodeThatClosesLeavesACheckpointWhereItIs() throws {
    let (world, node) = try makeWorld(logBytes: 2_000_000)
    world.pass(.seconds(22))
    try fill(world, node)
    world.tell(node, .closeRequested)
    world.pass(.seconds(1))
    #expect(node.node.isClosed && node.checkpoints == 0)
    #expect(node.node.nextDeadline > world.now, "the loop may sleep")
  }

  /// Of 512 frames some 380 are for pages, and 3/8 of these may be dirty: 142.
  @Test func dataThatFitsIntoMemoryIsNotWrittenForTheSakeOfMemory() throws {
    let (world, node) = try makeWorld(frames: 512)
    node.holdsPages = true
    for round in 0..<40 { try put(world, node, round % 3, 700_000) }
    #expect(dirty(node) > 128 && node.node.statistics.checkpoints == 0 && frozen(node) == 0)
    try put(world, node, 3, 700_000)
    #expect(frozen(node) > 150, "a row more does not fit")
  }

  @Test func aCommandThatFindsNoMemoryGoesOnBeforeTheCheckpointEnds() throws {
    let (world, node) = try makeWorld(frames: 512)
    node.holdsPages = true
    var requests: [UInt64] = []
    while requests.allSatisfy({ world.reply($0) != nil }) {
      requests.append(order(world, node, requests.count, 700_000))
      try #require(requests.count < 20)
    }
    let stalled = frozen(node)
    #expect(stalled > 142 && node.heldPages.count == 32, "all may be written that are not in flight")
    while world.reply(requests[requests.count - 1]) == nil {
      try #require(!node.heldPages.isEmpty)
      world.releasePages(1, of: node)
    }
    #expect(frozen(node) > 0 && frozen(node) <= stalled - 64 && node.checkpoints == 0)
    // All were allowed when it waited: that takes no more log, and no time.
    while node.checkpoints < 1 {
      try #require(!node.heldPages.isEmpty)
      world.releasePages(32, of: node)
    }
    while node.checkpoints < 2 {
      world.releasePages(100, of: node)
      world.pass(.seconds(1))
    }
    for row in requests.indices { try put(world, node, row, 10) }
  }
}
