import Primitives

// # The invariants of Raft, over a whole run
//
// The tracker is told facts about one shard's replicas and keeps what is needed to check each fact when it comes, in time
// proportional to the change:
//
// | rule | how it is checked |
// | --- | --- |
// | MoreThanOneLeaderInv | a table of who led which term, never forgotten |
// | ElectedByDurableVotes | a leader has the durable votes of a majority of the voters |
// | ElectionSafetyInv | an appended entry of term t is not above what the leader of t appended |
// | LogMatchingInv | an (index, term) has one checksum and one term before it, for ever: by induction logs match |
// | LogInv | one committed log for all; every commit is compared with it, so nothing committed is taken back |
// | QuorumLogInv | an entry is durable on a majority when first committed, and again when a copy of it is lost |
// | LeaderCompletenessInv | a new leader holds what was committed in terms before its own; a late commit is held by leaders since |
// | StateMachineSafety | applied in order, once, what was committed, after it was committed |
// | TermAndVoteDurability | durable terms and votes never go back, nor across a crash |
// | PersistedIsRecovered | what was reported durable is found after a crash |
// | AckedIsCommitted | what a client was told is in the committed log |
//
// CommittedIsDurableInv follows from QuorumLogInv here, because only durable copies count. Not checked: that a voter's
// log contains the committed prefix of the one it voted for (it is false). Not known here: disks that are wiped, and logs
// that lose what was durable through damage; such a replica is to be told to the tracker under a new node id.
//
// The memory grows with the log (about 100 bytes an entry and replica): made for runs of thousands of entries.

/// Checks facts about the replicas of one shard as they come. A violation is returned once, with the fact that showed it;
/// the tracker must not be used after it.
package struct InvariantTracker: Sendable {
  struct Replica: Sendable {
    /// Entry i stands at `log[i - 1]`; nil below a snapshot whose entries nobody has shown to us.
    var log: [LogFact?] = []
    var durable = LogIndex.zero
    var committed = LogIndex.zero
    var applied = LogIndex.zero
    /// The highest index ever applied: a checkpoint cannot hold more.
    var appliedEver = LogIndex.zero
    var durableTerm = Term.zero
    var durableVote: NodeID?
    /// Durable votes given, by term.
    var votes: [Term: NodeID] = [:]
    var isUp = true
  }

  struct Leadership: Sendable {
    let term: Term
    let node: NodeID
    /// The log at the election.
    let lastIndex: LogIndex
    let lastTerm: Term
    /// The last index appended as leader.
    var appended: LogIndex
  }

  struct Committed: Sendable {
    let fact: LogFact
    /// No later term than this one can have committed it first.
    var inTerm: Term
  }

  struct Position: Hashable, Sendable {
    let index: LogIndex
    let term: Term
  }

  struct Origin: Sendable {
    let checksum: UInt64
    let previousTerm: Term
    let node: NodeID
  }

  var replicas: [Replica] = []
  /// Ascending by term.
  var leaders: [Leadership] = []
  /// Entry i stands at `committed[i - 1]`.
  var committed: [Committed] = []
  var origins: [Position: Origin] = [:]
  var voters: [NodeID]
  var outgoing: [NodeID] = []
  private var places: [NodeID: Int] = [:]

  package init(voters: [NodeID]) { self.voters = voters }

  /// The last index that any replica reported as committed.
  package var committedThrough: LogIndex { LogIndex(UInt64(committed.count)) }
  /// How many elections were won.
  package var elections: Int { leaders.count }

  /// Takes in one fact; the rule that it breaks, if any.
  package mutating func observe(_ fact: RaftFact) -> Violation? {
    switch fact {
    case .appended(let node, let index, let entry): appended(place(of: node), node, index, entry)
    case .logPersisted(let node, let index): logPersisted(place(of: node), node, index)
    case .votePersisted(let node, let term, let vote): votePersisted(place(of: node), node, term, vote)
    case .becameLeader(let node, let term): becameLeader(place(of: node), node, term)
    case .committed(let node, let index, let entry, let term): committed(place(of: node), node, index, entry, term)
    case .applied(let node, let index, let checksum): applied(place(of: node), node, index, checksum)
    case .acknowledged(let index, let checksum): acknowledged(index, checksum)
    case .installed(let node, let index, let term): installed(place(of: node), node, index, term)
    case .crashed(let node): crashed(place(of: node))
    case .recovered(let node, let recovery): recovered(place(of: node), node, recovery)
    case .configured(let voters, let outgoing): configured(voters, outgoing)
    }
  }

  /// Takes in facts up to the first violation.
  package mutating func observe(all facts: [RaftFact]) -> Violation? {
    for fact in facts {
      if let violation = observe(fact) { return violation }
    }
    return nil
  }

  private mutating func place(of node: NodeID) -> Int {
    if let place = places[node] { return place }
    places[node] = replicas.count
    replicas.append(Replica())
    return replicas.count - 1
  }

  private mutating func configured(_ voters: [NodeID], _ outgoing: [NodeID]) -> Violation? {
    self.voters = voters
    self.outgoing = outgoing
    return nil
  }

  /// Whether those voters of whom `holds` is true are a quorum: a majority of the voters, and of the outgoing ones.
  func isQuorum(_ holds: (Replica) -> Bool) -> Bool {
    isMajority(voters, holds) && (outgoing.isEmpty || isMajority(outgoing, holds))
  }

  private func isMajority(_ group: [NodeID], _ holds: (Replica) -> Bool) -> Bool {
    let count = group.count { node in places[node].map { holds(replicas[$0]) } ?? false }
    return count > group.count / 2
  }
}

extension InvariantTracker.Replica {
  /// What stands at `index`, nil when nothing does or nobody knows.
  func entry(at index: LogIndex) -> LogFact? {
    index.rawValue >= 1 && index.rawValue <= UInt64(log.count) ? log[Int(index.rawValue) - 1] : nil
  }

  var lastIndex: LogIndex { LogIndex(UInt64(log.count)) }
}
