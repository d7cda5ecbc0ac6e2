// Times and limits of a group, with their defaults and the relations between them.

import Primitives

package struct RaftSettings: Equatable, Sendable {
  /// A leader sends to every follower at least this often. Candidates repeat unanswered requests as often.
  package var heartbeatInterval = Nanoseconds.milliseconds(60)
  /// An election timeout is drawn uniformly from min ... max. The minimum is also how long a voter stands by a leader
  /// that it has heard from.
  package var electionTimeoutMin = Nanoseconds.milliseconds(300)
  package var electionTimeoutMax = Nanoseconds.milliseconds(600)
  /// A leader without an answer of a quorum to anything sent within this time steps down.
  package var quorumTimeout = Nanoseconds.milliseconds(600)
  /// A transfer of leadership that took longer is abandoned.
  package var transferTimeout = Nanoseconds.milliseconds(600)
  /// Reads under the leader's lease. Off: every read waits for a confirmation by a quorum.
  package var leases = true
  /// By how much two clocks may drift apart during an election timeout.
  package var clockDriftPercent: UInt64 = 10

  /// The largest payload of an entry, in bytes.
  package var entryBytesMax = 1_179_648
  /// The entries of one append message cost at most this, or it carries one entry.
  package var appendBytesMax = 1_258_291
  /// What may be on the way to one follower.
  package var inflightBytesMax = 4 << 20
  package var inflightMessagesMax = 64
  /// Entries kept in memory though they are applied and durable, for followers that are a little behind.
  package var cacheBytesMax = 32 << 20
  /// A leader accepts no more proposals while entries of so many bytes are not applied.
  package var unappliedBytesMax = 64 << 20
  /// Reads that may wait for a confirmation.
  package var readsWaitingMax = 65_536
  /// Changes of term that are remembered for entries that are not in memory.
  package var termRunsMax = 4096

  package init() {}

  /// How long a leader may serve reads after sending what a quorum answered: what a voter stands by, less the drift.
  package var leaseDuration: Nanoseconds {
    Nanoseconds(electionTimeoutMin.rawValue / 100 * (100 - clockDriftPercent))
  }

  func check() {
    precondition(heartbeatInterval > .zero, "a heartbeat interval above zero")
    precondition(heartbeatInterval.rawValue * 2 <= electionTimeoutMin.rawValue, "two heartbeats in an election timeout")
    precondition(electionTimeoutMin < electionTimeoutMax, "a range of election timeouts")
    precondition(quorumTimeout >= electionTimeoutMin, "a leader gives up no earlier than its followers")
    precondition(transferTimeout > .zero, "a transfer timeout above zero")
    precondition(clockDriftPercent < 100, "clocks that move")
    precondition(entryBytesMax > 0 && entryBytesMax + 48 <= appendBytesMax, "an append message holds any entry")
    precondition(appendBytesMax <= inflightBytesMax, "an append message may be in flight")
    precondition(inflightMessagesMax > 0 && termRunsMax > 1 && readsWaitingMax > 0, "limits above zero")
    precondition(cacheBytesMax >= 0 && unappliedBytesMax >= entryBytesMax, "an entry may wait to be applied")
  }
}
