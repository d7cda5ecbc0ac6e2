// # Raft: one group agrees on an order of opaque commands
//
// A `RaftGroup` is one replica of one shard. It knows neither bytes on disk nor what a command means, performs no I/O and
// reads no clock: facts go in through `step` (and `propose`), orders come out as `RaftEffects`, and the caller carries
// them out. The same replica, fed the same facts, gives the same orders, in production and in a simulation.
//
// ## How it works
//
// *Election* (Raft+Election.swift). Nobody campaigns before a pre-vote has shown that a quorum would vote; nobody votes
// within `electionTimeoutMin` of hearing from a leader, or of its own start, because that leader may be serving reads
// under the lease that it derives from the answer. Timeouts are drawn at random.
//
// *Replication* (Raft+Replication.swift, Raft+Following.swift, Progress.swift). The leader sends entries ahead of the
// acknowledgements, bounded per follower. A follower that lost something says where the logs may still agree; the leader
// goes back to there in one or two steps. Entries long applied leave the memory, and a start need not take all into it; for
// a follower that needs such an entry the leader orders it from the journal.
//
// *Durability is an event.* A vote, a request for votes and an acknowledgement speak of a term, a vote, entries; they
// leave only after `.persisted` covered those. So no driver can put them into the wrong order. The leader's own disk is
// one vote among the voters: it may commit what a quorum of others holds before its own write has ended.
//
// *Commit* (Raft+Commit.swift). Only an entry of the leader's own term commits by counting; it takes all before it along.
// A term starts with an entry of its own: the configuration if the log has none yet, otherwise a noop.
//
// *Reads* (Raft+Reads.swift). The leader's lease lasts `leaseDuration` from the moment of *sending* what a quorum
// answered, and begins once an entry of its term is committed. Without it a round of confirmations by a quorum serves
// all reads that waited when it started.
//
// *Transfer* (Raft+Transfer.swift). The leader stops accepting proposals, waits until the target has all, tells it to
// campaign, and never again trusts its lease in that term.
//
// *Membership* (Configuration.swift, Quorum.swift). The configuration is an entry and in force once appended. Messages
// count only from its members, in the incarnation that it names.
//
// ## Invariants (checked by `checkInvariants`)
//
// 1. applied <= commit <= last index; heldByAll <= commit; durable <= last index.
// 2. The term is at least that of every entry; a vote is only cast in a term above zero.
// 3. Leadership exists exactly while the role is leader; a leader's term is durable and its vote is its own.
// 4. A candidate's vote is its own.
// 5. For each follower match < next <= last index + 1, and what is in flight is within its limits.
// 6. A message waits only while the hard state that it speaks of is not durable; at most one of a kind to each member.
// 7. Reads wait only at a leader.
// 8. The configuration in force is that of the last configuration entry of the log, and has voters.
// 9. No term is known twice, no entry is missing between the floor and the last index, budgets are counted exactly.
//
// ## What it does not do yet
//
// It does not change its members (the types and the quorum arithmetic are joint already), and it cannot help a follower
// that needs entries which the journal no longer has: keep them until `heldByAll` has passed them (`retainedFrom`).

import DequeModule
import Primitives

package final class RaftGroup {
  package enum Role: Equatable, Sendable {
    case follower
    case preCandidate
    case candidate
    case leader
  }

  /// What is remembered in each role, and no longer.
  enum State: Sendable {
    /// To pre-candidate when no leader was heard from for an election timeout; to candidate when told to by the leader.
    case follower(Following)
    /// To candidate when a quorum would vote; to follower on a leader, a higher term, or when a quorum would not.
    case preCandidate(Candidacy)
    /// To leader when a quorum voted; otherwise as above.
    case candidate(Candidacy)
    /// To follower on a higher term or without a quorum. Its fields stand in `leadership`, to be changed in place.
    case leader
  }

  struct ConfigurationAt: Equatable, Sendable {
    var index: LogIndex
    var configuration: Configuration
  }

  package let shard: ShardID
  package let me: Member
  package let settings: RaftSettings

  package internal(set) var hardState: HardState
  var log: RaftLog
  /// The configurations of the log from the last applied one on; the last is in force.
  var configurations: [ConfigurationAt]
  var state: State
  var leadership: Leadership?
  package internal(set) var heldByAll: LogIndex
  /// What this replica was last told of its own room.
  package internal(set) var room = RoomLevel.ample

  // What leaves when.
  var lastOrder: PersistID = 0
  var persistedOrder: PersistID = 0
  /// The order that makes the present hard state durable.
  var hardStateOrder: PersistID = 0
  var hardStateChanged = false
  /// The first entry that this step appended.
  var unsavedFrom: LogIndex?
  /// Messages that speak of a hard state that is not durable yet.
  var held: [RaftMessage] = []
  var lastLoad: UInt64 = 0
  var announcedLeader: Member?
  var announcedTerm: Term

  // Time and chance.
  /// The latest time handed in.
  var clock: Instant
  var random: SeededRandom
  /// Since this replica started, so that it keeps promises that it forgot: until then neither a vote nor a campaign. The only voter
  /// that a group ever had, as far as its log goes back, has promised nobody anything: it need not wait.
  let quarantineUntil: Instant
  /// The promise to the leader heard from last: until then no vote, except when a leader asked for the election.
  var stickyUntil: Instant
  var electionTimeout: Nanoseconds
  var electionDeadline: Instant

  package init(
    shard: ShardID, me: Member, settings: RaftSettings, restored: RestoredGroup, random: SeededRandom, now: Instant
  ) {
    settings.check()
    self.shard = shard
    self.me = me
    self.settings = settings
    hardState = restored.hardState
    log = RaftLog(
      appliedIndex: restored.appliedIndex, appliedTerm: restored.appliedTerm,
      committedIndex: restored.committedIndex, lastIndex: restored.lastIndex, terms: restored.terms,
      entries: restored.entries)
    precondition(hardState.term >= log.lastTerm, "a term is durable before its entries")
    precondition(restored.configurationIndex <= restored.appliedIndex, "the configuration is of the checkpoint")
    configurations = [ConfigurationAt(index: restored.configurationIndex, configuration: restored.configuration)]
    heldByAll = restored.logStart > LogIndex(1) ? min(restored.logStart, restored.appliedIndex) : .zero
    announcedTerm = restored.hardState.term
    clock = now
    self.random = random
    let isAlone = restored.hasOnlyVoter(me)
    quarantineUntil = isAlone ? now : now + settings.electionTimeoutMin
    stickyUntil = .zero
    electionTimeout = settings.electionTimeoutMin
    electionDeadline = .never
    state = .follower(Following(leader: nil, verified: restored.committedIndex))
    for entry in restored.configurations { adopt(entry) }
    forgetConfigurations(appliedThrough: restored.committedIndex)
    resetElectionTimer()
    if isAlone { electionDeadline = now }
  }
}

// MARK: What a caller may know

extension RaftGroup {
  package var role: Role {
    switch state {
    case .follower: .follower
    case .preCandidate: .preCandidate
    case .candidate: .candidate
    case .leader: .leader
    }
  }

  package var isLeader: Bool { leadership != nil }
  package var term: Term { hardState.term }
  package var vote: Member? { hardState.vote }

  /// The leader of this term, as far as known.
  package var leader: Member? {
    switch state {
    case .follower(let following): following.leader
    case .preCandidate, .candidate: nil
    case .leader: me
    }
  }

  package var lastIndex: LogIndex { log.lastIndex }
  package var lastTerm: Term { log.lastTerm }
  package var commitIndex: LogIndex { log.commitIndex }
  package var commitTerm: Term? { log.term(at: log.commitIndex) }
  package var appliedIndex: LogIndex { log.appliedIndex }
  package var durableIndex: LogIndex { log.durableIndex }
  /// The last index that is not in memory.
  package var cacheFloor: LogIndex { log.floor }
  package var cachedBytes: Int { log.cachedBytes }
  package var unappliedBytes: Int { log.unappliedBytes }
  /// The oldest entry that the journal must keep: the last one held by all voters, whose term a follower may be asked for.
  package var retainedFrom: LogIndex { heldByAll == .zero ? LogIndex(1) : heldByAll }

  package var configuration: Configuration { configurations[configurations.count - 1].configuration }
  package var configurationIndex: LogIndex { configurations[configurations.count - 1].index }

  /// The configuration as of `appliedIndex`, and where it stands: what a checkpoint of that index has to name. One that
  /// was appended later may yet be cut off.
  package var appliedConfiguration: (index: LogIndex, configuration: Configuration) {
    (configurations[0].index, configurations[0].configuration)
  }

  package var isTransferring: Bool { leadership?.transfer != nil }

  /// The term of an entry, if it is known without reading the journal.
  package func term(at index: LogIndex) -> Term? { log.term(at: index) }

  /// An entry that is still in memory.
  package func entry(at index: LogIndex) -> Entry? {
    index > log.floor && index <= log.lastIndex ? log[index] : nil
  }

  /// What a leader knows about a follower, for status pages.
  package struct FollowerStatus: Equatable, Sendable {
    package var member: Member
    package var match: LogIndex
    package var next: LogIndex
    package var isProbing: Bool
    package var inflightBytes: Int
    /// When the newest answered message was sent, on the leader's clock; zero before the first answer of the term.
    package var answeredSentAt: Instant
    package var room: RoomLevel
  }

  /// Ascending by member; empty at anybody but the leader.
  package var followers: [FollowerStatus] {
    (leadership?.followers ?? []).map {
      FollowerStatus(
        member: $0.member, match: $0.match, next: $0.next, isProbing: $0.isProbing, inflightBytes: $0.inflightBytes,
        answeredSentAt: $0.answeredSentAt, room: $0.room)
    }
  }

  /// At the leader, of the other voters heard from within `quorumTimeout`: what each said of its room.
  package func forEachVoterHeard(_ body: (Member, RoomLevel) -> Void) {
    for follower in leadership?.followers ?? [] {
      guard configuration.isVoter(follower.member), follower.answeredSentAt > .zero,
        follower.answeredSentAt + settings.quorumTimeout >= clock
      else { continue }
      body(follower.member, follower.room)
    }
  }
}
