// The follower's side of replication: check, append, acknowledge what is durable.

import Primitives

/// What a follower remembers of the leader of its term.
struct Following: Sendable {
  var leader: Member?
  /// The log equals the leader's through here; at first what is committed, which every leader has.
  var verified: LogIndex
  /// An acknowledgement waits for entries to become durable.
  var owesAcknowledgement = false
  /// The leader was told to send no more entries, and waits to hear that it may.
  var hasRefusedEntries = false
  /// Of the newest append received in this term, for the answer.
  var newestSentAt = Instant.zero
  var newestRound: UInt64 = 0
}

extension RaftGroup {
  func handleAppend(_ message: RaftMessage, _ append: Append, into effects: inout RaftEffects) {
    guard append.isWellFormed(in: message.term) else { return }
    if message.term < term { return refuseOldLeader(message.from, append, into: &effects) }
    guard var following = follow(message, append, into: &effects) else { return }
    if let hint = mismatch(append) {
      state = .follower(following)
      let outcome = AppendReply.Outcome.rejected(
        previousIndex: append.previousIndex, hintIndex: hint.index, hintTerm: hint.term)
      return reply(outcome, to: message.from, following, into: &effects)
    }
    let through = take(append)
    following.verified = max(following.verified, through)
    following.owesAcknowledgement = following.owesAcknowledgement || through > log.durableIndex
    state = .follower(following)
    heldByAll = max(heldByAll, min(append.heldByAll, append.commit, following.verified))
    if min(append.commit, following.verified) > log.commitIndex {
      commit(through: min(append.commit, following.verified), into: &effects)
    }
    if append.entries.isEmpty || through <= log.durableIndex { acknowledge(into: &effects) }
  }

  /// Recognises the leader of this term, and what is newest of it.
  private func follow(
    _ message: RaftMessage, _ append: Append, into effects: inout RaftEffects
  ) -> Following? {
    precondition(leadership == nil || message.term > term, "at most one leader in a term")
    if message.term > term || leader == nil { becomeFollower(in: message.term, leader: message.from, into: &effects) }
    guard case .follower(var following) = state else { return nil }
    precondition(following.leader == message.from, "at most one leader in a term")
    // What was sent before the newest is late news: it is used, but is no sign of life.
    if append.sentAt >= following.newestSentAt {
      following.newestSentAt = append.sentAt
      stickyUntil = max(stickyUntil, clock + settings.electionTimeoutMin)
      electionDeadline = clock + electionTimeout
    }
    following.newestRound = max(following.newestRound, append.readRound)
    return following
  }

  /// Nil when the log holds the entry before the message's; else the last place where the logs may agree.
  private func mismatch(_ append: Append) -> (index: LogIndex, term: Term)? {
    let previous = append.previousIndex
    if previous <= log.commitIndex { return nil }
    if previous <= log.lastIndex, log.term(at: previous) == append.previousTerm { return nil }
    let found = log.terms.lastIndex(atOrBefore: min(previous, log.lastIndex), termAtMost: append.previousTerm)
    let index = max(found, log.commitIndex)
    guard let term = log.term(at: index) else { preconditionFailure("terms are known from the commit index on") }
    return (index, term)
  }

  /// Appends what is new; cuts off only from a real conflict on. Returns through where the message verified the log.
  private func take(_ append: Append) -> LogIndex {
    let entries = append.entries
    var known = 0
    while known < entries.count, entries[known].index <= log.lastIndex {
      let index = entries[known].index
      if index > log.commitIndex, log.term(at: index) != entries[known].term { break }
      known += 1
    }
    guard known < entries.count, takesEntries else { return append.previousIndex + UInt64(known) }
    appendToLog(entries[known...])
    return append.previousIndex + UInt64(entries.count)
  }

  /// Entries that are not taken are no failure: the answer says that the leader is to hold them back.
  private var takesEntries: Bool { !isBehindWithApplying && room != .exhausted }

  /// Refuse more entries while applying has much to do. What is not yet committed never makes a follower refuse: the
  /// leader bounds it, and needs it acknowledged to commit it.
  private var isBehindWithApplying: Bool {
    log.unappliedBytes > settings.unappliedBytesMax && log.appliedIndex < log.commitIndex
  }

  // MARK: Answers

  /// Something was applied, or there is room again: the leader need not wait for its next heartbeat to hear of it.
  func maybeTakeEntriesAgain(into effects: inout RaftEffects) {
    guard case .follower(let following) = state, following.hasRefusedEntries, takesEntries else { return }
    acknowledge(into: &effects)
  }

  /// Something became durable.
  func maybeAcknowledge(into effects: inout RaftEffects) {
    guard case .follower(let following) = state, following.owesAcknowledgement else { return }
    acknowledge(into: &effects)
  }

  /// Claims what is durable of what this leader has shown to be in its log, and no more.
  private func acknowledge(into effects: inout RaftEffects) {
    guard case .follower(var following) = state, let leader = following.leader else { return }
    let match = min(log.durableIndex, following.verified)
    following.owesAcknowledgement = match < following.verified
    state = .follower(following)
    reply(.accepted(match: match, received: following.verified), to: leader, following, into: &effects)
  }

  private func reply(
    _ outcome: AppendReply.Outcome, to leader: Member, _ following: Following, into effects: inout RaftEffects
  ) {
    var following = following
    following.hasRefusedEntries = !takesEntries
    state = .follower(following)
    let reply = AppendReply(
      outcome: outcome, sentAt: following.newestSentAt, readRound: following.newestRound,
      room: takesEntries ? room : .exhausted)
    send(.appendReply(reply), to: leader, into: &effects)
  }

  /// A leader of an old term learns of the new one, so that a replica which is ahead by a failed election is not cut off.
  private func refuseOldLeader(_ from: Member, _ append: Append, into effects: inout RaftEffects) {
    let outcome = AppendReply.Outcome.rejected(
      previousIndex: append.previousIndex, hintIndex: log.commitIndex, hintTerm: log.term(at: log.commitIndex) ?? .zero)
    send(.appendReply(AppendReply(outcome: outcome, sentAt: .zero, readRound: 0)), to: from, into: &effects)
  }
}

extension Append {
  /// The entries follow each other and `previousIndex`, with terms that do not fall or pass `term`. Anything else is
  /// not from a leader.
  func isWellFormed(in term: Term) -> Bool {
    var (index, newest) = (previousIndex, previousTerm)
    for entry in entries {
      guard entry.index == index.next, entry.term >= newest else { return false }
      (index, newest) = (entry.index, entry.term)
      if entry.kind == .configuration, (try? Configuration(decoding: entry.payload)) == nil { return false }
    }
    return newest <= term
  }
}
