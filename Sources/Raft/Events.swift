// The one door: facts that go in, orders that come out.

import Primitives

/// What happened to a group.
package enum RaftEvent: Equatable, Sendable {
  /// Time has passed; due at `nextDeadline`, harmless at any time.
  case tick
  case received(RaftMessage)
  /// All persist orders up to this one are durable.
  case persisted(PersistID)
  /// The state machine holds everything up to this index.
  case applied(LogIndex)
  /// The answer to a load order; empty when reading failed.
  case entriesLoaded(LoadOrder, [Entry])
  /// A linearizable read wants to know when and at what index it may run. Ids are the caller's.
  case readRequested(UInt64)
  /// Hand leadership to this voter.
  case transferRequested(Member)
  /// How much room this replica has from now on.
  case roomChanged(RoomLevel)
  /// The link to this member broke; what was in flight is probably lost.
  case unreachable(Member)
}

/// What a group wants done. Filled by `step` and `propose`, emptied by the caller.
package struct RaftEffects: Equatable, Sendable {
  package enum Change: Equatable, Sendable {
    case becameLeader(Term)
    /// Who leads, as far as is known; nil when nobody is known to.
    case leaderKnown(Member?, Term)
    /// This replica was the leader of this term.
    case steppedDown(Term)
    /// A transfer to this member did not succeed in time; proposals are accepted again.
    case transferAbandoned(Member)
  }

  package struct ReadyRead: Equatable, Sendable {
    package var id: UInt64
    /// The read may run as soon as this index is applied.
    package var index: LogIndex
  }

  /// Perform in this order. Messages given out together with an order do not wait for it.
  package var persist: [PersistOrder] = []
  package var messages: [RaftMessage] = []
  /// To be applied, in order, each once in the life of this `RaftGroup`. Without those that were not in memory when it began:
  /// the caller reads what it has not applied up to `cacheFloor` from its log, as far as it is committed.
  package var committed: [Entry] = []
  package var loads: [LoadOrder] = []
  package var readsReady: [ReadyRead] = []
  /// This replica cannot answer: ask the leader.
  package var readsRefused: [UInt64] = []
  package var changes: [Change] = []

  package init() {}

  package var isEmpty: Bool {
    persist.isEmpty && messages.isEmpty && committed.isEmpty && loads.isEmpty && readsReady.isEmpty
      && readsRefused.isEmpty && changes.isEmpty
  }

  package mutating func removeAll() {
    persist.removeAll(keepingCapacity: true)
    messages.removeAll(keepingCapacity: true)
    committed.removeAll(keepingCapacity: true)
    loads.removeAll(keepingCapacity: true)
    readsReady.removeAll(keepingCapacity: true)
    readsRefused.removeAll(keepingCapacity: true)
    changes.removeAll(keepingCapacity: true)
  }
}

/// Where a proposal stands in the log. It takes effect if the entry that commits at `index` has this `term`.
package struct Proposal: Equatable, Sendable {
  package var index: LogIndex
  package var term: Term
}

/// Why a proposal was not appended. It had no effect.
package enum ProposeRefusal: Error, Equatable, Sendable {
  /// Another replica may know better; the leader as far as known.
  case notLeader(Member?)
  /// Leadership is being handed over; ask again in a moment, or the new leader.
  case transferring
  /// Too many bytes are not applied yet.
  case overloaded
  /// The payload is over `RaftSettings.entryBytesMax`.
  case tooLarge
  /// The members of a group cannot be changed yet.
  case membershipFixed
}
