import Primitives
import Raft
import Testing

@testable import Node

/// Much is applied a turn's share at a time, and what a start leaves on disk is read back for whoever needs it.
@Suite struct BacklogTests {
  private func put(_ key: Int) -> Operation {
    .put(RowPath(table: "t", key: Array("k\(key)".utf8)), body: Array("{\"v\":\(key)}".utf8), .none)
  }

  private func get(_ key: Int) -> Operation { .get(RowPath(table: "t", key: Array("k\(key)".utf8)), columns: nil) }

  private func text(_ reply: Reply?) -> String { String(decoding: reply?.body ?? [], as: UTF8.self) }

  private func limits(recovered: Int, read: Int = 500) -> NodeLimits {
    var limits = NodeLimits()
    (limits.recoveredBytesMax, limits.backlogReadBytes) = (recovered, read)
    return limits
  }

  private func agree(_ world: Harness) {
    #expect(Set(world.machines.map(\.node.totals.stateHash)).count == 1)
    #expect(Set(world.machines.map(\.node.appliedIndex)).count == 1)
  }

  @Test func aTurnAppliesItsShareAndTheNextOneGoesOn() throws {
    var limits = NodeLimits()
    limits.applyBytesMax = 1
    let world = try Harness(1, limits: limits)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    let before = node.node.appliedIndex
    let writes = (0..<5).map { world.begin(node, put($0)) }
    world.settle()
    let read = world.request(node, get(4))
    for applied in 1...4 {
      #expect(writes.map { world.reply($0) != nil } == (0..<5).map { $0 < applied })
      #expect(node.node.appliedIndex == before && !node.node.isBetweenEntries && world.reply(read) == nil)
      #expect(node.node.hasMoreToApply && node.node.nextDeadline <= world.now)
      world.tell(node, .tick)
      world.settle()
    }
    #expect(node.node.appliedIndex == before.next && !node.node.hasMoreToApply && node.node.nextDeadline > world.now)
    #expect(world.reply(writes[4])?.status == 201 && text(world.reply(read)).contains("\"v\":4"))
  }

  @Test(arguments: [0, 900, 100_000]) func aStartAppliesWhatItKeptAndWhatItLeftOnDisk(recovered: Int) throws {
    let world = try Harness(1, limits: limits(recovered: recovered))
    let node = try world.elect()
    world.request(node, Harness.createTable)
    for key in 0..<80 { world.request(node, put(key)) }
    let totals = node.node.totals
    try world.restart(0)
    let raft = node.node.raft
    #expect((raft.cacheFloor > raft.appliedIndex) == (recovered == 0) && raft.cachedBytes <= recovered)
    #expect((raft.cacheFloor < raft.lastIndex) == (recovered > 0))
    _ = try world.elect()
    #expect(node.node.totals == totals)
    #expect((node.readCount > 4) == (recovered == 0), "\(node.readCount)")
    for key in [0, 40, 79] { #expect(text(world.reply(world.request(node, get(key)))).contains("\"v\":\(key)")) }
  }

  /// What the log itself says to be committed needs no leader.
  @Test func aStartAppliesWhatItsLogCallsCommitted() throws {
    let world = try Harness(3, limits: limits(recovered: 100_000))
    let leader = try world.elect()
    world.request(leader, Harness.createTable)
    for key in 0..<20 { world.request(leader, put(key)) }
    world.pass(.seconds(1))
    agree(world)
    let (totals, applied) = (leader.node.totals, leader.node.appliedIndex)
    let index = try #require(world.machines.firstIndex { $0 !== leader })
    try world.restart(index)
    let node = world.machines[index].node
    #expect(node.appliedIndex >= applied.previous.previous && node.appliedIndex <= applied)
    #expect(node.raft.commitIndex == node.appliedIndex && node.raft.appliedIndex == node.appliedIndex)
    world.pass(.seconds(1))
    #expect(node.totals == totals && node.appliedIndex >= applied)
    agree(world)
  }

  @Test func readsThatEndInAnyOrderAreAppliedInTheLogs() throws {
    let world = try Harness(1, limits: limits(recovered: 0))
    let node = try world.elect()
    world.request(node, Harness.createTable)
    for key in 0..<120 { world.request(node, put(key)) }
    let totals = node.node.totals
    try world.restart(0)
    node.holdsReads = true
    _ = try world.elect()
    #expect(node.node.appliedIndex == .zero && node.reads.count == Backlog.partsMax)
    for _ in 0..<40 where !node.reads.isEmpty {
      #expect(node.reads.count <= Backlog.partsMax)
      world.completeReads(node)
    }
    #expect(node.node.totals == totals && node.readCount > 2 * Backlog.partsMax)
  }

  @Test func aReadThatFailsStopsTheNode() throws {
    let world = try Harness(1, limits: limits(recovered: 0))
    let node = try world.elect()
    world.request(node, Harness.createTable)
    try world.restart(0)
    node.holdsReads = true
    _ = try world.elect()
    world.tell(node, .journal(.readFailed(try #require(node.reads.first).id, errno: 5)))
    #expect(node.node.failure?.text.contains("errno 5") == true)
  }

  /// It has promised nobody anything. One of several may have.
  @Test(arguments: [1, 3]) func theOnlyVoterLeadsAtOnceAndOneOfSeveralWaits(nodes: Int) throws {
    let world = try Harness(nodes)
    _ = try world.elect()
    for index in 0..<nodes { try world.restart(index) }
    let start = world.now
    _ = try world.elect()
    #expect((world.now - start <= .milliseconds(20)) == (nodes == 1))
  }

  @Test func aFollowerIsFedWithWhatItsLeadersStartLeftOnDisk() throws {
    let world = try Harness(3, limits: limits(recovered: 0))
    world.isolated = [3]
    let leader = try world.elect()
    world.request(leader, Harness.createTable)
    for key in 0..<20 { world.request(leader, put(key)) }
    for index in [0, 1] { try world.restart(index) }
    world.isolated = []
    let next = try world.elect()
    #expect(next.identity.node != NodeID(3))
    world.pass(.seconds(1))
    agree(world)
    #expect(text(world.reply(world.request(world.machines[2], get(19)))).contains("\"v\":19"))
  }

  @Test func whatIsOnDiskAndNeverCommittedIsReplaced() throws {
    let world = try Harness(3, limits: limits(recovered: 0))
    let old = try world.elect()
    world.request(old, Harness.createTable)
    let index = try #require(world.machines.firstIndex { $0 === old })
    world.isolated = [old.identity.node.rawValue]
    for key in 0..<5 { world.request(old, put(key), timeout: .milliseconds(100)) }
    let last = old.node.raft.lastIndex
    try world.restart(index)
    #expect(old.node.raft.lastIndex == last && old.node.raft.cacheFloor == last)
    let leader = try world.elect()
    for key in 10..<13 { #expect(world.reply(world.request(leader, put(key)))?.status == 201) }
    world.isolated = []
    world.pass(.seconds(2))
    agree(world)
    #expect(old.node.raft.lastIndex == leader.node.raft.lastIndex)
    #expect(world.reply(world.request(leader, get(0)))?.status == 404)
  }

  @Test func pagesThatManyCommandsMissAreOrderedTogether() throws {
    var limits = NodeLimits()
    limits.checkpointLogBytes = 1
    let world = try Harness(1, limits: limits)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    for first in stride(from: 0, to: 3000, by: 500) {
      for key in first..<first + 500 { _ = world.begin(node, put(key)) }
      world.settle()
    }
    world.pass(.seconds(1))
    try world.restart(0)
    _ = try world.elect()
    #expect(world.reply(world.request(node, put(0)))?.status == 200)
    node.pagesOrderedMax = 0
    let writes = stride(from: 0, to: 3000, by: 50).map { world.begin(node, put($0)) }
    world.settle()
    #expect(writes.allSatisfy { world.reply($0)?.status == 200 })
    #expect(node.pagesOrderedMax >= 8, "\(node.pagesOrderedMax)")
    #expect(node.node.statistics.pageMisses < 40, "each once: \(node.node.statistics.pageMisses)")
  }
}
