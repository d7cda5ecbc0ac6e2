import Primitives
import Raft

@testable import Node

extension FuzzTarget {
  /// A payload of another node: envelope and messages.
  static let peerMessage = FuzzTarget(
    "peer-message", memory: MemoryBound(base: 64 << 10, perInputByte: 128), seeds: { peerMessageSeeds() }
  ) { input in
    let messages: [PeerMessage]
    do throws(DecodeError) {
      let envelope = try PayloadEnvelope(input.bytes)
      require(Array(input.bytes.prefix(PayloadEnvelope.byteCount)) == envelope.encoded(), "an envelope is as it came")
      messages = try PeerMessage.decodeAll(input.bytes, from: PayloadEnvelope.byteCount)
    } catch { return }
    var writer = ByteWriter()
    for message in messages { message.encode(into: &writer) }
    do throws(DecodeError) {
      require(try PeerMessage.decodeAll(writer.bytes) == messages, "messages are read as they were written")
    } catch { fatalError("messages of ours cannot be read: \(error.message)") }
  }

  private static func peerMessageSeeds() -> [[UInt8]] {
    let envelope = PayloadEnvelope(session: 1 << 24 | 1, sequence: 1).encoded()
    return peerMessages.map { message in
      var writer = ByteWriter()
      message.encode(into: &writer)
      return envelope + writer.bytes
    }
  }

  /// One of each kind.
  static let peerMessages: [PeerMessage] =
    raftBodies.map { .raft(raftMessage($0)) } + requests + [
      .statusRequest(id: 4), .statusReply(id: 5, status),
    ]

  private static func raftMessage(_ body: RaftMessage.Body) -> RaftMessage {
    RaftMessage(
      shard: Node.onlyShard, from: SoloNode.member(2), to: SoloNode.member(1), term: Term(3), body: body)
  }

  private static let raftBodies: [RaftMessage.Body] = [
    .preVote(VoteRequest(lastIndex: LogIndex(9), lastTerm: Term(2), transfer: false)),
    .preVoteReply(granted: true),
    .vote(VoteRequest(lastIndex: LogIndex(9), lastTerm: Term(2), transfer: true)),
    .voteReply(granted: false),
    .append(
      Append(
        previousIndex: LogIndex(0), previousTerm: .zero,
        entries: [
          Entry(index: LogIndex(1), term: Term(1), kind: .noop, payload: []),
          Entry(index: LogIndex(2), term: Term(3), kind: .command, payload: [1, 1, 0, 0, 0, 2, 0, 0, 0, 1, 9]),
        ], commit: LogIndex(1), heldByAll: .zero, sentAt: Instant(nanoseconds: 5), readRound: 1)),
    .appendReply(
      AppendReply(
        outcome: .accepted(match: LogIndex(1), received: LogIndex(2)), sentAt: Instant(nanoseconds: 5), readRound: 1)),
    .appendReply(
      AppendReply(
        outcome: .rejected(previousIndex: LogIndex(4), hintIndex: LogIndex(2), hintTerm: Term(1)), sentAt: .zero,
        readRound: 0)),
    .timeoutNow(target: SoloNode.member(1)),
  ]

  private static let requests: [PeerMessage] = {
    let path = RowPath(table: "pairs", key: utf8("k1"))
    var scan = ScanQuery(table: "pairs")
    scan.limit = utf8("3")
    let operations: [Operation] = [
      .get(path, columns: utf8("v")), .snapshot(Timestamp(7), .scan(scan)),
      .put(path, body: utf8(#"{"v":1}"#), .ifNoneMatch),
      .patch(path, body: utf8(#"{"v":2}"#), .ifMatch(Timestamp(7))), .delete(path, .none), .scan(scan),
      .lookup(body: utf8(#"{"table":"pairs","keys":["k"]}"#)),
      .batch(body: utf8(#"{"operations":[{"op":"delete","table":"pairs","key":"k2"}]}"#)),
      .createTable(body: utf8(#"{"name":"x","columns":[{"name":"k","type":"int64"}],"primary_key":["k"]}"#)),
      .listTables, .describeTable("pairs"), .dropTable("pairs"), .revoke(kind: .certificate, serial: "ab"),
      .transferLeadership(ShardID(1), to: NodeID(2)),
    ]
    var problem = Problem(.conditionFailed, "no")
    (problem.table, problem.operation, problem.currentETag) = ("pairs", 3, Timestamp(9))
    return operations.map { .forward(id: 1, remaining: .seconds(1), $0) } + [
      .forwardReply(id: 2, .answered(Reply(status: 200, etag: Timestamp(3), body: utf8("{}")))),
      .forwardReply(id: 2, .answered(Reply(problem))), .forwardReply(id: 3, .notLeader(NodeID(2))),
    ]
  }()

  private static let status = NodeStatus(
    node: NodeID(2), version: "1", state: "up", limits: ["none"],
    replicas: [
      ReplicaStatus(
        shard: Node.onlyShard, role: "leader", term: Term(3), leader: NodeID(2), commitIndex: LogIndex(1),
        appliedIndex: LogIndex(1), lastIndex: LogIndex(2), heldByAll: .zero, stateHash: 5, rows: 6, logBytes: 7,
        logBytesMax: 8)
    ])
}
