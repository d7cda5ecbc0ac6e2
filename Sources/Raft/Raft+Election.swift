// Elections: timers, pre-votes, votes.
//
// Why a voter is sticky: a leader serves reads for `leaseDuration` after sending what a quorum answered. Every member of
// that quorum votes for nobody for `electionTimeoutMin` after it received that, which is later and longer. Any quorum that
// elects another leader shares a member with it. The promise outlives changes of role and term, and a restart (there by
// the quarantine); only an election that the leader asked for passes it, and that leader gave up its lease first.

import Primitives

/// What a candidate counts.
struct Candidacy: Sendable {
  var granted: [Member]
  var refused: [Member] = []
  /// When unanswered requests are repeated.
  var resendAt: Instant
  var transfer = false
}

// MARK: Time

extension RaftGroup {
  /// When `.tick` is due at the latest.
  package var nextDeadline: Instant {
    switch state {
    case .follower: electionDeadline
    case .preCandidate(let candidacy), .candidate(let candidacy): min(electionDeadline, candidacy.resendAt)
    case .leader: leaderDeadline
    }
  }

  func handleTick(into effects: inout RaftEffects) {
    if leadership != nil { return tickLeader(into: &effects) }
    if clock >= electionDeadline { return startPreVote(into: &effects) }
    switch state {
    case .preCandidate(var candidacy) where clock >= candidacy.resendAt:
      candidacy.resendAt = clock + settings.heartbeatInterval
      state = .preCandidate(candidacy)
      requestPreVotes(into: &effects)
    case .candidate(var candidacy) where clock >= candidacy.resendAt:
      candidacy.resendAt = clock + settings.heartbeatInterval
      state = .candidate(candidacy)
      requestVotes(into: &effects)
    default: break
    }
  }

  /// Draws a new timeout and starts it.
  func resetElectionTimer() {
    let range = settings.electionTimeoutMax.rawValue - settings.electionTimeoutMin.rawValue
    electionTimeout = Nanoseconds(settings.electionTimeoutMin.rawValue + random.below(range + 1))
    electionDeadline = clock + electionTimeout
  }

  private var mayVote: Bool { clock >= quarantineUntil }
  private var isSticky: Bool { leadership != nil || clock < stickyUntil }
}

// MARK: Becoming a candidate

extension RaftGroup {
  private func startPreVote(into effects: inout RaftEffects) {
    resetElectionTimer()
    guard configuration.isVoter(me), mayVote else { return }
    state = .preCandidate(Candidacy(granted: [me], resendAt: clock + settings.heartbeatInterval))
    requestPreVotes(into: &effects)
    checkTally(into: &effects)
  }

  /// Starts an election in the next term. Requests leave once term and vote are durable, and with them all of the log,
  /// because orders are persisted in order.
  private func campaign(transfer: Bool, into effects: inout RaftEffects) {
    precondition(mayVote && configuration.isVoter(me), "only a voter past its quarantine campaigns")
    resetElectionTimer()
    setHardState(HardState(term: term.next, vote: me))
    state = .candidate(
      Candidacy(granted: [me], resendAt: clock + settings.heartbeatInterval, transfer: transfer))
    requestVotes(into: &effects)
  }

  private func requestPreVotes(into effects: inout RaftEffects) {
    guard case .preCandidate(let candidacy) = state else { return }
    let request = VoteRequest(lastIndex: log.lastIndex, lastTerm: log.lastTerm, transfer: false)
    for peer in unanswered(candidacy) { send(.preVote(request), to: peer, in: term.next, into: &effects) }
  }

  private func requestVotes(into effects: inout RaftEffects) {
    guard case .candidate(let candidacy) = state else { return }
    let request = VoteRequest(lastIndex: log.lastIndex, lastTerm: log.lastTerm, transfer: candidacy.transfer)
    for peer in unanswered(candidacy) { send(.vote(request), to: peer, into: &effects) }
  }

  private func unanswered(_ candidacy: Candidacy) -> [Member] {
    configuration.peers(of: me).filter {
      configuration.isVoter($0) && !candidacy.granted.contains($0) && !candidacy.refused.contains($0)
    }
  }

  /// The leader of this term asked this replica to take over.
  func handleTimeoutNow(_ message: RaftMessage, target: Member, into effects: inout RaftEffects) {
    guard target == me, message.term == term, leader == message.from else { return }
    guard mayVote, configuration.isVoter(me) else { return }
    campaign(transfer: true, into: &effects)
  }
}

// MARK: Answering

extension RaftGroup {
  func handlePreVote(_ message: RaftMessage, _ request: VoteRequest, into effects: inout RaftEffects) {
    guard mayVote, !isSticky else { return }
    let granted = message.term > term && log.isUpToDate(request.lastIndex, request.lastTerm)
    send(
      .preVoteReply(granted: granted), to: message.from, in: granted ? message.term : nil, into: &effects)
  }

  func handleVote(_ message: RaftMessage, _ request: VoteRequest, into effects: inout RaftEffects) {
    guard mayVote else { return }
    if message.term < term { return send(.voteReply(granted: false), to: message.from, into: &effects) }
    if isSticky, !request.transfer { return }
    if message.term > term { becomeFollower(in: message.term, leader: nil, into: &effects) }
    let isFree = vote == nil && leader == nil && log.isUpToDate(request.lastIndex, request.lastTerm)
    let granted = vote == message.from || isFree
    if granted {
      setHardState(HardState(term: term, vote: message.from))
      if role == .preCandidate { becomeFollower(in: term, leader: nil, into: &effects) }
      resetElectionTimer()
    }
    send(.voteReply(granted: granted), to: message.from, into: &effects)
  }
}

// MARK: Counting

extension RaftGroup {
  func handlePreVoteReply(_ message: RaftMessage, granted: Bool, into effects: inout RaftEffects) {
    if !granted, message.term > term { return becomeFollower(in: message.term, leader: nil, into: &effects) }
    guard case .preCandidate(var candidacy) = state, !granted || message.term == term.next else { return }
    candidacy.count(message.from, granted: granted)
    state = .preCandidate(candidacy)
    checkTally(into: &effects)
  }

  func handleVoteReply(_ message: RaftMessage, granted: Bool, into effects: inout RaftEffects) {
    if message.term > term { return becomeFollower(in: message.term, leader: nil, into: &effects) }
    guard case .candidate(var candidacy) = state, message.term == term else { return }
    candidacy.count(message.from, granted: granted)
    state = .candidate(candidacy)
    checkTally(into: &effects)
  }

  /// Acts on a decided vote. The candidate's own counts with its durability.
  func checkTally(into effects: inout RaftEffects) {
    switch state {
    case .preCandidate(let candidacy):
      switch configuration.outcome(granted: candidacy.granted, refused: candidacy.refused) {
      case .won: campaign(transfer: false, into: &effects)
      case .lost: becomeFollower(in: term, leader: nil, into: &effects)
      case .pending: break
      }
    case .candidate(let candidacy) where isHardStateDurable:
      switch configuration.outcome(granted: candidacy.granted, refused: candidacy.refused) {
      case .won: becomeLeader(into: &effects)
      case .lost: becomeFollower(in: term, leader: nil, into: &effects)
      case .pending: break
      }
    default: break
    }
  }
}

extension Candidacy {
  /// A member's first answer stands.
  mutating func count(_ member: Member, granted yes: Bool) {
    guard !granted.contains(member), !refused.contains(member) else { return }
    if yes { granted.append(member) } else { refused.append(member) }
  }
}

// MARK: Changing role

extension RaftGroup {
  /// Follows `leader` in `newTerm`, or nobody known yet.
  func becomeFollower(in newTerm: Term, leader: Member?, into effects: inout RaftEffects) {
    let wasFollower = role == .follower
    endLeadership(into: &effects)
    held.removeAll { $0.body.isElectionRequest }
    if newTerm > term { setHardState(HardState(term: newTerm)) }
    state = .follower(Following(leader: leader, verified: log.commitIndex))
    // A follower that only learned of a term keeps its timer: the sender of a worse log must not hold up a better one.
    if !wasFollower || leader != nil { resetElectionTimer() }
  }

  private func becomeLeader(into effects: inout RaftEffects) {
    precondition(vote == me && isHardStateDurable, "a leader's vote is its own and durable")
    let next = log.lastIndex.next
    leadership = Leadership(
      startedAt: clock, firstIndex: next, heartbeatAt: clock + settings.heartbeatInterval,
      followers: configuration.peers(of: me).map {
        Progress(member: $0, match: configuration.isVoter($0) ? heldByAll : .zero, next: next)
      })
    state = .leader
    refreshQuorumSentAt()
    effects.changes.append(.becameLeader(term))
    if configurationIndex == .zero {
      appendOwn(.configuration, configuration.encoded())
    } else {
      appendOwn(.noop, [])
    }
    feedAll(into: &effects)
    maybeCommit(into: &effects)
  }

  private func endLeadership(into effects: inout RaftEffects) {
    guard let ended = leadership else { return }
    leadership = nil
    effects.changes.append(.steppedDown(term))
    effects.readsRefused.append(contentsOf: ended.reads.all)
  }
}
