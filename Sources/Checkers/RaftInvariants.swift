import Primitives

// The invariants of Raft over one picture of all replicas of a shard: slow, and written to be compared with the text of
// the invariant. Sources: the TLA+ specifications of Raft (Ongaro) and of CCF's consensus, whose names are kept.

/// What stands at an index of a log.
package struct LogFact: Hashable, Sendable {
  package var term: Term
  /// Of kind and payload.
  package var checksum: UInt64

  package init(term: Term, checksum: UInt64) {
    self.term = term
    self.checksum = checksum
  }
}

/// One replica at one moment, its whole log included.
package struct ReplicaObservation: Equatable, Sendable {
  package enum Role: Equatable, Sendable { case follower, candidate, leader }

  package var node: NodeID
  package var term: Term
  package var role: Role
  /// Entry i stands at `log[i - 1]`. What a checkpoint or snapshot replaced is to be kept here.
  package var log: [LogFact]
  package var committed: LogIndex
  package var applied: LogIndex
  /// The last index known to be on this replica's disk.
  package var durable: LogIndex

  package init(
    node: NodeID, term: Term, role: Role, log: [LogFact], committed: LogIndex, applied: LogIndex, durable: LogIndex
  ) {
    self.node = node
    self.term = term
    self.role = role
    self.log = log
    self.committed = committed
    self.applied = applied
    self.durable = durable
  }

  var committedLog: ArraySlice<LogFact> { log.prefix(Int(committed.rawValue)) }
  var durableLog: ArraySlice<LogFact> { log.prefix(Int(durable.rawValue)) }
  var lastTerm: Term { log.last?.term ?? .zero }
}

/// Checks all invariants that hold at every moment; the first violation, or nil.
///
/// - Parameter voters: the voters of every replica in the picture.
package func checkRaftInvariants(_ replicas: [ReplicaObservation], voters: [NodeID]) -> Violation? {
  for replica in replicas {
    if let violation = checkPositions(replica) { return violation }
    if let violation = checkQuorumLog(replica, replicas, voters) { return violation }
    if let violation = checkElectionSafety(replica, replicas) { return violation }
    for other in replicas where other.node != replica.node {
      if let violation = checkPair(replica, other) { return violation }
    }
  }
  return nil
}

private func checkPair(_ a: ReplicaObservation, _ b: ReplicaObservation) -> Violation? {
  checkLogPrefixes(a, b) ?? checkOneLeader(a, b) ?? checkLogMatching(a, b) ?? checkMoreUpToDate(a, b)
}

/// applied <= committed <= last.
private func checkPositions(_ replica: ReplicaObservation) -> Violation? {
  if replica.applied > replica.committed {
    return Violation(
      rule: "StateMachineSafety",
      detail: "\(replica.node) applied \(replica.applied), committed is only \(replica.committed)")
  }
  if replica.committed.rawValue > UInt64(replica.log.count) {
    return Violation(
      rule: "StateMachineSafety",
      detail: "\(replica.node) committed \(replica.committed), its log ends at i\(replica.log.count)")
  }
  return nil
}

/// LogInv: of the committed prefixes of two servers one is a prefix of the other.
private func checkLogPrefixes(_ a: ReplicaObservation, _ b: ReplicaObservation) -> Violation? {
  guard let (offset, pair) = zip(a.committedLog, b.committedLog).enumerated().first(where: { $1.0 != $1.1 }) else {
    return nil
  }
  return Violation(
    rule: "LogInv",
    detail:
      "\(a.node) and \(b.node) committed different entries at i\(offset + 1): of \(pair.0.term) and \(pair.1.term)")
}

/// MoreThanOneLeaderInv, for this moment; `InvariantTracker` checks it over the whole run.
private func checkOneLeader(_ a: ReplicaObservation, _ b: ReplicaObservation) -> Violation? {
  guard a.role == .leader, b.role == .leader, a.term == b.term else { return nil }
  return Violation(rule: "MoreThanOneLeaderInv", detail: "\(a.node) and \(b.node) both lead in \(a.term)")
}

/// LogMatchingInv: same index and term on two servers, same logs up to there.
private func checkLogMatching(_ a: ReplicaObservation, _ b: ReplicaObservation) -> Violation? {
  guard let last = zip(a.log, b.log).enumerated().reversed().first(where: { $1.0.term == $1.1.term })?.offset,
    let different = (0...last).first(where: { a.log[$0] != b.log[$0] })
  else { return nil }
  return Violation(
    rule: "LogMatchingInv",
    detail: "\(a.node) and \(b.node) agree on the term at i\(last + 1) but differ at i\(different + 1)")
}

/// ElectionSafetyInv: a leader has the greatest index of its own term.
private func checkElectionSafety(_ leader: ReplicaObservation, _ all: [ReplicaObservation]) -> Violation? {
  guard leader.role == .leader else { return nil }
  func last(_ replica: ReplicaObservation) -> Int { (replica.log.lastIndex { $0.term == leader.term } ?? -1) + 1 }
  guard let other = all.first(where: { last($0) > last(leader) }) else { return nil }
  return Violation(
    rule: "ElectionSafetyInv",
    detail:
      "\(other.node) has an entry of \(leader.term) at i\(last(other)), its leader \(leader.node) only i\(last(leader))"
  )
}

/// QuorumLogInv and CommittedIsDurableInv: what a server committed is durable on a majority, so in every quorum.
private func checkQuorumLog(
  _ replica: ReplicaObservation, _ all: [ReplicaObservation], _ voters: [NodeID]
) -> Violation? {
  let holders = all.filter { voters.contains($0.node) && $0.durableLog.starts(with: replica.committedLog) }
  if holders.count > voters.count / 2 { return nil }
  return Violation(
    rule: "QuorumLogInv",
    detail: "what \(replica.node) committed up to \(replica.committed) is durable on \(holders.map(\.node)) only")
}

/// MoreUpToDateCorrectInv: a log that wins the up-to-date comparison holds what the other committed. With it goes
/// LeaderCompletenessInv for leaders to come.
private func checkMoreUpToDate(_ a: ReplicaObservation, _ b: ReplicaObservation) -> Violation? {
  let wins = (a.lastTerm, a.log.count) >= (b.lastTerm, b.log.count)
  if !wins || a.log.starts(with: b.committedLog) { return nil }
  return Violation(
    rule: "MoreUpToDateCorrectInv",
    detail: "\(a.node)'s log wins over \(b.node)'s but lacks what that one committed up to \(b.committed)")
}
