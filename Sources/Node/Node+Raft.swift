import Journal
import Primitives
import Raft

// Raft and the journal, wired: what Raft wants durable goes into the journal; what is durable goes back.

extension Node {
  /// Steps the group and carries out what follows, until nothing more follows.
  func stepRaft(_ event: RaftEvent) {
    guard fault == nil, !isClosing else { return }
    room.mayHaveChanged = true
    replica.raft.step(event, at: now, into: &raftEffects)
    carryOutRaft()
  }

  /// Effects are taken out before they are carried out: doing so may step the group again. The lists that were taken are
  /// the next ones to be filled, so that they keep their memory.
  func carryOutRaft() {
    while !raftEffects.isEmpty {
      var taken = RaftEffects()
      swap(&taken, &spareRaftEffects)
      swap(&taken, &raftEffects)
      for order in taken.persist { journal.append(shard: replica.shard, order: order) }
      for message in taken.messages { send(.raft(message), to: message.to.node) }
      for order in taken.loads { journal.load(order, into: &journalEffects) }
      if !taken.committed.isEmpty { replica.committed.append(contentsOf: taken.committed) }
      for change in taken.changes { roleChanged(change) }
      for read in taken.readsReady { readReady(RequestHandle(read.id), at: read.index) }
      for id in taken.readsRefused { readRefused(RequestHandle(id)) }
      if !taken.committed.isEmpty { applyCommitted() }
      taken.removeAll()
      swap(&taken, &spareRaftEffects)
    }
    if replica.raft.cacheFloor > replica.appliedIndex { readBacklog() }
    takeJournalResults()
  }

  func journalStep(_ event: JournalEvent) {
    room.mayHaveChanged = true
    journal.step(event, at: now, into: &journalEffects)
    takeJournalResults()
  }

  /// Takes what the journal says to the node; its orders go on to the driver.
  func takeJournalResults() {
    while !journalEffects.list.isEmpty {
      var taken = JournalEffects()
      swap(&taken, &spareJournalEffects)
      swap(&taken, &journalEffects)
      for effect in taken.list { journalSaid(effect) }
      taken.removeAll()
      swap(&taken, &spareJournalEffects)
    }
    answerCheckpointWait()
    tellLogHeld()
  }

  private func journalSaid(_ effect: JournalEffect) {
    switch effect {
    case .write, .prepare, .remove, .read: effects.journal.append(effect)
    case .persisted(_, let id): stepRaft(.persisted(id))
    case .loaded(let order, let entries):
      if replica.backlog.take(entries, order) { applyCommitted() } else { stepRaft(.entriesLoaded(order, entries)) }
    case .loadFailed(let order, .notHere):
      if Backlog.isOrder(order) { return fail("the log lacks the committed entry \(order.from)") }
      stepRaft(.entriesLoaded(order, []))
    case .loadFailed(_, .fault(let fault)), .failed(let fault): fail(fault.text)
    case .opened: isOpen = true
    case .closed: isClosed = true
    }
  }

  /// Entries that every voter has need not be kept for anybody.
  private func tellLogHeld() {
    let held = replica.raft.retainedFrom.previous
    guard held > heldTold, fault == nil else { return }
    heldTold = held
    journalStep(.held(replica.shard, held))
  }

  /// What the log says to be committed need not wait for a leader at the next start.
  func tellCommitted() {
    let raft = replica.raft
    guard raft.commitIndex > committedTold, let term = raft.commitTerm else { return }
    committedTold = raft.commitIndex
    journal.noteCommitted(replica.shard, raft.commitIndex, term)
  }

  /// A line for the log when writes begin to be refused, and when they are taken again.
  func tellShortage() {
    guard fault == nil, shortage != shortageTold else { return }
    shortageTold = shortage
    effects.notices.append(.shortage(shortage))
  }

  private func roleChanged(_ change: RaftEffects.Change) {
    switch change {
    case .becameLeader(let term):
      statistics.leaderChanges += 1
      effects.notices.append(.becameLeader(replica.shard, term))
      routeWaiting()
    case .leaderKnown(let leader, let term):
      effects.notices.append(.leaderChanged(replica.shard, leader?.node, term))
      if let leader { leaderChanged(to: leader.node) }
    case .steppedDown(let term):
      effects.notices.append(.steppedDown(replica.shard, term))
      lostLeadership()
    case .transferAbandoned(let target): transferAbandoned(target)
    }
  }

  /// Everything appended may or may not become committed by another leader; everything else was not executed.
  private func lostLeadership() {
    let why = "The leader lost its leadership after it had appended the request."
    for entry in replica.appended {
      for case .some(let handle) in entry.handles { finish(handle, Reply(.outcomeUnknown(why))) }
    }
    replica.appended.removeAll()
    replica.purgeInFlight = false
    replica.forgetClock()
    let batched = replica.batchHandles
    replica.batch = EntryBuilder()
    replica.batchHandles.removeAll()
    for case .some(let handle) in batched {
      requests.setStage(.waitingForLeader, of: handle)
      route(handle)
    }
    let stuck = requests.handles { request in
      switch request.stage {
      case .waitingForRead, .waitingForApply, .waitingForPage, .transferring: true
      default: false
      }
    }
    for handle in stuck { route(handle) }
  }
}

extension JournalFault {
  /// For people: what failed, where, and what it means.
  var text: String {
    let place = "log segment \(file) at offset \(offset)"
    switch kind {
    case .write: return "a write to \(place) failed (errno \(errno)); check the disk"
    case .prepare: return "\(place) could not be prepared (errno \(errno))"
    case .read: return "a read of \(place) failed (errno \(errno)); check the disk"
    case .damage: return "\(place) is damaged"
    }
  }
}
