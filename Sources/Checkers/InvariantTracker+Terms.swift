import Primitives

// Votes and leaders.

extension InvariantTracker {
  /// TermAndVoteDurability.
  mutating func votePersisted(_ place: Int, _ node: NodeID, _ term: Term, _ vote: NodeID?) -> Violation? {
    if let violation = goesOn(replicas[place], node, term, vote) { return violation }
    replicas[place].durableTerm = term
    replicas[place].durableVote = vote
    if let vote { replicas[place].votes[term] = vote }
    return nil
  }

  func recoveredVote(_ replica: Replica, _ node: NodeID, _ recovery: Recovery) -> Violation? {
    goesOn(replica, node, recovery.term, recovery.vote)
  }

  private func goesOn(_ replica: Replica, _ node: NodeID, _ term: Term, _ vote: NodeID?) -> Violation? {
    let had = "\(node) had durably \(replica.durableTerm), vote \(shown(replica.durableVote))"
    if term < replica.durableTerm {
      return Violation(rule: "TermAndVoteDurability", detail: "\(had), and went back to \(term)")
    }
    if term == replica.durableTerm, let before = replica.durableVote, before != vote {
      return Violation(rule: "TermAndVoteDurability", detail: "\(had), and changed the vote to \(shown(vote))")
    }
    return nil
  }

  private func shown(_ vote: NodeID?) -> String { vote.map { "\($0)" } ?? "none" }

  mutating func becameLeader(_ place: Int, _ node: NodeID, _ term: Term) -> Violation? {
    if let other = leaders.last(where: { $0.term == term }) {
      return Violation(
        rule: "MoreThanOneLeaderInv", detail: "\(node) became leader in \(term), which \(other.node) led already")
    }
    guard isQuorum({ $0.votes[term] == node }) else {
      return Violation(
        rule: "ElectedByDurableVotes", detail: "\(node) became leader in \(term) without a quorum of durable votes")
    }
    let leadership = Leadership(
      term: term, node: node, lastIndex: replicas[place].lastIndex, lastTerm: replicas[place].log.last??.term ?? .zero,
      appended: replicas[place].lastIndex)
    leaders.insert(leadership, at: leaders.lastIndex { $0.term < term }.map { $0 + 1 } ?? 0)
    return holdsCommitted(replicas[place], leadership)
  }

  /// LeaderCompletenessInv for a new leader: by log matching the last entry that it must have stands for all.
  private func holdsCommitted(_ replica: Replica, _ leader: Leadership) -> Violation? {
    guard let last = committed.lastIndex(where: { $0.inTerm < leader.term }) else { return nil }
    let index = LogIndex(UInt64(last + 1))
    if replica.entry(at: index)?.term == committed[last].fact.term { return nil }
    return lacks(leader, index, committed[last])
  }

  /// LeaderCompletenessInv for leaders of later terms than the one that committed `entry` only now.
  func laterLeadersHold(_ index: LogIndex, _ entry: Committed) -> Violation? {
    for leader in leaders.reversed() {
      if leader.term <= entry.inTerm { return nil }
      if term(at: index, inLogOf: leader) != entry.fact.term { return lacks(leader, index, entry) }
    }
    return nil
  }

  /// The term at `index` of the log that `leader` was elected with: followed down from its end.
  private func term(at index: LogIndex, inLogOf leader: Leadership) -> Term? {
    var (position, term) = (leader.lastIndex, leader.lastTerm)
    if index > position { return nil }
    while position > index {
      guard let origin = origins[Position(index: position, term: term)] else { return nil }
      (position, term) = (position.previous, origin.previousTerm)
    }
    return term
  }

  private func lacks(_ leader: Leadership, _ index: LogIndex, _ entry: Committed) -> Violation {
    Violation(
      rule: "LeaderCompletenessInv",
      detail: "\(leader.node) became leader in \(leader.term) without the entry of \(entry.fact.term) at \(index), "
        + "committed in \(entry.inTerm)")
  }
}
