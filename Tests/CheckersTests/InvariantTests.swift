import Checkers
import Primitives
import Testing

@Suite struct InvariantTests {
  @Test(arguments: 0..<16) func aCorrectRaftBreaksNothing(seed: Int) {
    var raft = SpecRaft(seed: UInt64(seed), voters: seed % 2 == 0 ? 3 : 5)
    var tracker = InvariantTracker(voters: raft.nodes)
    for step in 0..<1000 {
      raft.facts.removeAll(keepingCapacity: true)
      raft.act()
      if let violation = tracker.observe(all: raft.facts) {
        Issue.record("seed \(seed) step \(step): \(violation)")
        return
      }
      if step % 25 == 0, let violation = checkRaftInvariants(raft.observations, voters: raft.nodes) {
        Issue.record("seed \(seed) step \(step), the slow way: \(violation)")
        return
      }
    }
    #expect(tracker.elections > 0 && tracker.committedThrough > LogIndex(5))
  }

  @Test(arguments: SpecRaft.Mistake.allCases) func everyMistakeIsFound(mistake: SpecRaft.Mistake) {
    var rules: [String: Int] = [:]
    for seed in 0..<12 {
      if let violation = run(seed: UInt64(seed), mistake) { rules[violation.rule, default: 0] += 1 }
    }
    #expect(rules.values.reduce(0, +) >= 6, "\(rules)")
    let expected =
      switch mistake {
      case .voteNotPersisted: "ElectedByDurableVotes"
      case .staleLogElected: "LeaderCompletenessInv"
      case .commitBeforeFlush, .truncateOnStaleAppend: "QuorumLogInv"
      case .applyTwice: "StateMachineSafety"
      case .acknowledgeEarly: "AckedIsCommitted"
      }
    #expect(rules[expected] != nil, "\(rules)")
  }

  private func run(seed: UInt64, _ mistake: SpecRaft.Mistake) -> Violation? {
    var raft = SpecRaft(seed: seed, voters: 5, mistake: mistake)
    var tracker = InvariantTracker(voters: raft.nodes)
    for _ in 0..<2000 {
      raft.facts.removeAll(keepingCapacity: true)
      raft.act()
      if let violation = tracker.observe(all: raft.facts) { return violation }
    }
    return nil
  }
}

/// Each rule by the shortest story that breaks it.
@Suite struct InvariantStoryTests {
  private let n1 = NodeID(1)
  private let n2 = NodeID(2)
  private let n3 = NodeID(3)
  private func i(_ index: UInt64) -> LogIndex { LogIndex(index) }
  private func entry(_ term: UInt64, _ checksum: UInt64) -> LogFact { LogFact(term: Term(term), checksum: checksum) }

  private func rule(_ facts: [RaftFact]) -> String? {
    var tracker = InvariantTracker(voters: [n1, n2, n3])
    return tracker.observe(all: facts)?.rule
  }

  private func elected(_ node: NodeID, _ term: UInt64, by voters: [NodeID]) -> [RaftFact] {
    voters.map { .votePersisted($0, Term(term), vote: node) } + [.becameLeader(node, Term(term))]
  }

  private func held(_ nodes: [NodeID], _ index: UInt64, _ entry: LogFact) -> [RaftFact] {
    nodes.flatMap { [.appended($0, i(index), entry), .logPersisted($0, through: i(index))] }
  }

  @Test func aPlainRunIsClean() {
    let facts =
      elected(n1, 1, by: [n1, n2]) + held([n1, n2, n3], 1, entry(1, 10)) + [
        .committed(n1, i(1), entry(1, 10), in: Term(1)), .applied(n1, i(1), checksum: 10),
        .acknowledged(i(1), checksum: 10),
      ]
    #expect(rule(facts) == nil)
  }

  @Test func twoLeadersOfATermAreFoundEvenFarApart() {
    let between = (2..<6).flatMap { elected(n2, $0, by: [n2, n3]) }
    let late: [RaftFact] = [.becameLeader(n2, Term(1))]
    #expect(rule(elected(n1, 1, by: [n1, n2]) + between + late) == "MoreThanOneLeaderInv")
  }

  @Test func aLeaderWithoutDurableVotes() {
    #expect(rule(elected(n1, 1, by: [n1])) == "ElectedByDurableVotes")
  }

  @Test func aVoteThatChanges() {
    #expect(rule(elected(n1, 1, by: [n1, n2]) + [.votePersisted(n2, Term(1), vote: n3)]) == "TermAndVoteDurability")
    #expect(rule(elected(n1, 2, by: [n1, n2]) + [.votePersisted(n2, Term(1), vote: nil)]) == "TermAndVoteDurability")
  }

  @Test func aVoteForgottenByACrash() {
    let recovery = Recovery(term: Term(1), vote: nil, applied: .zero, log: [])
    #expect(rule(elected(n1, 1, by: [n1, n2]) + [.crashed(n2), .recovered(n2, recovery)]) == "TermAndVoteDurability")
  }

  @Test func aDurableEntryForgottenByACrash() {
    let recovery = Recovery(term: Term(1), vote: n1, applied: .zero, log: [])
    let facts = elected(n1, 1, by: [n1, n2]) + held([n1, n2], 1, entry(1, 10)) + [.crashed(n2)]
    #expect(rule(facts + [.recovered(n2, recovery)]) == "PersistedIsRecovered")
  }

  @Test func anEntryThatItsLeaderDoesNotHave() {
    #expect(rule(elected(n1, 1, by: [n1, n2]) + held([n2], 1, entry(1, 10))) == "ElectionSafetyInv")
    #expect(rule(held([n2], 1, entry(1, 10))) == "ElectionSafetyInv")
  }

  @Test func oneIndexAndTermWithTwoContents() {
    let facts = elected(n1, 1, by: [n1, n2]) + held([n1], 1, entry(1, 10)) + held([n2], 1, entry(1, 11))
    #expect(rule(facts) == "LogMatchingInv")
  }

  @Test func aCommitThatIsNotDurableOnAMajority() {
    let facts = elected(n1, 1, by: [n1, n2]) + held([n1], 1, entry(1, 10)) + [.appended(n2, i(1), entry(1, 10))]
    #expect(rule(facts + [.committed(n1, i(1), entry(1, 10), in: Term(1))]) == "QuorumLogInv")
  }

  @Test func aCommittedEntryTruncatedFromTheMajority() {
    let facts =
      elected(n1, 1, by: [n1, n2]) + held([n1, n2], 1, entry(1, 10)) + held([n1, n2], 2, entry(1, 20)) + [
        .committed(n1, i(1), entry(1, 10), in: Term(1)), .committed(n1, i(2), entry(1, 20), in: Term(1)),
      ]
    #expect(rule(facts + held([n2], 1, entry(1, 10))) == "QuorumLogInv")
  }

  @Test func aLeaderWithoutACommittedEntry() {
    let facts =
      elected(n1, 1, by: [n1, n2]) + held([n1, n2], 1, entry(1, 10))
      + [.committed(n1, i(1), entry(1, 10), in: Term(1))]
    #expect(rule(facts + elected(n3, 2, by: [n2, n3])) == "LeaderCompletenessInv")
  }

  /// Figure 8 of the Raft paper: an entry of an older term committed by counting its copies, without one of the own term.
  @Test func anOldTermsEntryCommittedByCounting() {
    let (n4, n5) = (NodeID(4), NodeID(5))
    let facts =
      elected(n1, 2, by: [n1, n2, n3]) + held([n1, n2], 1, entry(2, 10)) + elected(n5, 3, by: [n3, n4, n5])
      + held([n5], 1, entry(3, 20)) + elected(n1, 4, by: [n1, n2, n3]) + held([n3], 1, entry(2, 10))
      + [.committed(n1, i(1), entry(2, 10), in: Term(4))]
    var tracker = InvariantTracker(voters: [n1, n2, n3, n4, n5])
    #expect(tracker.observe(all: facts) == nil)
    #expect(tracker.observe(all: elected(n5, 5, by: [n2, n3, n5]))?.rule == "LeaderCompletenessInv")
  }

  @Test func aLateCommitThatALaterLeaderLacks() {
    let facts =
      elected(n1, 1, by: [n1, n2]) + held([n1, n2], 1, entry(1, 10)) + elected(n3, 2, by: [n2, n3])
      + [.committed(n1, i(1), entry(1, 10), in: Term(1))]
    #expect(rule(facts) == "LeaderCompletenessInv")
  }

  @Test func applyingOutOfOrderTwiceOrTooEarly() {
    let facts =
      elected(n1, 1, by: [n1, n2]) + held([n1, n2], 1, entry(1, 10)) + held([n1, n2], 2, entry(1, 20))
      + [.committed(n1, i(1), entry(1, 10), in: Term(1))]
    let once: [RaftFact] = [.applied(n1, i(1), checksum: 10)]
    #expect(rule(facts + once) == nil)
    #expect(rule(facts + once + once) == "StateMachineSafety")
    #expect(rule(facts + once + [.applied(n1, i(2), checksum: 20)]) == "StateMachineSafety")
    #expect(rule(facts + [.applied(n1, i(1), checksum: 11)]) == "StateMachineSafety")
    #expect(rule(facts + [.acknowledged(i(2), checksum: nil)]) == "AckedIsCommitted")
  }

  @Test func aSnapshotStandsForTheEntriesItReplaces() {
    let facts =
      elected(n1, 1, by: [n1, n2]) + held([n1, n2], 1, entry(1, 10)) + held([n1, n2], 2, entry(1, 20)) + [
        .committed(n1, i(1), entry(1, 10), in: Term(1)), .committed(n1, i(2), entry(1, 20), in: Term(1)),
      ]
    #expect(rule(facts + [.installed(n3, through: i(2), Term(1))] + held([n1, n3], 3, entry(1, 30))) == nil)
    #expect(rule(facts + [.installed(n3, through: i(3), Term(1))]) == "LogInv")
  }
}

@Suite struct PictureTests {
  private func replica(
    _ node: UInt32, _ terms: [UInt64], committed: UInt64 = 0, role: ReplicaObservation.Role = .follower,
    term: UInt64 = 1,
    durable: UInt64? = nil
  ) -> ReplicaObservation {
    ReplicaObservation(
      node: NodeID(node), term: Term(term), role: role,
      log: terms.enumerated().map { LogFact(term: Term($1), checksum: UInt64($0)) }, committed: LogIndex(committed),
      applied: .zero, durable: LogIndex(durable ?? UInt64(terms.count)))
  }

  private func rule(_ replicas: [ReplicaObservation]) -> String? {
    checkRaftInvariants(replicas, voters: [NodeID(1), NodeID(2), NodeID(3)])?.rule
  }

  @Test func eachRuleHasAPictureThatBreaksIt() {
    #expect(rule([replica(1, [1, 1], committed: 2, role: .leader), replica(2, [1, 1]), replica(3, [])]) == nil)
    #expect(rule([replica(1, [1], committed: 2)]) == "StateMachineSafety")
    #expect(rule([replica(1, [1], role: .leader), replica(2, [1], role: .leader)]) == "MoreThanOneLeaderInv")
    #expect(rule([replica(1, [1], role: .leader), replica(2, [1, 1])]) == "ElectionSafetyInv")
    #expect(rule([replica(1, [1, 2]), replica(2, [2, 2])]) == "LogMatchingInv")
    #expect(rule([replica(1, [1], committed: 1), replica(2, [1], durable: 0), replica(3, [])]) == "QuorumLogInv")
    #expect(
      rule([replica(1, [1], committed: 1), replica(2, [1]), replica(3, [2])]) == "MoreUpToDateCorrectInv")
    #expect(rule([replica(1, [1], committed: 1), replica(2, [2], committed: 1), replica(3, [])]) != nil)
  }
}
