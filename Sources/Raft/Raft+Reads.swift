// Linearizable reads: under the leader's lease at once, otherwise by a round of confirmations (read-index).
//
//     read A ──┐                     ┌── A ready at the commit index of round 7
//              ├ round 7 ── quorum ──┤
//     read B ──┘                     └── B ready
//     read C (arrived during 7) ── waits ── round 8 …

import Primitives

/// Reads that wait at a leader.
struct ReadQueue: Sendable {
  /// For the next round.
  var waiting: [UInt64] = []
  /// For the round that is under way.
  var confirming: [UInt64] = []
  /// The number of the last round that was started.
  var round: UInt64 = 0
  /// The commit index when it was started.
  var roundIndex = LogIndex.zero

  var all: [UInt64] { confirming + waiting }
  var count: Int { confirming.count + waiting.count }

  /// Starts a round for all that wait; nil if none does.
  mutating func start(at commitIndex: LogIndex) -> UInt64? {
    if waiting.isEmpty { return nil }
    swap(&confirming, &waiting)
    round += 1
    roundIndex = commitIndex
    return round
  }

  mutating func removeAll() {
    waiting.removeAll()
    confirming.removeAll()
  }
}

extension RaftGroup {
  /// True while this replica leads, has committed an entry of its term, and nobody else can have been elected. A read
  /// may then run once `commitIndex` is applied.
  package func canServeRead(at now: Instant) -> Bool {
    guard settings.leases, hasCommittedInTerm, leadership?.leaseEnded == false,
      let quorumSentAt = leadership?.quorumSentAt
    else { return false }
    #if PLANTED_BUGS
      if PlantedBug.staleRead.isPlanted { return true }
    #endif
    return max(now, clock) < quorumSentAt + settings.leaseDuration
  }

  /// A new leader knows all that is committed only when something of its own term is.
  private var hasCommittedInTerm: Bool {
    guard let first = leadership?.firstIndex else { return false }
    return log.commitIndex >= first
  }

  func handleReadRequested(_ id: UInt64, into effects: inout RaftEffects) {
    guard let count = leadership?.reads.count, count < settings.readsWaitingMax else {
      effects.readsRefused.append(id)
      return
    }
    leadership?.reads.waiting.append(id)
    maybeAnswerReads(into: &effects)
  }

  /// Answers all under the lease, or those whose round a quorum confirmed; then starts the next round.
  func maybeAnswerReads(into effects: inout RaftEffects) {
    guard let reads = leadership?.reads, reads.count > 0, hasCommittedInTerm else { return }
    if canServeRead(at: clock) {
      leadership?.reads.removeAll()
      return answer(reads.all, at: log.commitIndex, into: &effects)
    }
    if !reads.confirming.isEmpty {
      guard isConfirmed(reads.round) else { return }
      leadership?.reads.confirming.removeAll()
      answer(reads.confirming, at: reads.roundIndex, into: &effects)
    }
    startRound(into: &effects)
  }

  private func isConfirmed(_ round: UInt64) -> Bool {
    configuration.quorumValue { $0 == me ? .max : (progress(of: $0)?.answeredRound ?? 0) } >= round
  }

  private func startRound(into effects: inout RaftEffects) {
    guard let round = leadership?.reads.start(at: log.commitIndex) else { return }
    if isConfirmed(round) { return maybeAnswerReads(into: &effects) }
    heartbeatAll(into: &effects)
  }

  private func answer(_ ids: [UInt64], at index: LogIndex, into effects: inout RaftEffects) {
    for id in ids { effects.readsReady.append(RaftEffects.ReadyRead(id: id, index: index)) }
  }
}
