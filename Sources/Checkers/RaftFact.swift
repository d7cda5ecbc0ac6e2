import Primitives

/// Something that happened to a replica of a shard, as the tracker is told it. Facts are told in the order in which they
/// happened; for one step of a replica: what became durable, then leadership, the log, commits, applications, answers.
package enum RaftFact: Equatable, Sendable {
  /// The replica's log now has `entry` at `index` and ends there: what stood at it and behind was truncated. Not told for
  /// entries that were in the log already.
  case appended(NodeID, LogIndex, LogFact)
  /// The log up to `index`, as it stands now, is on the replica's disk.
  case logPersisted(NodeID, through: LogIndex)
  /// Term and vote are on the replica's disk.
  case votePersisted(NodeID, Term, vote: NodeID?)
  case becameLeader(NodeID, Term)
  /// The replica, in `term`, knows the entry at `index` to be committed. In order, each once between two restarts.
  case committed(NodeID, LogIndex, LogFact, in: Term)
  case applied(NodeID, LogIndex, checksum: UInt64)
  /// A client was told that the command of the entry at `index` took effect.
  case acknowledged(LogIndex, checksum: UInt64?)
  /// A snapshot or checkpoint from a peer replaced log and state up to `index`, durably.
  case installed(NodeID, through: LogIndex, Term)
  /// The process ended without warning; what was not durable may be gone.
  case crashed(NodeID)
  /// The process recovered.
  case recovered(NodeID, Recovery)
  /// The voters from now on; `outgoing` is not empty in a joint configuration.
  case configured(voters: [NodeID], outgoing: [NodeID])
}

/// What a replica found on its disk at its start.
package struct Recovery: Equatable, Sendable {
  package var term: Term
  package var vote: NodeID?
  /// The index up to which the checkpoint has applied.
  package var applied: LogIndex
  /// The entries above `applied`.
  package var log: [LogFact]

  package init(term: Term, vote: NodeID?, applied: LogIndex, log: [LogFact]) {
    self.term = term
    self.vote = vote
    self.applied = applied
    self.log = log
  }
}
