import DequeModule
import Primitives
import Raft

/// # The journal: the Raft log of all groups of a lane, which is the write-ahead log
///
/// Entries, terms and votes of all groups of a lane go into one sequence of *blocks*: aligned, checksummed, each written by
/// one durable write. Blocks fill *segments*, files of a fixed size that are prepared ahead and recycled. Nothing else
/// makes a write durable, and nothing is written twice before it is acknowledged.
///
/// This is a plan, not a driver: it performs no I/O. In go `append`, `load`, `flush` and events (`.written`, …), out come
/// orders (`.write`, `.prepare`, `.read`) and facts for the groups (`.persisted`, `.loaded`). The driver performs the
/// orders in any order and with any overlap. Only `flush` forms blocks: call it once at the end of every turn in which
/// something was appended or an event was stepped.
///
/// ## How a write goes
/// `append` queues an order (entries by reference). `flush` packs all that waits into as few blocks as possible. While
/// the limit of writes in flight is reached, orders wait, and the next flush after a completion packs them together: load
/// makes blocks fuller, not queues longer. An entry larger than the room left is cut into fragments in consecutive blocks.
/// `.persisted` is reported when every block up to the one with the order's end is durable, so always in block order.
///
/// ## What makes the log readable after any crash
/// - A block names data directory, lane, boot, segment use, offset and sequence, and holds the checksum of the block
///   before: a chain. A block of an older use, boot or directory, or one that was written to a wrong place, does not fit.
/// - A block holds the *watermark*: the highest sequence that was contiguously durable when it was made. A bad block at or
///   below a later watermark is damage; above every watermark it is a torn tail, of which nothing was acknowledged.
/// - After 10 ms of idleness, and at shutdown, a *seal* block is written, which puts everything before it below a
///   watermark. A sealed journal costs nothing while idle.
/// - Recovery ends with a durable *start* block in a fresh segment. It names the last block accepted; what stands
///   behind that one in older segments is dead for ever.
/// - A block names the file of the next segment as soon as that is ready, and the size of its own: so a file that is missing
///   or was cut short at the log's end is told from an end. Which file a start began in is remembered outside the log.
/// - A block repeats what the blocks before it held (`BlockSummary`), so that a damaged block's contents have names.
///
/// ## How a segment is freed
/// Oldest first, when every entry in it is covered by every checkpoint that a start may begin with, and held by every voter: a
/// start frees none before the first one is reported. Terms and votes whose only copy it holds are first written again. Then blocks name the next segment as the oldest live one, and when such
/// a block is durable the file may be used again. So replay starts at the highest name found, and whatever older files
/// hold is of no account.
///
/// ## Full and failed
/// The files never exceed the cap. `isFull` turns true while a reserve is left, so that client writes are refused before
/// Raft's own records have no room; it also turns true when the disk has no room for the next segment. When even the
/// reserve is used the journal stalls: what waits stays unacknowledged until a segment is freed or the disk has room. Some
/// segments more than are needed are made as soon as the log is open (`segmentsReserved`), before the disk is full. A
/// failed write, in contrast, is final: after `.failed` no order is acknowledged but those in blocks before the bad one.
///
/// ## Invariants (`checkInvariants`)
/// 1. Blocks in flight have consecutive sequences; the first is `watermark + 1`, the last `nextSequence - 1`.
/// 2. The oldest live segment's use is at least the named oldest, which is at least the durably named oldest.
/// 3. A file is in one place: live, retiring, free or spare; retiring files are not written to.
/// 4. Each shard's index is contiguous and every span blocks a live segment at most once.
///
/// ## What it does not do
/// It does not repair damage (recovery reports it and changes nothing), does not carry old records forward, does not
/// share blocks fairly between groups (first come, first served), and gives files back to the system only beyond the cap.
/// One owner, hence a class: copies would share the buffers, and a struct inside `Node` was copied at calls into this target.
package final class Journal {
  enum Phase: Equatable {
    /// Waiting for the first segment and the start block.
    case opening
    case open
    /// Shutting down: writes what waits, then a seal.
    case closing
    case closed
    case failed(JournalFault)
  }

  let identity: JournalIdentity
  let settings: JournalSettings
  let buffers: BufferPool
  var phase = Phase.opening

  // The chain.
  var nextSequence: UInt64
  var lastChecksum: UInt32
  var nextUse: UInt64
  let accepted: StartPayload
  /// Where the start block stands; zero before it is formed.
  var startFile: UInt32 = 0
  /// The highest sequence contiguously durable.
  package internal(set) var watermark: UInt64
  var inFlight: Deque<BlockInFlight> = []
  /// Summaries of blocks that the next block may have to repeat.
  var recent: Deque<EncodedSummary>
  /// The use that blocks name as the oldest, and the highest such name that is durable.
  var namedOldest: UInt64
  var durableOldest: UInt64

  // What waits.
  var waiting: Deque<WaitingOrder> = []
  var cursor = OrderCursor()
  /// Slots whose hard state must be written again before the oldest segment may be freed.
  var restated: Deque<Int> = []
  package internal(set) var waitingBytes = 0

  // Where things stand.
  var shards: ShardTable
  var segments: SegmentTable
  var files: FilePool
  var loads: [LoadInProgress] = []
  var nextRead: ReadID = 1

  // Time and state of the disk.
  var lastActivity = Instant.zero
  /// Something was written that no later block seals yet.
  var isUnsealed = false
  /// The last preparation was refused for want of space; ordered again at this time.
  var prepareAgainAt: Instant?
  /// The same of the reserve, without which the log can do.
  var reserveAgainAt = Instant.zero
  package internal(set) var statistics = JournalStatistics()

  /// Goes on behind what recovery accepted. Call `flush` to begin; writes are possible at once and reported after `.opened`.
  package init(recovered: RecoveredJournal, identity: JournalIdentity, settings: JournalSettings) {
    settings.check()
    self.identity = identity
    self.settings = settings
    buffers = BufferPool(count: settings.writesInFlightMax)
    accepted = recovered.accepted
    nextSequence = recovered.accepted.sequence + 1
    watermark = recovered.accepted.sequence
    lastChecksum = recovered.accepted.checksum
    nextUse = recovered.nextUse
    namedOldest = recovered.oldestUse
    durableOldest = recovered.oldestUse
    recent = recovered.recent
    shards = recovered.shardTable
    segments = recovered.segments
    files = recovered.files
  }
}

/// A block whose write was ordered and that is not retired yet.
struct BlockInFlight {
  let sequence: UInt64
  let kind: BlockKind
  let use: UInt64
  let write: JournalWrite
  let namedOldest: UInt64
  /// The last order of each shard that ends in this block.
  let ends: [OrderEnd]
  var outcome = Outcome.open

  enum Outcome { case open, written, failed }
}

struct OrderEnd: Equatable {
  let shard: ShardID
  var id: PersistID
}

struct WaitingOrder {
  let slot: Int
  let order: PersistOrder
}

/// How much of the first waiting order is written.
struct OrderCursor: Equatable {
  var hardStateDone = false
  var entry = 0
  /// Bytes of the entry's payload that are written; its first fragment's place stands beside.
  var byte = 0
  var isInsideEntry = false
  var startFile: UInt32 = 0
  var startPage: UInt32 = 0
  var startUse: UInt64 = 0
}

// What the outside asks.
extension Journal {
  /// Queues `order` of `shard`. Nothing leaves before `flush`.
  package func append(shard: ShardID, order: PersistOrder) {
    if case .failed = phase { return }
    precondition(phase != .closing && phase != .closed, "no order after shutdown")
    let slot = shards.obtain(shard)
    waitingBytes += order.entries.reduce(0) { $0 + $1.payload.count }
    waiting.append(WaitingOrder(slot: slot, order: order))
  }

  /// The entry of `shard` at `index`, of `term`, is committed. Written along with the group's next records, so that a start knows it;
  /// orders no write by itself.
  package func noteCommitted(_ shard: ShardID, _ index: LogIndex, _ term: Term) {
    guard let slot = shards.slot(of: shard), index > shards.logs[slot].committed.index else { return }
    shards.logs[slot].committed = TermStart(index: index, term: term)
  }

  /// The bytes of a write: aligned to 4096, stable until it is reported.
  package func bytes(of write: JournalWrite) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: buffers[write.buffer][..<write.count])
  }

  /// False when so much waits that no new client write should be taken in.
  package var canAppend: Bool { waitingBytes < settings.waitingBytesMax }

  /// When to step `.tick`; `never` when nothing is to be done by time.
  package var nextDeadline: Instant {
    var deadline = Instant.never
    if let again = prepareAgainAt, files.spare == .none, phase != .closing || !waiting.isEmpty { deadline = again }
    if phase == .open, isReserveShort { deadline = min(deadline, reserveAgainAt) }
    if isSealDue { deadline = min(deadline, lastActivity + settings.sealAfter) }
    return deadline
  }

  /// True when a seal would be written if nothing came until its time.
  var isSealDue: Bool { phase == .open && isUnsealed && isIdle && hasRoomForSeal }

  var isIdle: Bool { waiting.isEmpty && restated.isEmpty && inFlight.isEmpty }

  package var isOpen: Bool { phase == .open }
  /// This start, once its start block is durable: to be remembered outside the log, which cannot miss its own end.
  package var openedStart: OpenedStart? {
    phase == .opening || startFile == 0 ? nil : OpenedStart(boot: identity.boot, file: startFile)
  }
  package var fault: JournalFault? {
    if case .failed(let fault) = phase { return fault }
    return nil
  }

  /// Bytes of the segments that hold the log.
  package var liveBytes: UInt64 { segments.live.reduce(0) { $0 + $1.bytes } }
  package var segmentCount: Int { segments.count }
  /// All files, with spare and free ones.
  package var fileCount: Int { segments.count + files.count }
  package var fileBytes: UInt64 {
    let made = UInt64((files.spare == .none ? 0 : 1) + (files.extra == nil ? 0 : 1)) * settings.segmentBytes
    return liveBytes + made + files.retiring.reduce(0) { $0 + $1.bytes } + files.free.reduce(0) { $0 + $1.bytes }
  }
  package var capBytes: UInt64 { settings.logBytesMax }

  /// Bytes that may still be written before a segment must be freed.
  package var freeBytes: UInt64 {
    let more = max(0, settings.segmentsMax - segments.count - files.retiring.count)
    return UInt64(more) * settings.segmentBytes + (phase == .opening ? 0 : segments.current?.room ?? 0)
  }

  /// Bytes that may still be written, as far as is known: on a disk without room only what is made already. What waits to be
  /// written is taken off.
  package var roomBytes: UInt64 {
    let there = prepareAgainAt == nil ? freeBytes : madeBytes
    return there - min(there, UInt64(waitingBytes))
  }

  private var madeBytes: UInt64 {
    let spare: UInt64 = if case .ready = files.spare { settings.segmentBytes } else { 0 }
    let free = files.free.reduce(0) { $0 + ($1.bytes == settings.segmentBytes ? $1.bytes : 0) }
    return (segments.current?.room ?? 0) + spare + free
  }

  /// With less no more entries are taken: what is left is for terms, votes and what frees a segment.
  private var roomMin: UInt64 { settings.logBytesMax / 64 }
  package var takesEntries: Bool { canAppend && !isStalled && roomBytes >= roomMin }
  /// Whether there is room for commands that make room. Clients' writes are refused earlier (`shortage`).
  package var takesDeletes: Bool { canAppend && !isStalled && roomBytes >= roomMin + settings.segmentBytes / 8 }

  /// Why client writes are to be refused with disk-full.
  package var shortage: Shortage? {
    if prepareAgainAt != nil { return .disk }
    return freeBytes < settings.reserveBytes ? .cap : nil
  }

  package var isFull: Bool { shortage != nil }

  /// Orders wait and cannot be written before a segment is ready.
  package var isStalled: Bool {
    guard fault == nil, !waiting.isEmpty, inFlight.count < settings.writesInFlightMax else { return false }
    return phase == .opening || plannedRoom() == nil
  }

  /// The entries of `shard` on disk (also in flight); nil when there is none.
  package func indexes(of shard: ShardID) -> ClosedRange<LogIndex>? {
    guard let slot = shards.slot(of: shard), !shards.logs[slot].isEmpty else { return nil }
    return LogIndex(shards.logs[slot].first)...LogIndex(shards.logs[slot].last)
  }

  package func checkInvariants() {
    var next = watermark + 1
    for block in inFlight {
      precondition(block.sequence == next, "blocks in flight are consecutive")
      next += 1
    }
    precondition(next == nextSequence, "every formed block is in flight or durable")
    precondition(durableOldest <= namedOldest, "a durable name was named")
    precondition((segments.oldest?.use ?? .max) >= namedOldest, "the named oldest segment is live or the next one")
    precondition(inFlight.count <= settings.writesInFlightMax, "writes in flight are limited")
    precondition(files.retiring.allSatisfy { $0.use >= durableOldest }, "retiring files wait for a durable name")
    for log in shards.logs { log.checkInvariants() }
  }
}
