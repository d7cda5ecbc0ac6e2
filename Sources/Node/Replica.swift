import DequeModule
import Primitives
import Raft
import Store
import Tables

/// One shard's copy on this lane: its Raft group, and the state that its log made.
final class Replica {
  let shard: ShardID
  let raft: RaftGroup
  /// Live tables by name, and the revoked serials; equal to what the tree holds at `appliedIndex`.
  let machine: ShardMachine

  /// Everything up to here is in the tree.
  var appliedIndex: LogIndex
  var appliedTerm: Term
  /// The hash of the state at exactly `appliedIndex`, whatever of the next entry is applied already. Nil after a start from a
  /// checkpoint inside an entry, until that entry is applied.
  var stateHash: UInt64?
  /// Committed, not yet (wholly) applied. What the start left on disk comes before: it is read back in parts.
  var committed: Deque<Entry> = []
  var backlog = Backlog()
  /// The place inside the next entry.
  var cursor: EntryCursor?

  /// What the processor's memory was asked for.
  let lookahead = Lookahead()
  /// How far pages were looked for ahead of applying: the place inside an entry.
  var ahead: (index: LogIndex, cursor: EntryCursor)?

  /// After a restart: how many commands of the next entry the checkpoint holds already.
  var resumeOrdinal: UInt32

  /// Commands of this turn, and who waits for each (nil: the node itself).
  var batch = EntryBuilder()
  var batchHandles: [RequestHandle?] = []
  /// Entries that this leader appended, in order.
  var appended: Deque<AppendedEntry> = []
  /// Requests that wait until an index is applied.
  var waitingForApply: [(index: LogIndex, handle: RequestHandle)] = []
  /// A purge command of ours is in the log.
  var purgeInFlight = false
  /// An advance command of ours is in the log; when the next one is due; up to when the log knows that time has passed.
  var advanceInFlight = false
  var advanceAt = Instant.zero
  private var clockAt: Instant?

  init(shard: ShardID, raft: RaftGroup, machine: ShardMachine, record: ReplicaRecord) {
    self.shard = shard
    self.raft = raft
    self.machine = machine
    appliedIndex = record.appliedIndex
    appliedTerm = record.appliedTerm
    resumeOrdinal = record.appliedOrdinal
    stateHash = record.appliedOrdinal == 0 ? record.totals.stateHash : nil
  }

  /// The next entry to apply; nil when there is none, or while it is being read.
  var nextCommitted: Entry? {
    if !backlog.isEmpty { return backlog.first }
    return committed.first.flatMap { $0.index == appliedIndex.next ? $0 : nil }
  }

  /// A committed entry that is not applied yet, if it is in memory.
  func committedEntry(_ index: LogIndex) -> Entry? {
    guard let first = committed.first?.index, index >= first else { return backlog[index] }
    let offset = Int(index.rawValue - first.rawValue)
    return offset < committed.count ? committed[offset] : nil
  }

  func removeNextCommitted() {
    if backlog.isEmpty { _ = committed.popFirst() } else { backlog.removeFirst() }
  }

  var isLeader: Bool { raft.role == .leader }

  /// The version of the last command applied: what a read of the present shows.
  var presentVersion: Timestamp {
    let next = Timestamp(index: appliedIndex.next, ordinal: cursor?.ordinal ?? resumeOrdinal)
    return Timestamp(next.rawValue - 1)
  }

  /// How many milliseconds have passed since this was last asked. A leader asks all the time, so what is kept is never
  /// thought older than it is.
  func takeElapsed(_ now: Instant) -> UInt32 {
    defer { clockAt = now }
    guard let clockAt else { return 0 }
    return min((now - clockAt).wholeMilliseconds, TableLimits.advanceMax)
  }

  /// Others led meanwhile, or nobody.
  func forgetClock() {
    clockAt = nil
    advanceInFlight = false
    advanceAt = .zero
  }

  /// A read of the present may run now.
  func canRead(at now: Instant) -> Bool { appliedIndex == raft.commitIndex && raft.canServeRead(at: now) }
}

struct AppendedEntry {
  var index: LogIndex
  var term: Term
  var handles: [RequestHandle?]
}
