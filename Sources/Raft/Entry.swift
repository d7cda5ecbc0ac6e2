// What the log holds, and what must be durable.

import Primitives

/// What an entry's payload means to Raft. The raw value stands in formats.
package enum EntryKind: UInt8, Sendable {
  /// The first entry of a term. No payload.
  case noop = 0
  /// Opaque bytes for the state machine.
  case command = 1
  /// A `Configuration`; in force from the moment it is appended.
  case configuration = 2
}

/// One position of the log. The payload is shared by reference, never copied.
package struct Entry: Equatable, Sendable {
  package var index: LogIndex
  package var term: Term
  package var kind: EntryKind
  package var payload: [UInt8]

  package init(index: LogIndex, term: Term, kind: EntryKind, payload: [UInt8]) {
    self.index = index
    self.term = term
    self.kind = kind
    self.payload = payload
  }

  /// What an entry counts for in every budget, in bytes: its payload and a share for the rest.
  package var cost: Int { payload.count + 48 }
}

/// The part of a replica's state, beside the log, that must survive every crash.
package struct HardState: Equatable, Sendable {
  package var term: Term
  /// Who got this replica's vote in `term`.
  package var vote: Member?

  package init(term: Term = .zero, vote: Member? = nil) {
    self.term = term
    self.vote = vote
  }
}

/// Numbers a group's persist orders: 1, 2, 3, … from each start of the process.
package typealias PersistID = UInt64

/// Makes the hard state and the entries durable, in the order of ids.
///
/// The entries are contiguous; the first one's index cuts off whatever the log held from there on. When both are given
/// the hard state must not be lost where the entries survive: write it first.
package struct PersistOrder: Equatable, Sendable {
  package var id: PersistID
  package var hardState: HardState?
  package var entries: [Entry]

  package init(id: PersistID, hardState: HardState?, entries: [Entry]) {
    self.id = id
    self.hardState = hardState
    self.entries = entries
  }
}

/// Reads entries that are no longer in memory, for a follower that lags. Answered by `RaftEvent.entriesLoaded`.
///
/// The answer starts at `from` and is contiguous: as many entries as fit into `bytesMax`, at least one, at most through
/// `through`. An empty answer says that they could not be read; it is ordered again later.
package struct LoadOrder: Equatable, Sendable {
  package var shard: ShardID
  package var id: UInt64
  package var from: LogIndex
  package var through: LogIndex
  package var bytesMax: Int

  package init(shard: ShardID, id: UInt64, from: LogIndex, through: LogIndex, bytesMax: Int) {
    self.shard = shard
    self.id = id
    self.from = from
    self.through = through
    self.bytesMax = bytesMax
  }
}

/// From this index on, up to the next such, entries have this term.
package struct TermStart: Equatable, Sendable {
  package var index: LogIndex
  package var term: Term

  package init(index: LogIndex, term: Term) {
    self.index = index
    self.term = term
  }
}

/// What recovery found of one group.
package struct RestoredGroup: Sendable {
  package var hardState: HardState
  /// The configuration as of `configurationIndex`, at or below `appliedIndex`. Entries above may hold newer ones.
  package var configuration: Configuration
  package var configurationIndex: LogIndex
  /// What the checkpoint holds applied, and that entry's term.
  package var appliedIndex: LogIndex
  package var appliedTerm: Term
  /// Through here entries are known to be committed, and are applied already: at or above `appliedIndex`.
  package var committedIndex: LogIndex
  /// The oldest entry that the journal still has. When it is above 1, older ones were dropped, and that is only done
  /// below `RaftGroup.retainedFrom`: so every voter holds this one.
  package var logStart: LogIndex
  /// The last entry; all after `appliedIndex` are durable.
  package var lastIndex: LogIndex
  /// Where terms begin among the entries after `appliedIndex`, and those of them that are configurations.
  package var terms: [TermStart]
  package var configurations: [Entry]
  /// The last of them, contiguous: what is kept in memory.
  package var entries: [Entry]

  package init(
    hardState: HardState, configuration: Configuration, configurationIndex: LogIndex, appliedIndex: LogIndex,
    appliedTerm: Term, committedIndex: LogIndex? = nil, logStart: LogIndex, lastIndex: LogIndex, terms: [TermStart],
    configurations: [Entry], entries: [Entry]
  ) {
    self.hardState = hardState
    self.configuration = configuration
    self.configurationIndex = configurationIndex
    self.appliedIndex = appliedIndex
    self.appliedTerm = appliedTerm
    self.committedIndex = committedIndex ?? appliedIndex
    self.logStart = logStart
    self.lastIndex = lastIndex
    self.terms = terms
    self.configurations = configurations
    self.entries = entries
  }

  /// No other member votes, or did when an entry of the log was written.
  func hasOnlyVoter(_ member: Member) -> Bool {
    func isAlone(_ configuration: Configuration) -> Bool {
      configuration.voters == [member] && configuration.outgoing.isEmpty
    }
    guard isAlone(configuration) else { return false }
    return configurations.allSatisfy { (try? Configuration(decoding: $0.payload)).map(isAlone) ?? false }
  }

  /// A new group on one of its founders: an empty log, and the configuration not yet in it (index zero).
  package static func founding(_ configuration: Configuration) -> RestoredGroup {
    RestoredGroup(
      hardState: HardState(), configuration: configuration, configurationIndex: .zero, appliedIndex: .zero,
      appliedTerm: .zero, logStart: LogIndex(1), lastIndex: .zero, terms: [], configurations: [], entries: [])
  }
}
