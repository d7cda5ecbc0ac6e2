import Primitives
import Raft

// What nodes say to each other. One payload (one frame of the link, one packet of the simulated network) holds the
// messages of one turn; each starts with its kind and its length, so that a later version can skip what it knows not.

package enum PeerMessage: Equatable, Sendable {
  case raft(RaftMessage)
  /// A client's request that the sender cannot serve itself. `remaining` is what is left of the deadline: clocks of
  /// two machines are never compared.
  case forward(id: UInt64, remaining: Nanoseconds, Operation)
  case forwardReply(id: UInt64, ForwardOutcome)
  case statusRequest(id: UInt64)
  case statusReply(id: UInt64, NodeStatus)
}

extension PeerMessage {
  /// For the size of a buffer: enough for what is sent for each write.
  var byteCountGuess: Int {
    guard case .raft(let message) = self, case .append(let append) = message.body else { return 256 }
    return append.entries.reduce(128) { $0 + $1.payload.count + 16 }
  }
}

package enum ForwardOutcome: Equatable, Sendable {
  case answered(Reply)
  /// Not executed; whom the receiver takes for the leader.
  case notLeader(NodeID?)
}

/// What a node says of itself, for `/v1/nodes` and `/v1/cluster`.
package struct NodeStatus: Equatable, Sendable {
  package var node: NodeID
  package var version: String
  package var state: String
  package var limits: [String]
  package var replicas: [ReplicaStatus]
  package var disk: DiskStatus
  package var scrub: ScrubStatus
  package var memory: MemoryStatus
  package init(
    node: NodeID, version: String, state: String, limits: [String], replicas: [ReplicaStatus],
    disk: DiskStatus = DiskStatus(), scrub: ScrubStatus = ScrubStatus(), memory: MemoryStatus = MemoryStatus()
  ) {
    self.node = node
    self.version = version
    self.state = state
    self.limits = limits
    self.replicas = replicas
    self.disk = disk
    self.scrub = scrub
    self.memory = memory
  }
}

/// What takes the room on a node's disk, in bytes.
package struct DiskStatus: Equatable, Sendable {
  /// Pages of the newest trees; pages that only checkpoints still need; what is free in the page file.
  package var data: UInt64 = 0
  package var garbage: UInt64 = 0
  package var free: UInt64 = 0
  /// All segments of the log, with those that are kept for later.
  package var log: UInt64 = 0
  /// `disk-limit`; 0: none.
  package var limit: UInt64 = 0

  package init() {}
}

/// What a node uses of memory, and may use, in bytes. The driver tells it: 0 until it has.
package struct MemoryStatus: Equatable, Sendable {
  package var resident: UInt64
  package var budget: UInt64

  package init(resident: UInt64 = 0, budget: UInt64 = 0) {
    self.resident = resident
    self.budget = budget
  }
}

package struct ReplicaStatus: Equatable, Sendable {
  package var shard: ShardID
  package var role: String
  package var term: Term
  package var leader: NodeID?
  package var commitIndex: LogIndex
  package var appliedIndex: LogIndex
  package var lastIndex: LogIndex
  package var heldByAll: LogIndex
  /// Of the state at exactly `appliedIndex`; nil while the node does not know it.
  package var stateHash: UInt64?
  package var rows: UInt64
  package var logBytes: UInt64
  package var logBytesMax: UInt64
}
