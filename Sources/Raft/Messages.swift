// What the replicas of one group say to each other.

import Primitives

/// One message. It counts only between members of the configuration, of the incarnations named in it.
///
/// `term` is the sender's term, except in a pre-vote and in its granting reply: there it is the term that the candidate
/// would campaign in.
package struct RaftMessage: Equatable, Sendable {
  package enum Body: Equatable, Sendable {
    /// Would you vote for me? Promises and changes nothing.
    case preVote(VoteRequest)
    case preVoteReply(granted: Bool)
    case vote(VoteRequest)
    case voteReply(granted: Bool)
    /// Entries to append, or none: a heartbeat.
    case append(Append)
    case appendReply(AppendReply)
    /// The leader of `term` asks `target` to campaign at once.
    case timeoutNow(target: Member)
  }

  package var shard: ShardID
  package var from: Member
  package var to: Member
  package var term: Term
  package var body: Body

  /// What it brings wants room.
  package var carriesEntries: Bool {
    if case .append(let append) = body { !append.entries.isEmpty } else { false }
  }

  package var tellsOfLittleRoom: Bool {
    if case .appendReply(let reply) = body { reply.room != .ample } else { false }
  }

  package init(shard: ShardID, from: Member, to: Member, term: Term, body: Body) {
    self.shard = shard
    self.from = from
    self.to = to
    self.term = term
    self.body = body
  }
}

package struct VoteRequest: Equatable, Sendable {
  /// The end of the candidate's log.
  package var lastIndex: LogIndex
  package var lastTerm: Term
  /// The leader asked for this election, so nobody's recent heartbeat speaks against it.
  package var transfer: Bool

  package init(lastIndex: LogIndex, lastTerm: Term, transfer: Bool) {
    self.lastIndex = lastIndex
    self.lastTerm = lastTerm
    self.transfer = transfer
  }
}

package struct Append: Equatable, Sendable {
  /// The entry before `entries`, which the follower must hold. Index zero precedes every log and always matches.
  package var previousIndex: LogIndex
  package var previousTerm: Term
  package var entries: [Entry]
  package var commit: LogIndex
  /// Every voter has the log durably through here.
  package var heldByAll: LogIndex
  /// The leader's clock when it sent this; echoed, and meaningless to others.
  package var sentAt: Instant
  /// The newest round of read confirmations; echoed.
  package var readRound: UInt64

  package init(
    previousIndex: LogIndex, previousTerm: Term, entries: [Entry], commit: LogIndex, heldByAll: LogIndex,
    sentAt: Instant, readRound: UInt64
  ) {
    self.previousIndex = previousIndex
    self.previousTerm = previousTerm
    self.entries = entries
    self.commit = commit
    self.heldByAll = heldByAll
    self.sentAt = sentAt
    self.readRound = readRound
  }
}

/// How much room a replica has for what the leader would send it. Full is a state: it is said, and it passes.
package enum RoomLevel: UInt8, Equatable, Sendable, Comparable {
  case ample = 0
  /// For what is in the log already, and for what makes room.
  case scarce
  /// For no entry at all; heartbeats are answered.
  case exhausted

  package static func < (a: RoomLevel, b: RoomLevel) -> Bool { a.rawValue < b.rawValue }
}

package struct AppendReply: Equatable, Sendable {
  package enum Outcome: Equatable, Sendable {
    /// The log equals the leader's through `received`, and is durable through `match` of that.
    case accepted(match: LogIndex, received: LogIndex)
    /// No entry at `previousIndex` with the term the leader named. The logs can agree at most through `hintIndex`, which
    /// has `hintTerm` here.
    case rejected(previousIndex: LogIndex, hintIndex: LogIndex, hintTerm: Term)
  }

  package var outcome: Outcome
  /// Of the newest append of this term that was received.
  package var sentAt: Instant
  package var readRound: UInt64
  /// With `exhausted` the leader sends no entries until it hears something else.
  package var room: RoomLevel

  package init(outcome: Outcome, sentAt: Instant, readRound: UInt64, room: RoomLevel = .ample) {
    self.outcome = outcome
    self.sentAt = sentAt
    self.readRound = readRound
    self.room = room
  }
}
