// The invariants listed in Raft.swift, checked.

import Primitives

extension RaftGroup {
  /// Traps when an invariant does not hold. Cheap enough for every step, except for the walk through the log.
  package func checkInvariants(walkingLog: Bool = true) {
    precondition(log.appliedIndex <= log.commitIndex && log.commitIndex <= log.lastIndex, "applied <= commit <= last")
    precondition(heldByAll <= log.commitIndex, "what all voters hold is known to be committed")
    precondition(log.durableIndex <= log.lastIndex && log.floor <= log.durableIndex, "floor <= durable <= last")
    precondition(log.floor <= max(log.appliedIndex, log.floorAtStart), "entries leave memory after they were applied")
    precondition(term >= log.lastTerm, "no entry is of a later term")
    precondition(vote == nil || term > .zero, "votes are cast in terms above zero")
    precondition(!configuration.voters.isEmpty, "a group has voters")
    precondition(unsavedFrom == nil && !hardStateChanged, "each step orders what it changed")
    precondition(persistedOrder <= lastOrder && hardStateOrder <= lastOrder, "orders are numbered")
    checkRole()
    checkHeld()
    checkLastConfiguration(walkingLog)
    if walkingLog { log.checkEntries() }
  }

  private func checkRole() {
    switch state {
    case .follower(let following):
      precondition(leadership == nil, "only a leader leads")
      precondition(following.verified <= log.lastIndex, "what is verified is in the log")
    case .preCandidate(let candidacy):
      precondition(leadership == nil && candidacy.granted.first == me, "a candidate is for itself")
    case .candidate(let candidacy):
      precondition(leadership == nil && candidacy.granted.first == me, "a candidate is for itself")
      precondition(vote == me, "a candidate's vote is its own")
    case .leader:
      guard let leadership else { preconditionFailure("a leader leads") }
      precondition(vote == me && isHardStateDurable, "a leader's vote is its own and durable")
      checkLeadership(leadership)
    }
  }

  private func checkLeadership(_ leadership: Leadership) {
    precondition(log.term(at: leadership.firstIndex) == term, "a term begins with an entry of its own")
    precondition(log.lastTerm == term, "a leader's log ends in its term")
    for follower in leadership.followers {
      precondition(follower.match < follower.next && follower.next <= log.lastIndex.next, "match < next <= last + 1")
      precondition(follower.inflightCount <= settings.inflightMessagesMax, "messages in flight within the limit")
      precondition(
        follower.inflightBytes < settings.inflightBytesMax + settings.appendBytesMax, "bytes in flight within the limit"
      )
      precondition(!follower.isProbing || follower.inflightCount == 0, "a probe has no pipeline")
    }
    precondition(leadership.reads.count <= settings.readsWaitingMax, "waiting reads within the limit")
    if let transfer = leadership.transfer, transfer.isSent { precondition(leadership.leaseEnded, "no lease after it") }
  }

  private func checkHeld() {
    precondition(held.isEmpty || !isHardStateDurable, "messages wait only for the hard state")
    for i in held.indices {
      for j in held.indices where j > i {
        precondition(
          held[i].to != held[j].to || !held[i].body.isSameKind(as: held[j].body),
          "one waiting message of a kind to a member")
      }
    }
  }

  private func checkLastConfiguration(_ walkingLog: Bool) {
    precondition(configurationIndex <= log.lastIndex, "the configuration in force is in the log")
    guard walkingLog, log.floor < log.lastIndex else { return }
    let entries = log.entries(from: log.floor.next, through: log.lastIndex)
    guard let last = entries.last(where: { $0.kind == .configuration }) else { return }
    precondition(configurationIndex == last.index, "the last configuration entry is in force")
  }
}
