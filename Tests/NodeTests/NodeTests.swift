import Journal
import Primitives
import Raft
import Store
import Testing

@testable import Node

@Suite struct NodeTests {
  private func text(_ reply: Reply?) -> String { String(decoding: reply?.body ?? [], as: UTF8.self) }

  @Test func aSingleVoterServesAndRemembers() throws {
    let world = try Harness(1)
    let node = try world.elect()
    #expect(world.reply(world.request(node, Harness.createTable))?.status == 201)
    #expect(world.reply(world.request(node, Harness.put(1)))?.status == 201)
    #expect(world.reply(world.request(node, Harness.put(2)))?.status == 200)
    try world.restart(0)
    let again = try world.elect()
    #expect(text(world.reply(world.request(again, Harness.get))).contains("\"v\":2"))
  }

  @Test func anyNodeAnswersAndAllReplicasAgree() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    let follower = try #require(world.machines.first { $0 !== leader })
    #expect(world.reply(world.request(follower, Harness.createTable))?.status == 201)
    #expect(world.reply(world.request(follower, Harness.put(7)))?.status == 201)
    #expect(text(world.reply(world.request(leader, Harness.get))).contains("\"v\":7"))
    #expect(text(world.reply(world.request(follower, Harness.get))).contains("\"v\":7"))
    world.pass(.milliseconds(200))
    let hashes = world.machines.map(\.node.totals.stateHash)
    #expect(Set(hashes).count == 1)
    #expect(Set(world.machines.map(\.node.appliedIndex)).count == 1)
  }

  /// The next election would need a term above it, and after a restart again.
  @Test func theLastTermOfAllIsNotTakenFromAPeer() throws {
    let world = try Harness(3)
    let members = Harness.founders(3).voters
    var writer = ByteWriter()
    PayloadEnvelope.reserve(in: &writer)
    PeerMessage.raft(
      RaftMessage(
        shard: Node.onlyShard, from: members[1], to: members[0], term: Term(.max), body: .voteReply(granted: false))
    ).encode(into: &writer)
    PayloadEnvelope(session: 1 << 40, sequence: 1).patch(into: &writer)
    world.tell(world.machines[0], .received(from: NodeID(2), payload: writer.bytes))
    #expect(world.machines[0].node.statistics.payloadsUndecodable == 1)
    world.isolated = [2]
    _ = try world.elect()
  }

  @Test func aWriteWaitsForTheDisksOfAMajority() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    world.request(leader, Harness.createTable)
    for machine in world.machines where machine !== leader { machine.holdsLog = true }
    let write = world.request(leader, Harness.put(1))
    #expect(world.reply(write) == nil)
  }

  @Test func aDeposedLeaderDoesNotKnowWhatBecameOfItsWrites() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    world.request(leader, Harness.createTable)
    world.isolated = [leader.identity.node.rawValue]
    let write = world.request(leader, Harness.put(1))
    #expect(world.reply(write) == nil)
    world.pass(.seconds(2))
    #expect(!leader.node.isLeader)
    let problem = try #require(world.reply(write)?.problem)
    #expect(problem.code == .outcomeUnknown)
    #expect(problem.retry == .unknown)
  }

  @Test func anIsolatedLeaderServesNoReadAfterItsLease() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    world.request(leader, Harness.createTable)
    world.request(leader, Harness.put(1))
    world.isolated = [leader.identity.node.rawValue]
    world.pass(.milliseconds(280))
    #expect(leader.node.isLeader)
    #expect(world.reply(world.request(leader, Harness.get)) == nil)
  }

  /// The process that forwarded a write is gone when the leader answers it, and the next one has forwarded another.
  @Test func anAnswerToARequestOfAnEarlierStartIsNobodys() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    world.request(leader, Harness.createTable)
    let followers = world.machines.filter { $0 !== leader }
    let index = try #require(world.machines.firstIndex { $0 === followers[0] })
    world.isolated = [followers[1].identity.node.rawValue]
    followers[0].holdsLog = true
    let lost = world.request(followers[0], Harness.put(1))
    followers[0].holdsLog = false
    try world.restart(index)
    followers[0].holdsLog = true
    world.pass(.milliseconds(100))
    let write = world.request(followers[0], Harness.put(2))
    #expect(world.reply(lost) == nil && world.reply(write) == nil)
    world.isolated = []
    world.pass(.milliseconds(300))
    #expect(world.reply(lost) == nil)
    #expect(world.reply(write)?.status == 200, "it replaces what the first one made")
  }

  @Test func deadlinesSayWhetherAnythingMayHaveHappened() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    world.request(leader, Harness.createTable)
    world.isolated = [1, 2, 3]
    let appended = world.request(leader, Harness.put(1), timeout: .milliseconds(100))
    world.pass(.milliseconds(160))
    let write = try #require(world.reply(appended)?.problem)
    #expect(write.code == .deadlineExceeded && write.retry == .unknown)
    world.pass(.seconds(2))
    let nobody = world.request(leader, Harness.put(2), timeout: .milliseconds(100))
    world.pass(.milliseconds(160))
    #expect(world.reply(nobody)?.problem?.code == .noQuorum)
    #expect(world.reply(nobody)?.problem?.retry == .later)
  }

  /// The deadline passes in the turn that has taken the write in: what is said of it holds after that turn.
  @Test func aWriteThatExpiresInItsTurnIsNotSaidToBeUndone() throws {
    let world = try Harness(1)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    let write = world.begin(node, Harness.put(1), timeout: .milliseconds(1))
    world.now = world.now + .milliseconds(200)
    world.tell(node, .tick)
    world.settle()
    let problem = try #require(world.reply(write)?.problem)
    #expect(problem.code == .deadlineExceeded && problem.retry == .unknown)
    #expect(world.reply(world.request(node, Harness.get))?.status == 200)
  }

  @Test func aRequestThatIsTooLateIsRefusedAtOnce() throws {
    let world = try Harness(1)
    let node = try world.elect()
    let late = world.request(node, Harness.createTable, timeout: .zero)
    #expect(world.reply(late)?.problem?.code == .deadlineExceeded)
  }

  @Test func aCheckpointBeforeTheFirstEntryIsAppliedCanBeOpened() throws {
    var limits = NodeLimits()
    limits.checkpointLogBytes = 0
    let world = try Harness(3, limits: limits)
    _ = try world.elect()
    #expect(world.machines.allSatisfy { $0.checkpoints > 0 })
    for index in world.machines.indices { try world.restart(index) }
    // A leader's first entry names the configuration; its followers have it before it is committed.
    let leader = try world.elect()
    #expect(world.reply(world.request(leader, Harness.createTable))?.status == 201)
  }

  @Test func nothingIsAppendedOnceANodeCloses() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    let follower = try #require(world.machines.first { $0 !== leader })
    world.request(leader, Harness.createTable)
    follower.holdsLog = true
    world.tell(follower, .closeRequested)
    // Entries, ticks and requests go on to come.
    world.request(leader, Harness.put(1))
    let refused = world.request(follower, Harness.put(2))
    #expect(world.reply(refused)?.problem?.code == .draining)
    world.pass(.seconds(2))
    #expect(leader.node.isLeader)
  }

  @Test func aLeaderThatClosesTellsWhatItDoesNotKnow() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    world.request(leader, Harness.createTable)
    world.isolated = [leader.identity.node.rawValue]
    let write = world.request(leader, Harness.put(1))
    world.tell(leader, .closeRequested)
    world.settle()
    #expect(world.reply(write)?.problem?.code == .outcomeUnknown)
    #expect(leader.node.isClosed)
    world.pass(.seconds(2))
  }

  @Test func aDrainingLeaderHandsOver() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    world.tell(leader, .drainRequested)
    world.pass(.seconds(1))
    #expect(leader.drained)
    #expect(!leader.node.isLeader)
    #expect(world.machines.contains { $0.node.isLeader })
  }
}

@Suite struct NodeOpeningTests {
  private let identity = Harness.identity(1)
  private var image: [UInt8] { formatLane(identity: identity, founders: Harness.founders(3)) }

  private func open(_ pages: [UInt8], as other: StoreIdentity? = nil) throws(OpenRefusal) -> Node {
    try Harness.open(MemoryFiles(pages: pages), other ?? identity, of: 3, boot: 1, now: Instant(nanoseconds: 1))
  }

  private func refusal(_ body: () throws(OpenRefusal) -> Node) -> OpenRefusal? {
    do throws(OpenRefusal) {
      _ = try body()
      return nil
    } catch { return error }
  }

  @Test func aFormattedLaneOpensWithItsFounders() throws {
    #expect(try readIdentity(MemoryFiles(pages: image)) == identity)
    let node = try open(image)
    #expect(node.raft.configuration == Harness.founders(3))
    #expect(node.raft.me == Member(node: NodeID(1), incarnation: identity.incarnation))
    #expect(node.appliedIndex == .zero)
    #expect(node.raft.term == .zero)
  }

  @Test func noFileAndAShortFileAreTold() {
    guard case .noPageFile = refusal({ () throws(OpenRefusal) in try open([]) }) else {
      Issue.record("an empty directory")
      return
    }
    guard case .store(.truncated) = refusal({ () throws(OpenRefusal) in try open([1, 2, 3]) }) else {
      Issue.record("a truncated page file")
      return
    }
  }

  @Test func aForeignFileIsRefused() {
    let foreign = [UInt8](repeating: 0x41, count: 4 * Store.pageBytes)
    guard case .store = refusal({ () throws(OpenRefusal) in try open(foreign) }) else {
      Issue.record("a foreign file")
      return
    }
    #expect(throws: OpenRefusal.self) { try readIdentity(MemoryFiles(pages: foreign)) }
  }

  @Test func anotherNodesFileIsRefused() {
    var other = identity
    other.node = NodeID(2)
    guard case .store = refusal({ () throws(OpenRefusal) in try open(image, as: other) }) else {
      Issue.record("another node's file")
      return
    }
    var elsewhere = identity
    elsewhere.cluster = Array(2...17)
    guard case .store = refusal({ () throws(OpenRefusal) in try open(image, as: elsewhere) }) else {
      Issue.record("another cluster's file")
      return
    }
  }

  @Test func damagedSuperblocksAndPagesAreRefused() {
    var bad = image
    for page in 0..<2 { bad[page * Store.pageBytes + 100] ^= 1 }
    #expect(refusal { () throws(OpenRefusal) in try open(bad) } != nil)
    var damagedPages = image
    for offset in stride(from: 2 * Store.pageBytes + 200, to: image.count, by: Store.pageBytes) {
      damagedPages[offset] ^= 1
    }
    guard case .page = refusal({ () throws(OpenRefusal) in try open(damagedPages) }) else {
      Issue.record("damaged pages")
      return
    }
  }
}
