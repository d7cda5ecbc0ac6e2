import Primitives
import Raft

// What goes in and comes out of the journal: settings, events (facts), effects (orders), faults.

/// Whose journal this is. Each block carries it, so that a block of another directory, lane or start is told.
package struct JournalIdentity: Equatable, Sendable {
  /// The random id that the data directory got when it was formatted.
  package var directory: UInt64
  package var lane: LaneID
  /// The number of this start, durably raised before the journal is recovered.
  package var boot: UInt64

  package init(directory: UInt64, lane: LaneID, boot: UInt64) {
    self.directory = directory
    self.lane = lane
    self.boot = boot
  }
}

package struct JournalSettings: Equatable, Sendable {
  /// The size of a segment file: a multiple of 4096, at least 64 KiB and at most 2 GiB.
  package var segmentBytes: UInt64 = 64 << 20
  /// The hard cap of all segment files together; at least four segments. A restart of a full log exceeds it by
  /// one segment until segments are freed.
  package var logBytesMax: UInt64 = 1 << 30
  /// `isFull` says so when less than this is free: what is left is for Raft's own records.
  package var reserveBytes: UInt64 = 128 << 20
  /// So many files are made as soon as the log is open, though it does not need them yet: what a disk that fills leaves to it.
  package var segmentsReserved = 0
  /// Block writes in flight, 1 to 4.
  package var writesInFlightMax = 4
  /// Bytes of orders that may wait before `canAppend` is false.
  package var waitingBytesMax = 64 << 20
  /// A seal block is written after so much idleness.
  package var sealAfter = Nanoseconds.milliseconds(10)
  /// A refused preparation (disk full) is ordered again after so long.
  package var prepareAgainAfter = Nanoseconds.seconds(1)

  package init() {}

  var segmentsMax: Int { Int(logBytesMax / segmentBytes) }

  /// While no next segment is ready, records leave so much of the current one to blocks that free segments.
  var tailReserve: UInt64 {
    UInt64(JournalFormat.roundUp(min(JournalFormat.blockBytesMax, Int(segmentBytes / 8))))
  }

  func check() {
    precondition(segmentBytes % UInt64(JournalFormat.pageBytes) == 0, "a segment is a multiple of 4096 bytes")
    precondition(segmentBytes >= 64 << 10 && segmentBytes <= 2 << 30, "a segment has 64 KiB to 2 GiB")
    precondition(segmentsMax >= 4, "the log has room for four segments")
    precondition(segmentsReserved <= segmentsMax, "what is reserved may be there")
    precondition(reserveBytes < logBytesMax, "the reserve is a part of the log")
    precondition(writesInFlightMax >= 1 && writesInFlightMax <= 4, "1 to 4 writes are in flight")
  }
}

/// A block's write is named by the block's sequence.
package typealias WriteID = UInt64
package typealias ReadID = UInt64

package enum JournalEvent: Equatable, Sendable {
  /// The block is durable (a completed O_DIRECT and O_DSYNC write of all its bytes).
  case written(WriteID)
  case writeFailed(WriteID, errno: Int32)
  /// The file has its size and its blocks allocated, durably, with its directory entry.
  case segmentReady(file: UInt32)
  case segmentFailed(file: UInt32, errno: Int32)
  case readFailed(ReadID, errno: Int32)
  /// Every checkpoint that may be recovered from holds the shard through this index, and this term and vote.
  case checkpointed(ShardID, LogIndex, HardState?)
  /// Every voter holds the shard's log durably through this index.
  case held(ShardID, LogIndex)
  case tick
  /// Write what waits, seal, then `.closed`.
  case shutdown
}

package enum JournalEffect: Equatable, Sendable {
  /// Write `bytes(of:)` durably, then report `.written` or `.writeFailed`.
  case write(JournalWrite)
  case prepare(SegmentPreparation)
  /// Delete the file; it holds nothing.
  case remove(file: UInt32)
  case read(JournalRead)
  /// Every order of the shard up to this one is durable.
  case persisted(ShardID, PersistID)
  /// A prefix of what was asked for, at least one entry.
  case loaded(LoadOrder, [Entry])
  case loadFailed(LoadOrder, LoadFailure)
  /// The start block is durable.
  case opened
  /// All that was appended before `.shutdown` is durable and sealed.
  case closed
  /// Nothing more is written or acknowledged in this process.
  case failed(JournalFault)
}

package struct JournalEffects: Equatable, Sendable {
  package var list: [JournalEffect] = []
  package init() {}
  package mutating func removeAll() { list.removeAll(keepingCapacity: true) }
  mutating func add(_ effect: JournalEffect) { list.append(effect) }
}

/// One aligned durable write: `count` bytes of the pool's buffer `buffer` to `offset` of `file`.
package struct JournalWrite: Equatable, Sendable {
  package var id: WriteID
  package var file: UInt32
  package var offset: UInt64
  package var buffer: Int
  package var count: Int
}

/// One aligned read; its bytes go to `completeRead`.
package struct JournalRead: Equatable, Sendable {
  package var id: ReadID
  package var file: UInt32
  package var offset: UInt64
  package var count: Int
}

/// Make `file` be `bytes` long with all blocks allocated. A fresh one is filled with zeros (so that a later durable
/// write changes no metadata) and must not appear under its name before it is complete; a recycled one keeps its bytes.
package struct SegmentPreparation: Equatable, Sendable {
  package var file: UInt32
  package var bytes: UInt64
  package var isFresh: Bool
}

/// What writes wait for.
package enum Shortage: Equatable, Sendable {
  /// Only the reserve is left of what the log may take: a node lacks its entries.
  case cap
  /// The disk has no room for what must grow.
  case disk
  /// The pages fill what they may take. Said by who keeps pages; the journal never does.
  case pages
}

/// Where and how the world failed the journal.
package struct JournalFault: Error, Equatable, Sendable {
  package enum Kind: Equatable, Sendable { case write, prepare, read, damage }
  package var kind: Kind
  package var file: UInt32
  package var offset: UInt64
  /// Zero when the system reported success but the bytes are not what was written.
  package var errno: Int32
}

package enum LoadFailure: Equatable, Sendable {
  /// The first entry asked for is not in the log on disk: older than its start, replaced, or not durable yet.
  case notHere
  case fault(JournalFault)
}

/// A start whose start block became durable, and the file that this one was written to.
package struct OpenedStart: Equatable, Sendable {
  package var boot: UInt64
  package var file: UInt32
  package init(boot: UInt64, file: UInt32) {
    self.boot = boot
    self.file = file
  }
}

/// A segment file as found in the directory.
package struct JournalFile: Equatable, Sendable {
  package var file: UInt32
  package var bytes: UInt64
  package init(file: UInt32, bytes: UInt64) {
    self.file = file
    self.bytes = bytes
  }
}

package struct JournalStatistics: Equatable, Sendable {
  package var blocksWritten: UInt64 = 0
  package var bytesWritten: UInt64 = 0
  package var recordsWritten: UInt64 = 0
  package var payloadBytesWritten: UInt64 = 0
  package var seals: UInt64 = 0
  package var segmentsFreed: UInt64 = 0
}
