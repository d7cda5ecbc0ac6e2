import Primitives

// Commits, applications, answers.

extension InvariantTracker {
  mutating func committed(
    _ place: Int, _ node: NodeID, _ index: LogIndex, _ entry: LogFact, _ term: Term
  ) -> Violation? {
    guard index == replicas[place].committed.next else {
      return Violation(
        rule: "LogInv", detail: "\(node) committed \(index) after \(replicas[place].committed)")
    }
    guard replicas[place].entry(at: index) == entry else {
      return Violation(rule: "LogInv", detail: "\(node) committed an entry at \(index) that is not in its log")
    }
    replicas[place].committed = index
    if index <= committedThrough { return committedAgain(node, index, entry, term) }
    committed.append(Committed(fact: entry, inTerm: term))
    lowerTerms(behind: index, to: term)
    guard isQuorum({ $0.durable >= index && $0.entry(at: index) == entry }) else {
      return Violation(
        rule: "QuorumLogInv", detail: "\(node) committed \(index) in \(term), which is not durable on a quorum")
    }
    return laterLeadersHold(index, committed[Int(index.rawValue) - 1])
  }

  /// LogInv.
  private mutating func committedAgain(
    _ node: NodeID, _ index: LogIndex, _ entry: LogFact, _ term: Term
  ) -> Violation? {
    let first = committed[Int(index.rawValue) - 1]
    guard first.fact == entry else {
      return Violation(
        rule: "LogInv",
        detail: "\(node) committed an entry of \(entry.term) at \(index), where one of \(first.fact.term) was committed"
      )
    }
    lowerTerms(behind: index.next, to: term)
    return nil
  }

  /// What a replica in `term` knows as committed was committed in `term` or before, and so was all before it.
  private mutating func lowerTerms(behind index: LogIndex, to term: Term) {
    var place = Int(index.rawValue) - 2
    while place >= 0, committed[place].inTerm > term {
      committed[place].inTerm = term
      place -= 1
    }
  }

  /// QuorumLogInv for committed entries of which a copy was lost.
  func stillOnQuorum(from first: LogIndex, through last: LogIndex, because reason: String) -> Violation? {
    let end = min(last, committedThrough)
    var index = first
    while index <= end {
      let entry = committed[Int(index.rawValue) - 1].fact
      if !isQuorum({ $0.durable >= index && $0.entry(at: index) == entry }) {
        return Violation(
          rule: "QuorumLogInv", detail: "\(reason); now the committed \(index) is no longer durable on a quorum")
      }
      index = index.next
    }
    return nil
  }

  /// StateMachineSafety.
  mutating func applied(_ place: Int, _ node: NodeID, _ index: LogIndex, _ checksum: UInt64) -> Violation? {
    let replica = replicas[place]
    guard index == replica.applied.next else {
      return Violation(rule: "StateMachineSafety", detail: "\(node) applied \(index) after \(replica.applied)")
    }
    guard index <= replica.committed else {
      return Violation(
        rule: "StateMachineSafety", detail: "\(node) applied \(index), it knows only \(replica.committed) as committed")
    }
    guard committed[Int(index.rawValue) - 1].fact.checksum == checksum else {
      return Violation(
        rule: "StateMachineSafety", detail: "\(node) applied another command at \(index) than was committed")
    }
    replicas[place].applied = index
    replicas[place].appliedEver = max(replica.appliedEver, index)
    return nil
  }

  /// AckedIsCommitted.
  func acknowledged(_ index: LogIndex, _ checksum: UInt64?) -> Violation? {
    guard index > .zero, index <= committedThrough else {
      return Violation(
        rule: "AckedIsCommitted", detail: "\(index) was acknowledged, committed is only \(committedThrough)")
    }
    if let checksum, committed[Int(index.rawValue) - 1].fact.checksum != checksum {
      return Violation(
        rule: "AckedIsCommitted", detail: "another entry than the acknowledged one is committed at \(index)")
    }
    return nil
  }
}
