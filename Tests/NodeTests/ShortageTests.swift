import Journal
import Primitives
import Raft
import Store
import TestScale
import Testing

@testable import Node

/// Disks that have no room any more, and data that fill their limit: on some nodes or on all of them.
@Suite struct ShortageTests {
  private static let createWide = Operation.createTable(
    body: Array(
      #"{"name":"w","columns":[{"name":"k","type":"int64"},{"name":"s","type":"text"}],"primary_key":["k"]}"#.utf8))
  private static func path(_ key: Int) -> RowPath { RowPath(table: "w", key: Array("\(key)".utf8)) }
  /// A row of a page, or of several.
  private static func wide(_ key: Int, pages: Int = 1) -> Operation {
    .put(path(key), body: Array("{\"s\":\"\(String(repeating: "x", count: 15_000 * pages))\"}".utf8), .none)
  }

  private func text(_ reply: Reply?) -> String { String(decoding: reply?.body ?? [], as: UTF8.self) }
  private struct NeverRefused: Error {}

  /// Writes until a write is refused; how many were taken, and why not more.
  private func fill(
    _ world: Harness, rows: Int, from first: Int = 0, _ write: (Int) -> Operation = { wide($0) }
  ) throws -> (taken: Int, problem: Problem?) {
    for row in first..<first + rows {
      var problem = try attempt(world, write(row))
      // A leader that is alone without room hands over: the next attempt finds another one.
      for _ in 0..<2 where problem?.code == .diskFull {
        world.pass(.milliseconds(500))
        problem = try attempt(world, write(row))
      }
      if let problem { return (row - first, problem) }
    }
    return (rows, nil)
  }

  private func attempt(_ world: Harness, _ write: Operation) throws -> Problem? {
    let id = world.request(try world.leader(), write)
    if world.reply(id) == nil { world.pass(.milliseconds(500)) }
    return try #require(world.reply(id)).problem
  }

  private func writesComeBack(_ world: Harness, within limit: Nanoseconds = .seconds(5)) throws {
    let end = world.now + limit
    while world.now < end {
      if world.reply(world.request(try world.leader(), Self.wide(100_000)))?.problem == nil { return }
      world.pass(.milliseconds(100))
    }
    throw NeverRefused()
  }

  private func allAreEqual(_ world: Harness) {
    world.pass(.seconds(3))
    #expect(Set(world.machines.map(\.node.appliedIndex)).count == 1)
    #expect(Set(world.machines.map(\.node.stateHash)).count == 1)
    #expect(world.machines.allSatisfy { $0.node.failure == nil })
  }

  // MARK: The log

  /// One that a node lacks is not let go, so segments do not come back.
  @Test func withoutRoomForTheLogWritesAreRefusedAndDeletesAreNot() throws {
    let world = try Harness(3)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    let other = try #require(world.machines.first { $0 !== node })
    world.isolated = [other.identity.node.rawValue]
    for machine in world.machines { machine.isDiskFull = true }
    let (written, problem) = try fill(world, rows: 2000) { Harness.put($0) }
    #expect(problem?.code == .diskFull && problem?.retry == .later)
    #expect(problem?.detail.contains("no room") == true)
    #expect(node.node.journal.shortage == .disk)
    #expect(text(world.reply(world.request(node, Harness.get))).contains("\"v\""))
    let status = world.request(node, .clusterStatus)
    world.pass(.seconds(1))
    #expect(text(world.reply(status)).contains("\(node.identity.node): the disk has no room"))
    #expect(node.notices.contains(.shortage(.disk)))
    world.pass(.seconds(3))
    #expect(node.node.failure == nil && node.node.shortage == .disk)
    let delete = Operation.delete(RowPath(table: "t", key: Array("a".utf8)), .none)
    #expect(world.reply(world.request(node, delete))?.status == 204)
    // The disks stay as they are: what was missing comes, so segments are free again.
    world.isolated = []
    world.pass(.seconds(3))
    #expect(node.notices.contains(.shortage(nil)))
    #expect(world.reply(world.request(try world.leader(), Harness.put(written + 1)))?.status == 201)
    allAreEqual(world)
  }

  @Test func onAFullDiskTheLogLivesFromWhatItHas() throws {
    let world = try Harness(1)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    node.isDiskFull = true
    #expect(try fill(world, rows: 1500) { Harness.put($0) }.problem == nil)
    #expect(node.checkpoints > 0 && node.node.journal.fileCount <= 5)
    try world.restart(0)
    #expect(text(world.reply(world.request(try world.elect(), Harness.get))).contains("\"v\":1499"))
  }

  @Test func aStartWithoutRoomWaitsAndSaysSo() throws {
    let world = try Harness(1)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    node.isDiskFull = true
    // The first start takes the segment that was ready.
    try world.restart(0)
    node.notices = []
    try world.restart(0)
    world.pass(.seconds(3))
    #expect(!node.node.isOpen && node.node.failure == nil)
    #expect(node.notices == [.shortage(.disk)])
    node.isDiskFull = false
    _ = try world.elect()
    #expect(world.reply(world.request(node, Harness.put(1)))?.status == 201)
  }

  // MARK: The pages

  /// Whose disks are full, and whether a limit or the disk itself ends them.
  struct FullNodes: Sendable {
    var nodes: Set<UInt32>
    var byLimit: Bool

    /// Small worlds: all of them with FILESTORE_LONG_TESTS in the environment, otherwise one.
    static let taken: [FullNodes] =
      scaled(
        [FullNodes(nodes: [1, 3], byLimit: true)],
        long: [[1], [2], [3], [1, 2], [1, 3], [2, 3], [1, 2, 3]].flatMap { nodes in
          [false, true].map { FullNodes(nodes: nodes, byLimit: $0) }
        })
  }

  @Test(arguments: FullNodes.taken)
  func fullNodesRefuseWritesAndGoOnByThemselves(world taken: FullNodes) throws {
    let (full, byLimit) = (taken.nodes, taken.byLimit)
    var room = Harness.Room()
    room.pagesMax = { byLimit && full.contains($0) ? 300 : 640 }
    let world = try Harness(3, room: room)
    world.request(try world.elect(), Self.createWide)
    if !byLimit { for machine in world.machines { machine.isDiskFull = full.contains(machine.identity.node.rawValue) } }
    let (written, problem) = try fill(world, rows: 330)
    if full.count == 1 {
      #expect(problem == nil, "the others go on")
      let stuck = world.machines[Int(full.first!) - 1]
      #expect(!stuck.node.isLeader && stuck.node.shortage != nil && stuck.node.applyStall == .room)
      let checkpoints = stuck.checkpoints
      world.pass(.seconds(20))
      #expect(stuck.checkpoints <= checkpoints + 2, "what gives nothing back is not tried again and again")
      guard !byLimit else { return }
      stuck.isDiskFull = false
      world.pass(.seconds(2))
      return allAreEqual(world)
    }
    #expect(problem?.code == .diskFull && problem?.retry == .later && written > 20 && written < 330)
    let leader = try world.leader()
    #expect(text(world.reply(world.request(leader, .get(Self.path(0), columns: nil)))).contains("xxx"))
    for row in 0..<written {
      let reply = try #require(world.reply(world.request(try world.leader(), .delete(Self.path(row), .none))))
      #expect(reply.status == 204, "\(row): \(reply.problem?.detail ?? "")")
    }
    // Nobody made room but the deletes.
    try writesComeBack(world)
    allAreEqual(world)
    for machine in world.machines { machine.isDiskFull = false }
    for index in 0..<3 { try world.restart(index) }
    _ = try world.elect()
    allAreEqual(world)
  }

  /// What is dropped is emptied in the background, which makes room as deletes do.
  @Test func aDroppedTableIsEmptiedThoughWritesAreRefused() throws {
    var room = Harness.Room()
    room.pagesMax = { _ in 1280 }
    let world = try Harness(3, room: room)
    let node = try world.elect()
    world.request(node, Self.createWide)
    #expect(try fill(world, rows: 300, { Self.wide($0, pages: 8) }).problem?.code == .diskFull)
    #expect(world.reply(world.request(try world.leader(), Self.createWide))?.problem?.code == .diskFull)
    #expect(world.reply(world.request(try world.leader(), .dropTable("w")))?.status == 204)
    world.pass(.seconds(3))
    for machine in world.machines {
      let node = machine.node
      #expect(
        node.shortage == nil && node.replica.machine.catalog.dropped.isEmpty,
        "\(node.store.room) \(node.totals.rows) rows")
    }
    #expect(world.reply(world.request(try world.leader(), Self.createWide))?.status == 201)
    allAreEqual(world)
  }

  /// Older versions are kept in pages, too: they age and go while writes are refused.
  @Test func olderVersionsGoThoughWritesAreRefused() throws {
    var room = Harness.Room()
    room.pagesMax = { _ in 1280 }
    let world = try Harness(1, room: room, retention: .seconds(60))
    world.request(try world.elect(), Self.createWide)
    let (written, problem) = try fill(world, rows: 1000) { Self.wide($0 % 20, pages: 8) }
    #expect(problem?.code == .diskFull && written > 20)
    world.pass(.seconds(90))
    #expect(world.machines[0].node.shortage == nil && world.machines[0].node.totals.history.records == 0)
    try writesComeBack(world)
  }

  /// The end of the file goes back to the disk, and what is left can be opened.
  @Test func pagesThatNobodyNeedsAreGivenBack() throws {
    var limits = NodeLimits()
    limits.checkpointLogBytes = 40_000
    let world = try Harness(1, limits: limits)
    let node = try world.elect()
    world.request(node, Self.createWide)
    #expect(try fill(world, rows: 700).problem == nil)
    world.pass(.seconds(1))
    let largest = node.files.pages.count
    for row in 0..<700 { world.request(node, .delete(Self.path(row), .none)) }
    for row in 0..<40 { world.request(node, Self.wide(row)) }
    world.pass(.seconds(2))
    #expect(node.shrinks > 0 && node.files.pages.count < largest * 3 / 5)
    #expect(node.node.store.statistics.filePages * Store.pageBytes == node.files.pages.count)
    try world.restart(0)
    let again = try world.elect()
    for row in [0, 39] {
      #expect(text(world.reply(world.request(again, .get(Self.path(row), columns: nil)))).contains("xxx"))
    }
    #expect(try fill(world, rows: 300, from: 2000).problem == nil)
  }
}
