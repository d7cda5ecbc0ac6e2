import Primitives
import Raft
import Testing

@testable import Node

/// A message of every kind, with every field used somewhere.
enum PeerSamples {
  static let a = Member(node: NodeID(1), incarnation: Incarnation(0x1111))
  static let b = Member(node: NodeID(2), incarnation: Incarnation(0x2222_3333_4444_5555))

  static func raft(_ body: RaftMessage.Body) -> PeerMessage {
    .raft(RaftMessage(shard: ShardID(1), from: a, to: b, term: Term(300), body: body))
  }

  static let raftBodies: [RaftMessage.Body] = [
    .preVote(VoteRequest(lastIndex: LogIndex(9), lastTerm: Term(2), transfer: false)),
    .preVoteReply(granted: true),
    .vote(VoteRequest(lastIndex: LogIndex(900), lastTerm: Term(299), transfer: true)),
    .voteReply(granted: false),
    .append(
      Append(
        previousIndex: LogIndex(7), previousTerm: Term(3),
        entries: [
          Entry(index: LogIndex(8), term: Term(3), kind: .noop, payload: []),
          Entry(index: LogIndex(9), term: Term(300), kind: .command, payload: [1, 2, 3]),
        ], commit: LogIndex(6), heldByAll: LogIndex(5), sentAt: Instant(nanoseconds: 77), readRound: 4)),
    .appendReply(
      AppendReply(
        outcome: .accepted(match: LogIndex(8), received: LogIndex(9)), sentAt: Instant(nanoseconds: 77), readRound: 4)),
    .appendReply(
      AppendReply(
        outcome: .rejected(previousIndex: LogIndex(7), hintIndex: LogIndex(3), hintTerm: Term(2)), sentAt: .zero,
        readRound: 0, room: .exhausted)),
    .timeoutNow(target: b),
  ]

  static let path = RowPath(table: "t", key: Array("a%2Fb".utf8))

  static var scan: ScanQuery {
    var query = ScanQuery(table: "t")
    query.start = [1]
    query.end = []
    query.limit = Array("10".utf8)
    query.cursor = [9, 9]
    query.lines = true
    return query
  }

  static let operations: [Operation] = [
    .get(path, columns: nil), .get(path, columns: Array("a,b".utf8)),
    .put(path, body: Array("{}".utf8), .none), .put(path, body: [], .ifMatch(Timestamp(5))),
    .patch(path, body: [1], .ifNoneMatch), .delete(path, .none), .scan(scan), .lookup(body: [1, 2]),
    .snapshot(Timestamp(7), .scan(scan)), .snapshot(Timestamp(1 << 40), .get(path, columns: nil)), .batch(body: []),
    .createTable(body: [3]), .listTables, .describeTable("t"), .dropTable("ü"), .revoke(kind: .token, serial: "ab"),
    .transferLeadership(ShardID(1), to: NodeID(3)),
  ]

  static var replies: [ForwardOutcome] {
    var full = Reply(status: 201, etag: Timestamp(1 << 20), body: [4])
    full.location = [1]
    full.cursor = [2]
    var problem = Problem(.conditionFailed, "It changed.")
    problem.leader = "n1"
    problem.table = "t"
    problem.key = "k"
    problem.operation = 0
    problem.currentETag = Timestamp(7)
    return [
      .answered(full), .answered(Reply(problem)), .answered(Reply(.overloaded)), .notLeader(nil),
      .notLeader(NodeID(2)),
    ]
  }

  static let status = NodeStatus(
    node: NodeID(2), version: "0.1", state: "ready", limits: ["one", "two"],
    replicas: [
      ReplicaStatus(
        shard: ShardID(1), role: "leader", term: Term(4), leader: NodeID(2), commitIndex: LogIndex(10),
        appliedIndex: LogIndex(9), lastIndex: LogIndex(11), heldByAll: LogIndex(8), stateHash: 0xABCD, rows: 3,
        logBytes: 4096, logBytesMax: 1 << 30),
      ReplicaStatus(
        shard: ShardID(2), role: "follower", term: Term(4), leader: nil, commitIndex: LogIndex(10),
        appliedIndex: LogIndex(9), lastIndex: LogIndex(11), heldByAll: LogIndex(8), stateHash: nil, rows: 0,
        logBytes: 0, logBytesMax: 0),
    ], disk: disk, scrub: scrub, memory: MemoryStatus(resident: 6, budget: 129))

  private static var scrub: ScrubStatus {
    var scrub = ScrubStatus()
    (scrub.state, scrub.percent, scrub.passes, scrub.damage, scrub.rewritten) = (.running, 42, 300, 2, 1)
    scrub.finishedBefore = .seconds(9)
    return scrub
  }

  private static var disk: DiskStatus {
    var disk = DiskStatus()
    (disk.data, disk.garbage, disk.free, disk.log, disk.limit) = (1, 2, 3, 128, 5)
    return disk
  }

  static var all: [PeerMessage] {
    raftBodies.map(raft)
      + operations.map { .forward(id: 42, remaining: .milliseconds(5), $0) }
      + replies.map { .forwardReply(id: 42, $0) }
      + [.statusRequest(id: 1), .statusReply(id: 1, status)]
  }
}

private func encoded(_ messages: [PeerMessage]) -> [UInt8] {
  var writer = ByteWriter()
  for message in messages { message.encode(into: &writer) }
  return writer.bytes
}

@Suite struct PeerMessageTests {
  @Test func everyKindComesBackAsItWas() throws {
    for message in PeerSamples.all {
      #expect(try PeerMessage.decodeAll(encoded([message])) == [message])
    }
    #expect(try PeerMessage.decodeAll(encoded(PeerSamples.all)) == PeerSamples.all)
  }

  @Test func aVoteHasItsGoldenBytes() {
    #expect(
      encoded([PeerSamples.raft(PeerSamples.raftBodies[2])])
        == [
          1, 28, 0, 0, 0,  // kind, length
          1, 1, 0x11, 0x11, 0, 0, 0, 0, 0, 0,  // shard, from
          2, 0x55, 0x55, 0x44, 0x44, 0x33, 0x33, 0x22, 0x22,  // to
          0xAC, 0x02,  // term 300
          3, 0x84, 0x07, 0xAB, 0x02, 1,  // vote: index 900, term 299, transfer
        ].withLength())
  }

  @Test func anAppendHasItsGoldenBytes() {
    #expect(
      encoded([PeerSamples.raft(PeerSamples.raftBodies[4])])
        == [
          1, 0, 0, 0, 0,
          1, 1, 0x11, 0x11, 0, 0, 0, 0, 0, 0, 2, 0x55, 0x55, 0x44, 0x44, 0x33, 0x33, 0x22, 0x22, 0xAC, 0x02,
          5, 7, 3, 6, 5, 77, 0, 0, 0, 0, 0, 0, 0, 4,  // append: previous, commit, held, sent at, round
          2, 3, 0, 0, 0xAC, 0x02, 1, 3, 1, 2, 3,  // two entries: term, kind, payload
        ].withLength())
  }

  @Test func aForwardAndItsAnswerHaveTheirGoldenBytes() {
    let put = Operation.put(PeerSamples.path, body: Array("{}".utf8), .ifMatch(Timestamp(5)))
    #expect(
      encoded([.forward(id: 42, remaining: Nanoseconds(1000), put)])
        == [
          2, 0, 0, 0, 0,
          42, 0, 0, 0, 0, 0, 0, 0, 0xE8, 0x03, 0, 0, 0, 0, 0, 0,
          2, 1, 0x74, 5, 0x61, 0x25, 0x32, 0x46, 0x62, 2, 0x7B, 0x7D, 1, 5, 0, 0, 0, 0, 0, 0, 0,
        ].withLength())
    #expect(
      encoded([.forwardReply(id: 42, .answered(Reply(status: 204)))])
        == [
          3, 0, 0, 0, 0,
          42, 0, 0, 0, 0, 0, 0, 0, 1, 0xCC, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        ].withLength())
  }

  @Test func appendRepliesHaveTheirGoldenBytes() {
    let head: [UInt8] = [
      1, 0, 0, 0, 0, 1, 1, 0x11, 0x11, 0, 0, 0, 0, 0, 0, 2, 0x55, 0x55, 0x44, 0x44, 0x33, 0x33, 0x22, 0x22, 0xAC, 0x02,
    ]
    // Kind, accepted, match, received, sent at, round, room.
    let accepted = head + [6, 1, 8, 9, 77, 0, 0, 0, 0, 0, 0, 0, 4, 0]
    #expect(encoded([PeerSamples.raft(PeerSamples.raftBodies[5])]) == accepted.withLength())
    // Kind, rejected, previous index, hint index, hint term, sent at, round, room.
    let rejected = head + [6, 2, 7, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]
    #expect(encoded([PeerSamples.raft(PeerSamples.raftBodies[6])]) == rejected.withLength())
  }

  @Test func aStatusHasItsGoldenBytes() {
    let head: [UInt8] = [5, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    let node = [2, 3] + Array("0.1".utf8) + [5] + Array("ready".utf8)
    let limits = [2, 3] + Array("one".utf8) + [3] + Array("two".utf8)
    let leader = [2, 1, 6] + Array("leader".utf8) + [4, 2, 10, 9, 11, 8]
    let state: [UInt8] = [1, 0xCD, 0xAB, 0, 0, 0, 0, 0, 0, 3, 0x80, 0x20, 0x80, 0x80, 0x80, 0x80, 4]
    // Without leader, without state hash.
    let follower = [2, 8] + Array("follower".utf8) + [4, 0, 10, 9, 11, 8, 0, 0, 0, 0]
    let disk: [UInt8] = [1, 2, 3, 0x80, 1, 5]
    // Running, percent, passes, damage, rewritten, 9 s since the last pass.
    let scrub: [UInt8] = [2, 42, 0xAC, 2, 2, 1, 1, 0x80, 0xB4, 0xC4, 0xC3, 0x21]
    let memory: [UInt8] = [6, 0x81, 1]
    let expected = head + node + limits + leader + state + follower + disk + scrub + memory
    #expect(encoded([.statusReply(id: 1, PeerSamples.status)]) == expected.withLength())
  }

  /// Those of every kind that stand in no other test: any byte that changes changes this.
  @Test func allSamplesHaveTheirGoldenChecksum() {
    #expect(crc32c(encoded(PeerSamples.all)) == 0x5ddc_a8cd)
  }

  @Test func aTruncatedPayloadIsRefusedAtEveryLength() {
    for message in PeerSamples.all {
      let bytes = encoded([message])
      for count in 1..<bytes.count {
        #expect(throws: DecodeError.self) { try PeerMessage.decodeAll(Array(bytes[..<count])) }
      }
    }
  }

  @Test func unknownKindsAreSkippedAndBytesBehindAMessageRefused() throws {
    let known = PeerMessage.statusRequest(id: 3)
    #expect(try PeerMessage.decodeAll([200, 2, 0, 0, 0, 9, 9] + encoded([known])) == [known])
    #expect(throws: DecodeError.self) {
      try PeerMessage.decodeAll([4, 9, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0])
    }
  }

  /// Whatever bytes come: refused, or messages that can be encoded again and mean the same.
  @Test func damagedPayloadsNeverTrap() throws {
    var random = SeededRandom(seed: 11)
    let samples = PeerSamples.all.map { encoded([$0]) }
    var understood = 0
    for _ in 0..<20_000 {
      var bytes = samples[Int(random.below(UInt64(samples.count)))]
      for _ in 0...random.below(3) {
        let place = Int(random.below(UInt64(bytes.count)))
        // Varints of many bytes come from runs of high bits.
        bytes[place] = random.chance(1, outOf: 3) ? 0xFF : UInt8(truncatingIfNeeded: random.next())
      }
      guard let messages = try? PeerMessage.decodeAll(bytes) else { continue }
      understood += 1
      #expect(try PeerMessage.decodeAll(encoded(messages)) == messages)
    }
    #expect(understood > 100)
  }

  /// So that a short message cannot make its receiver take memory for many entries.
  @Test func moreEntriesThanTheMessageHasBytesForAreRefused() throws {
    let none = Append(
      previousIndex: .zero, previousTerm: .zero, entries: [], commit: .zero, heldByAll: .zero, sentAt: .zero,
      readRound: 0)
    let short = (encoded([PeerSamples.raft(.append(none))]).dropLast() + [0xFF, 0xFF, 0x03]).withLength()
    #expect(throws: DecodeError.invalid("more entries than the message has bytes for")) {
      try PeerMessage.decodeAll(short)
    }
    var full = none
    full.entries = (1...100).map { Entry(index: LogIndex($0), term: Term(1), kind: .noop, payload: []) }
    let message = PeerSamples.raft(.append(full))
    #expect(try PeerMessage.decodeAll(encoded([message])) == [message])
  }

  @Test func numbersBeyondEveryLogAreRefused() {
    let append = Append(
      previousIndex: LogIndex(.max), previousTerm: Term(1),
      entries: [Entry(index: LogIndex(1), term: Term(1), kind: .noop, payload: [])], commit: .zero, heldByAll: .zero,
      sentAt: .zero, readRound: 0)
    #expect(throws: DecodeError.self) { try PeerMessage.decodeAll(encoded([PeerSamples.raft(.append(append))])) }
  }

  @Test func anUnknownLevelOfRoomIsRefused() {
    var bytes = encoded([PeerSamples.raft(PeerSamples.raftBodies[5])])
    bytes[bytes.count - 1] = 3
    #expect(throws: DecodeError.self) { try PeerMessage.decodeAll(bytes) }
  }

  @Test func termsBeyondEveryElectionAreRefused() {
    let last = Term(.max)
    let append = Append(
      previousIndex: .zero, previousTerm: last, entries: [], commit: .zero, heldByAll: .zero, sentAt: .zero,
      readRound: 0)
    var entry = append
    entry.previousTerm = .zero
    entry.entries = [Entry(index: LogIndex(1), term: last, kind: .noop, payload: [])]
    let rejected = AppendReply.Outcome.rejected(previousIndex: .zero, hintIndex: .zero, hintTerm: last)
    let bodies: [RaftMessage.Body] = [
      .vote(VoteRequest(lastIndex: .zero, lastTerm: last, transfer: false)), .append(append), .append(entry),
      .appendReply(AppendReply(outcome: rejected, sentAt: .zero, readRound: 0)),
    ]
    for body in bodies {
      #expect(throws: DecodeError.self) { try PeerMessage.decodeAll(encoded([PeerSamples.raft(body)])) }
    }
    let vote = RaftMessage(
      shard: ShardID(1), from: PeerSamples.a, to: PeerSamples.b, term: last, body: .voteReply(granted: false))
    #expect(throws: DecodeError.self) { try PeerMessage.decodeAll(encoded([.raft(vote)])) }
  }
}

extension [UInt8] {
  /// With the length of the one message patched in, so that golden bytes can be written without counting.
  fileprivate func withLength() -> [UInt8] {
    var copy = self
    let length = UInt32(count - 5)
    for place in 0..<4 { copy[1 + place] = UInt8(truncatingIfNeeded: length >> (8 * UInt32(place))) }
    return copy
  }
}
