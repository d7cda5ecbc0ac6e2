import Journal
import Primitives
import Testing

@testable import Node

/// A disk that has no room any more, and has some again.
@Suite struct ShortageTests {
  /// Writes until a write is refused.
  private func fill(_ world: Harness, _ node: Harness.Machine) throws -> Problem {
    for value in 0..<500 {
      let reply = try #require(world.reply(world.request(node, Harness.put(value))))
      if let problem = reply.problem { return problem }
    }
    throw NeverRefused()
  }

  private struct NeverRefused: Error {}

  private func text(_ reply: Reply?) -> String { String(decoding: reply?.body ?? [], as: UTF8.self) }

  @Test func withoutRoomForTheLogWritesAreRefusedUntilThereIsSome() throws {
    let world = try Harness(1)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    node.isDiskFull = true
    let problem = try fill(world, node)
    #expect(problem.code == .diskFull && problem.retry == .later)
    #expect(problem.detail.contains("disk of n1"))
    #expect(node.node.journal.shortage == .disk)
    #expect(text(world.reply(world.request(node, Harness.get))).contains("\"v\""))
    #expect(text(world.reply(world.request(node, .clusterStatus))).contains("n1: the disk has no room"))
    #expect(node.notices.last == .shortage(.disk))
    world.pass(.seconds(3))
    #expect(node.node.failure == nil && node.notices.last == .shortage(.disk))
    node.isDiskFull = false
    world.pass(.seconds(2))
    #expect(node.notices.contains(.shortage(nil)))
    #expect(world.reply(world.request(node, Harness.put(1000)))?.status == 200)
    try world.restart(0)
    #expect(text(world.reply(world.request(try world.elect(), Harness.get))).contains("\"v\":1000"))
  }

  @Test func aCheckpointWithoutRoomForItsPagesWaitsForIt() throws {
    var limits = NodeLimits()
    limits.checkpointLogBytes = 60_000
    let world = try Harness(1, limits: limits)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    node.isDiskFull = true
    #expect(try fill(world, node).code == .diskFull)
    #expect(node.node.journal.shortage == nil && node.node.shortage == .disk)
    world.pass(.seconds(3))
    #expect(node.node.failure == nil && node.checkpoints == 0)
    node.isDiskFull = false
    world.pass(.seconds(2))
    #expect(node.checkpoints > 0 && node.node.shortage == nil)
    #expect(world.reply(world.request(node, Harness.put(1000)))?.status == 200)
    try world.restart(0)
    #expect(text(world.reply(world.request(try world.elect(), Harness.get))).contains("\"v\":1000"))
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
}
