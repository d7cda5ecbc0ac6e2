import DequeModule
import Primitives
import Raft

// Reading the log back at start. See the essay in Journal.swift for what the parts of a block are for.
//
// 1. Survey: the first block of every file. It gives the file's use number and the start blocks. A file whose first
//    block is bad is searched for whole blocks behind it.
// 2. A start block names the last block accepted by its recovery: segments of lower use are read up to there and no
//    further, and those that lie wholly behind it are dead.
// 3. Replay: from the segment that durable blocks name as the oldest live one, block by block along the chain.
//    If a damaged segment turns out to be older than the oldest live one, replay begins again behind it.
// 4. Where the chain ends: when any whole block of the same or a newer use says by its watermark that the missing block was
//    durable, or a start block names it or a later one, it is damage. Otherwise it is the torn tail of the crash.
// 5. No block can say that one behind it is missing: so the last block names the file in which the log may go on, which must
//    be there, every file must have the size that its segment has, and the last start known from outside must be in the log.
// 6. Files that hold no live segment are searched too: a newer segment's first block may be lost behind which others are
//    whole.
// Nothing is changed on disk. The next `Journal` writes a start block in a fresh segment, before anything else.
//
// Files are read in large pieces, the next one while those before are followed (`SegmentWindow`). Of the entries only the newest
// are kept in memory, within a budget (`KeptEntries`); of the others, where they stand.

/// The term and vote and the position that a shard's durable checkpoint holds.
package struct ShardCheckpoint: Equatable, Sendable {
  package var shard: ShardID
  package var appliedIndex: LogIndex
  package var hardState: HardState?
  package init(shard: ShardID, appliedIndex: LogIndex, hardState: HardState?) {
    self.shard = shard
    self.appliedIndex = appliedIndex
    self.hardState = hardState
  }
}

/// A place where the log is not what was written, and durable.
package struct JournalDamage: Equatable, Sendable {
  package enum Kind: Equatable, Sendable {
    /// A later block says that this one was durable; it is missing or its checksum is wrong.
    case lostBlock
    /// The checksum is right but a record says what no writer writes (or a gap in a shard's entries).
    case malformed
    /// A shard's log does not reach from its checkpoint on, or ends before it.
    case lostEntries
    /// The file ends here, before its segment does: it was cut short.
    case shortFile
    /// The log names this file as the one that it goes on in, and it is not there.
    case missingFile
    /// A start is known to have written its start block to this file, and the log ends before that start.
    case missingStart
  }
  package var kind: Kind
  package var file: UInt32
  package var offset: UInt64
  /// The sequence of the block that should be there.
  package var sequence: UInt64
  /// What it held, if a later block tells.
  package var held: [GroupSummary]?
}

/// Why a journal is not opened. Nothing was changed.
package enum JournalRefusal: Error, Equatable, Sendable {
  case damage(JournalDamage)
  /// The file belongs to another data directory or lane.
  case foreign(file: UInt32, directory: UInt64, lane: LaneID)
  case unknownVersion(file: UInt32, version: UInt16)
  /// The boot number was not raised above the one found.
  case bootNotRaised(file: UInt32, found: UInt64)
  case unreadable(file: UInt32, offset: UInt64, errno: Int32)
}

package struct RecoveredShard: Equatable, Sendable {
  package var shard: ShardID
  /// The highest of log and checkpoint.
  package var hardState: HardState
  /// The oldest entry in the log, or the index after the checkpoint when there is none.
  package var logStart: LogIndex
  package var lastIndex: LogIndex
  /// The last entry that was taken while the log was read; the checkpoint's if none was.
  package var taken: LogIndex
  /// Entries after that: the last ones, contiguous, within the budget.
  package var entries: [Entry]
  /// Where terms begin among all entries after the checkpoint, in memory or not, and those that name the members.
  package var terms: [TermStart]
  package var configurations: [Entry]
}

/// What a crash left behind the end of the log, for the report: the first bad block.
package struct TornTail: Equatable, Sendable {
  package var file: UInt32
  package var offset: UInt64
}

package struct RecoveredJournal {
  /// In the order of shard ids; also shards of which only a checkpoint knows.
  package var shards: [RecoveredShard]
  /// The last block accepted; sequence zero in a new journal.
  package var accepted: StartPayload
  package var oldestUse: UInt64
  package var nextUse: UInt64
  package var blockCount: UInt64
  package var recordCount: UInt64
  package var bytesReplayed: UInt64
  /// Set when something whole or torn stood behind the end.
  package var tornTail: TornTail?

  var shardTable: ShardTable
  var segments: SegmentTable
  var files: FilePool
  var recent: Deque<EncodedSummary>

  package var segmentCount: Int { segments.count }
}

/// Reads the journal of `identity` back. Synchronous; changes nothing.
/// - Parameters:
///   - checkpoints: what each shard's durable checkpoint holds; entries up to there are indexed, not returned.
///   - opened: the last start that is known, from outside the log, to have written its start block.
///   - entriesBytesMax: what the returned entries of a shard cost at most. Older ones are indexed and on disk.
///   - take: is given the entries that the log itself calls committed, in order, each once, while those behind them are still being
///     read; false when it has no use for this one and all that follow. What it did is void when this throws.
package func recoverJournal(
  _ source: any JournalSource, identity: JournalIdentity, checkpoints: [ShardCheckpoint], opened: OpenedStart? = nil,
  entriesBytesMax: Int = .max, take: ((ShardID, Entry) -> Bool)? = nil
) throws(JournalRefusal) -> RecoveredJournal {
  let window = SegmentWindow(source)
  let files = source.files.sorted { $0.file < $1.file }
  let survey = try Survey(files, window: window, identity: identity)
  var refusal: JournalRefusal?
  var from = survey.firstPosition
  while true {
    var replay = Replay(identity: identity, checkpoints: checkpoints, entriesBytesMax: entriesBytesMax, take: take)
    do throws(JournalRefusal) {
      try replay.walk(survey, from: from, window: window)
      try replay.checkFiles(survey, opened: opened)
      return try replay.result(survey, window: window)
    } catch {
      // What is wrong in a segment that later blocks call freed is of no account: try without it.
      guard case .damage = error, !replay.hasTaken, let next = survey.position(after: replay.failedAt ?? from) else {
        throw refusal ?? error
      }
      refusal = refusal ?? error
      from = next
    }
  }
}
