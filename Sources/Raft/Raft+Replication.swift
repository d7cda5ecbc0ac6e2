// The leader's side of replication: what to send to whom, and what the answers mean.

import Primitives

/// What only a leader has.
struct Leadership: Sendable {
  let startedAt: Instant
  /// The entry that began the term.
  let firstIndex: LogIndex
  var heartbeatAt: Instant
  /// All other members, ascending.
  var followers: [Progress]
  /// A quorum follows since this time at least; zero before a quorum answered in this term.
  var quorumSentAt = Instant.zero
  /// Told somebody to campaign: no lease for the rest of the term.
  var leaseEnded = false
  var reads = ReadQueue()
  var transfer: Transfer?

  init(startedAt: Instant, firstIndex: LogIndex, heartbeatAt: Instant, followers: [Progress]) {
    self.startedAt = startedAt
    self.firstIndex = firstIndex
    self.heartbeatAt = heartbeatAt
    self.followers = followers
  }

  func position(of member: Member) -> Int? { followers.firstIndex { $0.member == member } }
}

// MARK: Time

extension RaftGroup {
  var leaderDeadline: Instant {
    min(leadership?.heartbeatAt ?? .never, quorumDeadline, leadership?.transfer?.deadline ?? .never)
  }

  func tickLeader(into effects: inout RaftEffects) {
    if clock >= quorumDeadline { return becomeFollower(in: term, leader: nil, into: &effects) }
    if let transfer = leadership?.transfer, clock >= transfer.deadline { abandonTransfer(into: &effects) }
    guard let due = leadership?.heartbeatAt, clock >= due else { return }
    leadership?.heartbeatAt = clock + settings.heartbeatInterval
    heartbeatAll(into: &effects)
  }

  /// When the leader steps down unless a quorum answers. Counted from the time of sending, so that answers which lay
  /// around while this process was stopped prove nothing.
  private var quorumDeadline: Instant {
    guard let quorumSentAt = leadership?.quorumSentAt, let startedAt = leadership?.startedAt else { return .never }
    return max(quorumSentAt, startedAt) + settings.quorumTimeout
  }

  /// A quorum has answered something sent at this time or later; the leader itself always has. Kept, since every leased
  /// read asks for it.
  func refreshQuorumSentAt() {
    let sentAt = configuration.quorumValue { member in
      member == me ? Instant.never.nanoseconds : (progress(of: member)?.answeredSentAt.nanoseconds ?? 0)
    }
    leadership?.quorumSentAt = Instant(nanoseconds: sentAt)
  }

  func progress(of member: Member) -> Progress? {
    leadership?.followers.first { $0.member == member }
  }
}

// MARK: Sending

extension RaftGroup {
  @discardableResult
  func appendOwn(_ kind: EntryKind, _ payload: [UInt8]) -> LogIndex {
    let entry = Entry(index: log.lastIndex.next, term: term, kind: kind, payload: payload)
    appendToLog([entry])
    return entry.index
  }

  private var followerCount: Int { leadership?.followers.count ?? 0 }

  func feedAll(into effects: inout RaftEffects) {
    for i in 0..<followerCount { feed(i, into: &effects) }
  }

  /// Sends follower `i` all that it may be sent now; orders from disk what is not in memory.
  func feed(_ i: Int, into effects: inout RaftEffects) {
    while let next = nextToSend(i) {
      guard let previousTerm = previousTerm(i), next > log.floor else { return feedFromDisk(i, into: &effects) }
      let entries = log.entries(from: next, bytesMax: settings.appendBytesMax)
      sendAppend(i, previousTerm, entries, into: &effects)
    }
  }

  /// The next index for follower `i`, if something may and need be sent.
  private func nextToSend(_ i: Int) -> LogIndex? {
    guard let next = leadership?.followers[i].next, leadership?.followers[i].load == nil,
      leadership?.followers[i].maySend(settings) == true
    else { return nil }
    return next <= log.lastIndex || leadership?.followers[i].isProbing == true ? next : nil
  }

  /// The term of the entry before the next one for follower `i`, if it is known.
  private func previousTerm(_ i: Int) -> Term? {
    guard let previous = leadership?.followers[i].next.previous else { return nil }
    if let term = log.term(at: previous) { return term }
    guard let loaded = leadership?.followers[i].loadedPrevious, loaded.index == previous else { return nil }
    return loaded.term
  }

  private func sendAppend(_ i: Int, _ previousTerm: Term, _ entries: [Entry], into effects: inout RaftEffects) {
    guard let next = leadership?.followers[i].next else { return }
    leadership?.followers[i].sent(entries)
    send(i, after: next.previous, previousTerm, entries, into: &effects)
  }

  func heartbeatAll(into effects: inout RaftEffects) {
    for i in 0..<followerCount { heartbeat(i, into: &effects) }
  }

  /// An append without entries, whatever is in flight: it carries commit, lease and read round, is answered at once, and
  /// a rejection of it shows that something was lost. Then what else may be sent. A new probe takes its place.
  private func heartbeat(_ i: Int, into effects: inout RaftEffects) {
    let sent = effects.messages.count
    if leadership?.followers[i].isProbing == true { feed(i, into: &effects) }
    if effects.messages.count > sent { return }
    if let next = leadership?.followers[i].next, let previousTerm = previousTerm(i) {
      send(i, after: next.previous, previousTerm, [], into: &effects)
    } else {
      send(i, after: .zero, .zero, [], into: &effects)
    }
    feed(i, into: &effects)
  }

  private func send(
    _ i: Int, after previous: LogIndex, _ previousTerm: Term, _ entries: [Entry], into effects: inout RaftEffects
  ) {
    guard let member = leadership?.followers[i].member, let round = leadership?.reads.round else { return }
    let append = Append(
      previousIndex: previous, previousTerm: previousTerm, entries: entries, commit: log.commitIndex,
      heldByAll: heldByAll, sentAt: clock, readRound: round)
    send(.append(append), to: member, into: &effects)
  }
}

// MARK: Entries from disk

extension RaftGroup {
  /// Orders the next entries, with the one before them when its term is not known.
  private func feedFromDisk(_ i: Int, into effects: inout RaftEffects) {
    guard let next = leadership?.followers[i].next else { return }
    let from = previousTerm(i) == nil ? next.previous : next
    precondition(from <= log.floor, "terms are known from the floor on")
    lastLoad += 1
    let order = LoadOrder(
      shard: shard, id: lastLoad, from: from, through: log.floor, bytesMax: settings.appendBytesMax)
    leadership?.followers[i].load = order
    effects.loads.append(order)
  }

  func handleLoaded(_ order: LoadOrder, _ entries: [Entry], into effects: inout RaftEffects) {
    guard let i = leadership?.followers.firstIndex(where: { $0.load == order }) else { return }
    leadership?.followers[i].load = nil
    // An empty answer is asked for again with the next heartbeat, not at once: the disk has trouble.
    guard let first = entries.first, first.index == order.from else { return }
    sendLoaded(i, entries[...], into: &effects)
    feed(i, into: &effects)
  }

  /// Sends loaded entries if they are still what comes next; what is stale is dropped.
  private func sendLoaded(_ i: Int, _ loaded: ArraySlice<Entry>, into effects: inout RaftEffects) {
    guard let next = leadership?.followers[i].next else { return }
    var rest = loaded
    if let first = rest.first, first.index.next == next, previousTerm(i) == nil {
      leadership?.followers[i].loadedPrevious = (first.index, first.term)
      rest = rest.dropFirst()
    }
    guard let first = rest.first, let last = rest.last, first.index == next, let previousTerm = previousTerm(i),
      leadership?.followers[i].maySend(settings) == true
    else { return }
    sendAppend(i, previousTerm, Array(rest), into: &effects)
    leadership?.followers[i].loadedPrevious = (last.index, last.term)
  }
}

// MARK: Answers

extension RaftGroup {
  func handleAppendReply(_ message: RaftMessage, _ reply: AppendReply, into effects: inout RaftEffects) {
    if message.term > term { return becomeFollower(in: message.term, leader: nil, into: &effects) }
    guard message.term == term, let i = leadership?.position(of: message.from) else { return }
    guard reply.sentAt <= clock else { return }
    let provenAt = provenTime(reply)
    leadership?.followers[i].heard(sentAt: provenAt, readRound: reply.readRound, room: reply.room)
    refreshQuorumSentAt()
    switch reply.outcome {
    case .accepted(let match, let received):
      guard match <= received, received <= log.lastIndex else { return }
      leadership?.followers[i].accepted(match: match, received: received)
      maybeCommit(into: &effects)
      maybeHandOver(into: &effects)
    case .rejected(let previousIndex, let hintIndex, let hintTerm):
      let agreed = log.terms.lastIndex(atOrBefore: hintIndex, termAtMost: hintTerm)
      leadership?.followers[i].rejected(previousIndex: previousIndex, agreed: agreed)
    }
    maybeAnswerReads(into: &effects)
    feed(i, into: &effects)
  }

  /// The time at which the sender of an answer certainly followed: when what it answers was sent.
  private func provenTime(_ reply: AppendReply) -> Instant {
    #if PLANTED_BUGS
      if PlantedBug.leaseFromReceipt.isPlanted { return clock }
    #endif
    return reply.sentAt
  }

  func handleUnreachable(_ member: Member, into effects: inout RaftEffects) {
    guard let i = leadership?.position(of: member) else { return }
    leadership?.followers[i].unreachable()
  }
}
