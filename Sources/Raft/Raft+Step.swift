// The one door, and what every way through it shares: dispatch, sending, the persist order at the end.

import Primitives

extension RaftGroup {
  /// Takes one fact. Appends to `effects`; never empties them.
  package func step(_ event: RaftEvent, at now: Instant, into effects: inout RaftEffects) {
    clock = max(clock, now)
    switch event {
    case .tick: handleTick(into: &effects)
    case .received(let message): handleMessage(message, into: &effects)
    case .persisted(let id): handlePersisted(id, into: &effects)
    case .applied(let index): handleApplied(index, into: &effects)
    case .entriesLoaded(let order, let entries): handleLoaded(order, entries, into: &effects)
    case .readRequested(let id): handleReadRequested(id, into: &effects)
    case .transferRequested(let target): handleTransferRequested(target, into: &effects)
    case .roomChanged(let level):
      room = level
      maybeTakeEntriesAgain(into: &effects)
    case .unreachable(let member): handleUnreachable(member, into: &effects)
    }
    finish(into: &effects)
  }

  /// Appends a command at the leader; this call's effects persist it and send it. Larger batches are the caller's doing.
  package func propose(
    kind: EntryKind, payload: [UInt8], at now: Instant, into effects: inout RaftEffects
  ) throws(ProposeRefusal) -> Proposal {
    clock = max(clock, now)
    if let refusal = refusal(kind, payload) { throw refusal }
    let index = appendOwn(kind, payload)
    feedAll(into: &effects)
    maybeCommit(into: &effects)
    finish(into: &effects)
    return Proposal(index: index, term: term)
  }

  private func refusal(_ kind: EntryKind, _ payload: [UInt8]) -> ProposeRefusal? {
    if leadership == nil { return .notLeader(leader) }
    if isTransferring { return .transferring }
    if payload.count > settings.entryBytesMax { return .tooLarge }
    if kind == .configuration, (try? Configuration(decoding: payload)) != configuration { return .membershipFixed }
    if log.unappliedBytes > 0, log.unappliedBytes + payload.count > settings.unappliedBytesMax { return .overloaded }
    return nil
  }

  // MARK: Events that concern every role

  private func handleMessage(_ message: RaftMessage, into effects: inout RaftEffects) {
    guard message.shard == shard, message.to == me, message.from != me, configuration.contains(message.from) else {
      return
    }
    switch message.body {
    case .preVote(let request): handlePreVote(message, request, into: &effects)
    case .preVoteReply(let granted): handlePreVoteReply(message, granted: granted, into: &effects)
    case .vote(let request): handleVote(message, request, into: &effects)
    case .voteReply(let granted): handleVoteReply(message, granted: granted, into: &effects)
    case .append(let append): handleAppend(message, append, into: &effects)
    case .appendReply(let reply): handleAppendReply(message, reply, into: &effects)
    case .timeoutNow(let target): handleTimeoutNow(message, target: target, into: &effects)
    }
  }

  private func handlePersisted(_ id: PersistID, into effects: inout RaftEffects) {
    precondition(id <= lastOrder, "only what was ordered is persisted")
    guard id > persistedOrder else { return }
    persistedOrder = id
    log.persisted(through: id)
    log.evict(cacheBytesMax: settings.cacheBytesMax)
    releaseHeld(into: &effects)
    switch state {
    case .follower: maybeAcknowledge(into: &effects)
    case .preCandidate: break
    case .candidate: checkTally(into: &effects)
    case .leader: maybeCommit(into: &effects)
    }
  }

  private func handleApplied(_ index: LogIndex, into effects: inout RaftEffects) {
    guard index > log.appliedIndex else { return }
    log.applied(through: index)
    log.evict(cacheBytesMax: settings.cacheBytesMax)
    log.forgetTerms(heldByAll: heldByAll, runsMax: settings.termRunsMax)
    forgetConfigurations(appliedThrough: index)
    maybeTakeEntriesAgain(into: &effects)
  }

  /// Those before the last applied one.
  func forgetConfigurations(appliedThrough index: LogIndex) {
    while configurations.count > 1, configurations[1].index <= index { configurations.removeFirst() }
  }

  // MARK: The log and its configurations

  /// Appends entries that this step's order will persist.
  func appendToLog(_ entries: ArraySlice<Entry>) {
    guard let first = entries.first else { return }
    while configurations.count > 1, configurationIndex >= first.index { configurations.removeLast() }
    log.append(entries, order: lastOrder + 1)
    for entry in entries where entry.kind == .configuration { adopt(entry) }
    unsavedFrom = min(unsavedFrom ?? first.index, first.index)
  }

  /// A configuration is in force from the moment it is appended.
  func adopt(_ entry: Entry) {
    guard let configuration = try? Configuration(decoding: entry.payload) else {
      preconditionFailure("a configuration entry that was checked before it was appended")
    }
    configurations.append(ConfigurationAt(index: entry.index, configuration: configuration))
  }

  // MARK: What leaves

  func setHardState(_ new: HardState) {
    precondition(new.term >= hardState.term, "the term never falls")
    precondition(
      new.term > hardState.term || hardState.vote == nil || new.vote == hardState.vote, "a vote stands for its term")
    guard new != hardState else { return }
    if new.term > hardState.term { held.removeAll(keepingCapacity: true) }
    hardState = new
    hardStateChanged = true
    hardStateOrder = lastOrder + 1
  }

  package var isHardStateDurable: Bool { hardStateOrder <= persistedOrder }

  /// Sends now if the present hard state is durable, and as soon as it is otherwise.
  func send(_ body: RaftMessage.Body, to: Member, in other: Term? = nil, into effects: inout RaftEffects) {
    let message = RaftMessage(shard: shard, from: me, to: to, term: other ?? term, body: body)
    if isHardStateDurable {
      effects.messages.append(message)
    } else if let i = held.firstIndex(where: { $0.to == to && $0.body.isSameKind(as: body) }) {
      held[i] = message
    } else {
      held.append(message)
    }
  }

  private func releaseHeld(into effects: inout RaftEffects) {
    guard isHardStateDurable, !held.isEmpty else { return }
    effects.messages.append(contentsOf: held)
    held.removeAll(keepingCapacity: true)
  }

  private var writtenHardState: HardState {
    #if PLANTED_BUGS
      if PlantedBug.voteNotPersisted.isPlanted { return HardState(term: hardState.term) }
    #endif
    return hardState
  }

  /// Gives out what this call changed: one order for all of it, and who leads.
  private func finish(into effects: inout RaftEffects) {
    if hardStateChanged || unsavedFrom != nil {
      lastOrder += 1
      let entries = unsavedFrom.map { log.entries(from: $0, through: log.lastIndex) } ?? []
      effects.persist.append(
        PersistOrder(id: lastOrder, hardState: hardStateChanged ? writtenHardState : nil, entries: entries))
      hardStateChanged = false
      unsavedFrom = nil
    }
    if leader != announcedLeader || term != announcedTerm {
      (announcedLeader, announcedTerm) = (leader, term)
      effects.changes.append(.leaderKnown(leader, term))
    }
  }
}

extension RaftMessage.Body {
  /// Means something only while its sender is a candidate.
  var isElectionRequest: Bool {
    switch self {
    case .preVote, .vote: true
    default: false
    }
  }

  func isSameKind(as other: RaftMessage.Body) -> Bool {
    switch (self, other) {
    case (.preVote, .preVote), (.preVoteReply, .preVoteReply), (.vote, .vote), (.voteReply, .voteReply),
      (.append, .append), (.appendReply, .appendReply), (.timeoutNow, .timeoutNow):
      true
    default: false
    }
  }
}
