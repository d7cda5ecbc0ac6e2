import Primitives
import Raft

/// What a node is told at start and never changes.
package struct NodeSettings: Sendable {
  /// The cluster's name, for people.
  package var clusterName: String
  /// Its identity: 16 random bytes in hex.
  package var clusterID: String
  /// This node; its incarnation is the data directory's, known when that is opened.
  package internal(set) var me: Member
  /// Address of each node, for status answers.
  package var addresses: [(node: NodeID, address: String)]
  package var version: String
  /// How clients reach the addresses: `https`, or `http` where the setting `insecure` allows plain text.
  package var scheme = "https"
  package var raft: RaftSettings
  package var limits: NodeLimits
  /// How long versions that were replaced or deleted are kept for reads of the past; zero: not at all. The leader's counts.
  package var historyRetention = Nanoseconds.zero
  /// Everything on the disk is read again within this time, and compared; zero: not at all.
  package var scrubEvery = Nanoseconds.zero
  /// So often the leader says that time has passed, while something old is kept.
  var advanceInterval: Nanoseconds { max(.seconds(1), Nanoseconds(historyRetention.rawValue / 8)) }
  /// Seed of the election timeouts. Drawn by the driver; chosen by the simulator.
  package var seed: UInt64

  package init(
    clusterName: String, clusterID: String, node: NodeID, addresses: [(node: NodeID, address: String)],
    version: String, raft: RaftSettings = RaftSettings(), limits: NodeLimits = NodeLimits(), seed: UInt64
  ) {
    self.clusterName = clusterName
    self.clusterID = clusterID
    me = Member(node: node, incarnation: Incarnation(0))
    self.addresses = addresses
    self.version = version
    self.raft = raft
    self.limits = limits
    self.seed = seed
  }
}

/// Budgets of one node. Beyond them requests are refused with `overloaded`, never queued.
package struct NodeLimits: Sendable {
  /// Requests that wait (for the log, a leader, a page).
  package var requestsMax = 16_384
  /// Bytes that they hold.
  package var requestBytesMax = 96 << 20
  /// Bytes of answers in one turn, those included that wait for a page. Beyond, reads are refused, and pages of scans end sooner.
  package var answerBytesMax = 256 << 20
  /// Bytes of one page of a stream: its reader asks for the next when it has taken most of it.
  package var streamPageBytes = 1 << 20
  /// What one turn applies: bytes of commands, and `Node.commandCost` for each. About 2 ms, so that heartbeats, votes and requests
  /// go on while much is to be applied. A command is applied whole, one in any case.
  package var applyBytesMax = 2 << 20
  /// Entries behind the checkpoint that a start keeps in memory, the newest ones, in bytes. The others are read again when they
  /// are applied or sent.
  package var recoveredBytesMax = 32 << 20
  /// Entries of one such read to apply them, in bytes; four reads may be under way.
  package var backlogReadBytes = 2 << 20
  /// A checkpoint starts when so many bytes of log came since the last began.
  package var checkpointLogBytes: UInt64 = 64 << 20
  /// It writes its pages within this time, if log and memory do not make it write them sooner.
  package var checkpointTimeMax = Nanoseconds.seconds(10)
  /// So many of them it writes at once.
  package var checkpointPagesAtOnce = 64
  /// Without a turn of the loop in between, the others follow in steps of this length.
  package var checkpointPaceStep = Nanoseconds.milliseconds(5)
  /// What log and pages may take of the disk together, for people: the limits of both follow from it. Nil: no limit.
  package var diskBytesMax: UInt64?
  /// A page file that could not grow for want of room on the disk is tried again after so long.
  package var growAgainAfter = Nanoseconds.seconds(1)
  /// Scrubbing reads no faster than this, however late it is, with so many reads in flight, and not while so many pages are
  /// being loaded.
  package var scrubBytesPerSecondMax: UInt64 = 16 << 20
  package var scrubReadsMax = 2
  package var scrubYieldsAt = 8
  /// Bytes of one payload to a peer, but for a single larger message.
  package var payloadBytes = 256 << 10
  /// Payload bytes collected for one peer in one turn; Raft's own windows keep it below.
  package var outboxBytesMax = 32 << 20
  /// How long a status answer waits for other nodes.
  package var statusWait = Nanoseconds.milliseconds(700)
  /// How long a forwarded write may go on when its leader was replaced.
  package var forwardGrace = Nanoseconds.seconds(1)
  /// Deadlines of clients are cut to this.
  package var deadlineMax = Nanoseconds.seconds(120)

  package init() {}
}
