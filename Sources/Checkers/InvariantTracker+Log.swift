import Primitives

// Logs: what is appended, what is durable, what a crash left.

extension InvariantTracker {
  mutating func appended(_ place: Int, _ node: NodeID, _ index: LogIndex, _ entry: LogFact) -> Violation? {
    let last = replicas[place].lastIndex
    guard index > .zero, index <= last.next else {
      return Violation(rule: "LogMatchingInv", detail: "\(node) appended at \(index), its log ended at \(last)")
    }
    let truncates = index <= last
    let before = index == LogIndex(1) ? LogFact(term: .zero, checksum: 0) : replicas[place].entry(at: index.previous)
    replicas[place].log.removeSubrange(Int(index.rawValue) - 1..<replicas[place].log.count)
    replicas[place].log.append(entry)
    replicas[place].durable = min(replicas[place].durable, index.previous)
    if let violation = matchOrigin(node, index, entry, before: before) { return violation }
    if let violation = followsLeader(node, index, entry) { return violation }
    return truncates ? stillOnQuorum(from: index, through: last, because: "\(node) truncated its log at \(index)") : nil
  }

  /// LogMatchingInv.
  private mutating func matchOrigin(
    _ node: NodeID, _ index: LogIndex, _ entry: LogFact, before: LogFact?
  ) -> Violation? {
    guard let before else { return nil }
    if before.term > entry.term {
      return Violation(rule: "LogMatchingInv", detail: "\(node) has \(entry.term) at \(index) after \(before.term)")
    }
    let position = Position(index: index, term: entry.term)
    guard let origin = origins[position] else {
      origins[position] = Origin(checksum: entry.checksum, previousTerm: before.term, node: node)
      return nil
    }
    if origin.checksum == entry.checksum, origin.previousTerm == before.term { return nil }
    let what = origin.checksum == entry.checksum ? "after an entry of another term" : "with another content"
    return Violation(
      rule: "LogMatchingInv", detail: "\(node) has the entry of \(entry.term) at \(index) \(what) than \(origin.node)")
  }

  /// ElectionSafetyInv.
  private mutating func followsLeader(_ node: NodeID, _ index: LogIndex, _ entry: LogFact) -> Violation? {
    guard let leader = leaders.lastIndex(where: { $0.term == entry.term }) else {
      return Violation(rule: "ElectionSafetyInv", detail: "\(node) has an entry of \(entry.term), which had no leader")
    }
    if leaders[leader].node == node {
      leaders[leader].appended = max(leaders[leader].appended, index)
      return nil
    }
    if index <= leaders[leader].appended { return nil }
    return Violation(
      rule: "ElectionSafetyInv",
      detail:
        "\(node) has an entry of \(entry.term) at \(index), its leader \(leaders[leader].node) appended only up to "
        + "\(leaders[leader].appended)")
  }

  mutating func logPersisted(_ place: Int, _ node: NodeID, _ index: LogIndex) -> Violation? {
    guard index <= replicas[place].lastIndex else {
      return Violation(
        rule: "PersistedIsRecovered",
        detail: "\(node) reports \(index) as durable, its log ends at \(replicas[place].lastIndex)")
    }
    replicas[place].durable = max(replicas[place].durable, index)
    return nil
  }

  mutating func crashed(_ place: Int) -> Violation? {
    replicas[place].isUp = false
    return nil
  }

  mutating func recovered(_ place: Int, _ node: NodeID, _ recovery: Recovery) -> Violation? {
    if let violation = recoveredVote(replicas[place], node, recovery) { return violation }
    if let violation = recoveredLog(replicas[place], node, recovery) { return violation }
    var replica = replicas[place]
    let (kept, last) = (Int(recovery.applied.rawValue), replica.lastIndex)
    replica.log = replica.log.prefix(kept) + recovery.log.map(Optional.some)
    replica.durable = replica.lastIndex
    (replica.committed, replica.applied) = (recovery.applied, recovery.applied)
    replica.appliedEver = max(replica.appliedEver, recovery.applied)
    (replica.durableTerm, replica.durableVote) = (recovery.term, recovery.vote)
    if let vote = recovery.vote { replica.votes[recovery.term] = vote }
    replica.isUp = true
    replicas[place] = replica
    return stillOnQuorum(from: recovery.applied.next, through: last, because: "\(node) recovered")
  }

  /// PersistedIsRecovered.
  private func recoveredLog(_ replica: Replica, _ node: NodeID, _ recovery: Recovery) -> Violation? {
    if let violation = recoveredState(replica, node, recovery.applied) { return violation }
    for (offset, entry) in recovery.log.enumerated() {
      let index = recovery.applied + UInt64(offset + 1)
      if index <= replica.durable, let had = replica.entry(at: index), had != entry {
        return Violation(
          rule: "PersistedIsRecovered",
          detail: "\(node) recovered an entry of \(entry.term) at \(index), where one of \(had.term) was durable")
      }
    }
    let end = recovery.applied + UInt64(recovery.log.count)
    if end >= replica.durable { return nil }
    return Violation(
      rule: "PersistedIsRecovered",
      detail: "\(node) recovered a log that ends at \(end), it was durable up to \(replica.durable)")
  }

  /// What it starts with is what it had applied, or what its log calls committed beyond that, and that is what was committed.
  private func recoveredState(_ replica: Replica, _ node: NodeID, _ applied: LogIndex) -> Violation? {
    if applied > replica.lastIndex {
      return Violation(
        rule: "PersistedIsRecovered",
        detail: "\(node) recovered a state of \(applied), its log ended at \(replica.lastIndex)")
    }
    var index = replica.appliedEver
    while index < applied {
      index = index.next
      guard index <= committedThrough, replica.entry(at: index) == committed[Int(index.rawValue) - 1].fact else {
        return Violation(
          rule: "PersistedIsRecovered", detail: "\(node) applied \(index) at its start, which is not what was committed"
        )
      }
    }
    return nil
  }

  mutating func installed(_ place: Int, _ node: NodeID, _ index: LogIndex, _ term: Term) -> Violation? {
    guard index <= committedThrough, committed[Int(index.rawValue) - 1].fact.term == term else {
      return Violation(
        rule: "LogInv", detail: "\(node) installed a snapshot through \(index) of \(term), which is not committed")
    }
    var replica = replicas[place]
    let matches = replica.entry(at: index)?.term == term
    let behind = matches ? replica.log[Int(index.rawValue)...] : []
    replica.log = committed.prefix(Int(index.rawValue)).map { $0.fact } + behind
    replica.durable = matches ? max(replica.durable, index) : index
    replica.committed = max(replica.committed, index)
    replica.applied = index
    replica.appliedEver = max(replica.appliedEver, index)
    replicas[place] = replica
    return nil
  }
}
