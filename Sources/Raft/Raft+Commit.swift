// Commit: by a quorum of durable logs, and only by an entry of the leader's own term (Raft, section 5.4.2).

import Primitives

extension RaftGroup {
  /// Commits what a quorum holds durably, this replica's own disk being one of them.
  func maybeCommit(into effects: inout RaftEffects) {
    guard leadership != nil else { return }
    let reached = LogIndex(configuration.quorumValue { match(of: $0).rawValue })
    if reached > log.commitIndex, log.term(at: reached) == term {
      commit(through: reached, into: &effects)
      maybeAnswerReads(into: &effects)
    }
    let held = LogIndex(configuration.allVotersValue { match(of: $0).rawValue })
    heldByAll = max(heldByAll, min(held, log.commitIndex))
  }

  private func match(of member: Member) -> LogIndex {
    #if PLANTED_BUGS
      if PlantedBug.leaderCountsUnflushed.isPlanted, member == me { return log.lastIndex }
    #endif
    return member == me ? log.durableIndex : (progress(of: member)?.match ?? .zero)
  }

  /// Hands out everything up to `index` that is in memory for applying.
  func commit(through index: LogIndex, into effects: inout RaftEffects) {
    log.appendEntries(from: max(log.commitIndex, log.floor).next, through: index, to: &effects.committed)
    log.commit(through: index)
  }
}
