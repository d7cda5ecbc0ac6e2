import Checkers
import Node
import Primitives
import Raft

/// What was last seen of a machine's replica, so that the next look tells what changed.
struct LastSeen {
  var lastIndex = LogIndex.zero
  var facts: [LogFact] = []  // of entry i at [i - 1]
  var durable = LogIndex.zero
  var hardState = HardState()
  var isLeader = false
  var commit = LogIndex.zero
  var applied = LogIndex.zero
}

extension Simulation {
  /// A process started: what it found on its disk, `entries` of which not all need be in its memory.
  func observeStart(_ machine: Machine, _ entries: [Entry]) {
    guard let node = machine.node else { return }
    let raft = node.raft
    let log = entries.map { fact($0) }
    if log.count != Int(raft.lastIndex.rawValue - node.appliedIndex.rawValue) {
      fail("a process finds all of its log", "\(machine.id): \(log.count) entries after \(node.appliedIndex)")
    }
    if raft.cacheFloor > node.appliedIndex { counters.count(.startOnPartOfTheLog) }
    let recovery = Recovery(term: raft.term, vote: raft.vote?.node, applied: node.appliedIndex, log: log)
    note(.recovered(machine.id, recovery))
    var seen = machine.seen
    seen.facts.removeLast(max(0, seen.facts.count - Int(node.appliedIndex.rawValue)))
    seen.facts.append(contentsOf: log)
    seen.lastIndex = raft.lastIndex
    seen.durable = raft.durableIndex
    seen.hardState = raft.hardState
    seen.isLeader = false
    seen.commit = raft.commitIndex
    seen.applied = node.appliedIndex
    machine.seen = seen
  }

  /// After a step of the node: tells the tracker what changed.
  func observe(_ machine: Machine) {
    guard let node = machine.node, violation == nil else { return }
    let raft = node.raft
    observeLog(machine, raft)
    if raft.isHardStateDurable, raft.hardState != machine.seen.hardState {
      machine.seen.hardState = raft.hardState
      note(.votePersisted(machine.id, raft.term, vote: raft.vote?.node))
    }
    if raft.durableIndex != machine.seen.durable {
      machine.seen.durable = raft.durableIndex
      note(.logPersisted(machine.id, through: raft.durableIndex))
    }
    if raft.isLeader, !machine.seen.isLeader { note(.becameLeader(machine.id, raft.term)) }
    if machine.seen.isLeader, !raft.isLeader, raft.lastIndex > raft.commitIndex { counters.count(.leaderDeposed) }
    machine.seen.isLeader = raft.isLeader
    observeOwnEntries(machine, raft)
    observeProgress(machine, node, raft)
  }

  /// Entries of followers are seen before their persistence; a new leader's own first entry after its election.
  private func observeLog(_ machine: Machine, _ raft: RaftGroup) {
    if raft.isLeader, !machine.seen.isLeader { return }
    observeEntries(machine, raft)
  }

  private func observeOwnEntries(_ machine: Machine, _ raft: RaftGroup) { observeEntries(machine, raft) }

  private func observeEntries(_ machine: Machine, _ raft: RaftGroup) {
    var common = min(machine.seen.lastIndex, raft.lastIndex)
    while common > machine.seen.commit, raft.term(at: common) != machine.seen.facts[Int(common.rawValue) - 1].term {
      common = common.previous
    }
    guard common < raft.lastIndex || common < machine.seen.lastIndex else { return }
    if common < machine.seen.lastIndex { counters.count(.logCutOff) }
    machine.seen.facts.removeLast(machine.seen.facts.count - Int(common.rawValue))
    var index = common.next
    while index <= raft.lastIndex {
      let fact = fact(machine, raft, index)
      note(.appended(machine.id, index, fact))
      machine.seen.facts.append(fact)
      index = index.next
    }
    machine.seen.lastIndex = raft.lastIndex
  }

  private func observeProgress(_ machine: Machine, _ node: Node, _ raft: RaftGroup) {
    while machine.seen.commit < raft.commitIndex {
      machine.seen.commit = machine.seen.commit.next
      note(.committed(machine.id, machine.seen.commit, fact(machine, raft, machine.seen.commit), in: raft.term))
    }
    while machine.seen.applied < node.appliedIndex {
      machine.seen.applied = machine.seen.applied.next
      let checksum = fact(machine, raft, machine.seen.applied).checksum
      note(.applied(machine.id, machine.seen.applied, checksum: checksum))
      story.feed(UInt64(machine.index), machine.seen.applied.rawValue)
    }
    if node.appliedIndex < raft.commitIndex { counters.count(node.hasMoreToApply ? .applyGoesOn : .applyWaits) }
    compareState(machine, node)
  }

  private func compareState(_ machine: Machine, _ node: Node) {
    // Inside an entry as users see it; making a status each time would take long.
    let hash = node.isBetweenEntries ? node.totals.stateHash : node.ownStatus().replicas.first?.stateHash
    if node.isBetweenEntries, node.stateHash != hash {
      fail("the state hash is that of the applied index", "\(machine.id) at \(node.appliedIndex)")
    }
    guard let hash else { return }
    let found = equality.observe(
      node: machine.id, shard: Node.onlyShard, applied: node.appliedIndex, stateHash: hash)
    if let found { fail(found.rule, found.detail) }
  }

  /// An entry that is not in memory is the one that was found at the start.
  private func fact(_ machine: Machine, _ raft: RaftGroup, _ index: LogIndex) -> LogFact {
    if let entry = raft.entry(at: index) { return fact(entry) }
    guard index <= raft.cacheFloor, index.rawValue <= UInt64(machine.seen.facts.count) else {
      fail("the simulator sees the log", "entry \(index) is not in memory")
      return LogFact(term: .zero, checksum: 0)
    }
    return machine.seen.facts[Int(index.rawValue) - 1]
  }

  private func fact(_ entry: Entry) -> LogFact {
    let checksum = entry.payload.withUnsafeBytes { stableHash($0, seed: UInt64(entry.kind.rawValue)) }
    return LogFact(term: entry.term, checksum: checksum)
  }

  func note(_ fact: RaftFact) {
    guard violation == nil else { return }
    if let found = tracker.observe(fact) { fail(found.rule, found.detail) }
  }
}
