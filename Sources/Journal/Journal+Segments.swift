import DequeModule
import Primitives
import Raft

// Room for the next block, the spare segment, and freeing of old ones.

/// Where the next block goes and how large it may be.
struct BlockRoom: Equatable {
  let bytes: Int
  var needsNextSegment = false
  /// Only the tail reserve is left: the block may hold nothing but what frees a segment.
  var isForFreeingOnly = false
}

extension Journal {
  /// What a block needs at least: its header, its summaries, some content, its tail.
  private var blockBytesMin: UInt64 {
    let summaries = summariesToRepeat.reduce(10) { $0 + $1.bytesMax }
    return UInt64(JournalFormat.roundUp(JournalFormat.headerBytes + summaries + 512 + JournalFormat.tailBytes))
  }

  /// Room for the next block, or nil when it has to wait for a segment.
  func plannedRoom(forFreeing: Bool = false) -> BlockRoom? {
    guard let current = segments.current else { return nil }
    let needed = blockBytesMin
    let isSpareReady = readySpare != nil
    let reserve = isSpareReady ? 0 : settings.tailReserve
    if current.room >= needed + reserve {
      return BlockRoom(bytes: blockBytes(in: current.room - reserve))
    }
    if isSpareReady {
      return BlockRoom(bytes: blockBytes(in: settings.segmentBytes), needsNextSegment: true)
    }
    guard forFreeing || !restated.isEmpty, current.room >= needed else { return nil }
    // What is left is for a block that names the next segment before the first block stands in it.
    let room = current.room >= 2 * needed ? current.room - needed : current.room
    return BlockRoom(bytes: blockBytes(in: room), isForFreeingOnly: true)
  }

  /// The file of the next segment, when it has its size.
  var readySpare: UInt32? {
    if case .ready(let file) = files.spare { file } else { nil }
  }

  private func blockBytes(in room: UInt64) -> Int {
    Int(min(UInt64(JournalFormat.blockBytesMax), room / 4096 * 4096))
  }

  /// Seals do not use the tail reserve.
  var hasRoomForSeal: Bool { plannedRoom() != nil }

  /// The spare becomes the current segment under a new use number.
  func moveToSpare() {
    guard case .ready(let file) = files.spare else { preconditionFailure("the next segment is ready") }
    files.spare = .none
    segments.append(Segment(file: file, use: nextUse, bytes: settings.segmentBytes))
    nextUse += 1
  }

  /// Orders the preparation of the next segment unless there is one, none is allowed, or the disk was full just now.
  func prepareAhead(at now: Instant, into effects: inout JournalEffects) {
    removeSurplus(into: &effects)
    if files.spare == .none, let extra = files.extra {
      files.extra = nil
      files.spare = .preparing(file: extra, isFresh: true)
    }
    makeReserve(at: now, into: &effects)
    guard files.spare == .none, phase != .closing || !waiting.isEmpty else { return }
    guard let (file, isFresh) = takeFile(at: now) else { return }
    files.spare = .preparing(file: file, isFresh: isFresh)
    effects.add(.prepare(SegmentPreparation(file: file, bytes: settings.segmentBytes, isFresh: isFresh)))
  }

  /// One file at a time, while nothing more urgent is being made.
  private func makeReserve(at now: Instant, into effects: inout JournalEffects) {
    guard phase == .open, isReserveShort, now >= reserveAgainAt else { return }
    let file = files.takeNumber()
    files.extra = file
    effects.add(.prepare(SegmentPreparation(file: file, bytes: settings.segmentBytes, isFresh: true)))
  }

  var isReserveShort: Bool {
    guard case .ready = files.spare, files.extra == nil else { return false }
    return fileCount < settings.segmentsReserved
  }

  /// A file that is made already needs no room on the disk, so it comes before any that has to be made.
  private func takeFile(at now: Instant) -> (file: UInt32, isFresh: Bool)? {
    if let made = files.takeFree(of: settings.segmentBytes) { return (made, false) }
    if let again = prepareAgainAt, now < again { return nil }
    if let other = files.free.popFirst() { return (other.file, true) }
    return mayExceedCap || fileCount < settings.segmentsMax ? (files.takeNumber(), true) : nil
  }

  /// The start block needs a fresh segment even when the log is full.
  private var mayExceedCap: Bool { phase == .opening && inFlight.isEmpty && files.spare == .none }

  /// Files beyond the cap, which only restarts of a full log make, go when they are free. Not before the start block is
  /// durable: the last block before it may name one of them.
  private func removeSurplus(into effects: inout JournalEffects) {
    guard phase != .opening else { return }
    while fileCount > settings.segmentsMax, let file = files.free.popLast() { effects.add(.remove(file: file.file)) }
  }

  func handleSegmentReady(_ file: UInt32) {
    if files.extra == file {
      files.extra = nil
      return files.free.append(JournalFile(file: file, bytes: settings.segmentBytes))
    }
    guard case .preparing(file, _) = files.spare else { preconditionFailure("the segment being prepared") }
    files.spare = .ready(file: file)
    prepareAgainAt = nil
  }

  func handleSegmentFailed(_ file: UInt32, errno: Int32, at now: Instant, into effects: inout JournalEffects) {
    guard meansNoRoom(errno) else {
      fail(JournalFault(kind: .prepare, file: file, offset: 0, errno: errno), into: &effects)
      return
    }
    if files.extra == file {
      files.extra = nil
      files.unmade.append(file)
      reserveAgainAt = now + settings.prepareAgainAfter
      return
    }
    guard case .preparing(file, let isFresh) = files.spare else { preconditionFailure("the segment being prepared") }
    files.spare = .none
    if isFresh {
      files.unmade.append(file)
    } else {
      files.free.append(JournalFile(file: file, bytes: settings.segmentBytes))
    }
    prepareAgainAt = now + settings.prepareAgainAfter
  }

  // MARK: Freeing

  /// Begins to free the oldest segment when nothing needs it: first its only copies of hard states are queued again.
  func maybeFreeOldest() {
    guard phase == .open, restated.isEmpty else { return }
    while canFreeOldest, let oldest = segments.oldest {
      for slot in shards.logs.indices where shards.logs[slot].hardStateUse == oldest.use { restated.append(slot) }
      guard restated.isEmpty else { return }
      advanceNamedOldest()
    }
  }

  private var canFreeOldest: Bool {
    guard segments.count > 1, let oldest = segments.oldest else { return false }
    let isInsideEntry = cursor.isInsideEntry && cursor.startUse == oldest.use
    return oldest.blockers == 0 && oldest.durableEnd == oldest.end && !isInsideEntry
  }

  /// The hard states of the oldest segment stand in newer blocks (or in this one): from here on blocks name the next one.
  func advanceNamedOldest() {
    guard canFreeOldest, let oldest = segments.oldest,
      !shards.logs.contains(where: { $0.hardStateUse == oldest.use })
    else { return }
    _ = segments.removeOldest()
    for slot in shards.logs.indices { shards.logs[slot].drop(through: oldest.use) }
    files.retiring.append(FilePool.Retiring(file: oldest.file, use: oldest.use, bytes: oldest.bytes))
    namedOldest = segments.oldest?.use ?? nextUse
    isUnsealed = true
    statistics.segmentsFreed += 1
  }
}
