import DequeModule
import Primitives
import Raft

// Forming blocks: the start block, blocks of records, seals.

extension Journal {
  /// Ends a turn: forms blocks of all that waits, as many as may be in flight.
  package func flush(at now: Instant, into effects: inout JournalEffects) {
    if fault != nil || phase == .closed { return }
    prepareAhead(at: now, into: &effects)
    if phase == .opening {
      formStart(into: &effects)
      return
    }
    skipEmptyOrders(into: &effects)
    while hasRecordsWaiting, inFlight.count < settings.writesInFlightMax, let room = plannedRoom() {
      formRecords(in: room, into: &effects)
      lastActivity = now
      prepareAhead(at: now, into: &effects)
    }
    maybeSeal(at: now, into: &effects)
  }

  var hasRecordsWaiting: Bool { !waiting.isEmpty || !restated.isEmpty }

  /// An order without content is as durable as the order before it.
  private func skipEmptyOrders(into effects: inout JournalEffects) {
    guard inFlight.isEmpty else { return }
    while let first = waiting.first, first.order.hardState == nil, first.order.entries.isEmpty {
      waiting.removeFirst()
      effects.add(.persisted(shards.logs[first.slot].shard, first.order.id))
    }
  }

  // MARK: Kinds of blocks

  private func formStart(into effects: inout JournalEffects) {
    guard inFlight.isEmpty, case .ready = files.spare else { return }
    moveToSpare()
    startFile = segments.current?.file ?? 0
    if namedOldest == 0 { namedOldest = segments.oldest?.use ?? 0 }
    var block = beginBlock(room: JournalFormat.blockBytesMax)
    block.writer.appendRaw(accepted.encoded)
    finish(block, kind: .start, into: &effects)
  }

  private func formRecords(in room: BlockRoom, into effects: inout JournalEffects) {
    if room.needsNextSegment { moveToSpare() }
    var block = beginBlock(room: room.bytes)
    while let slot = restated.first, restate(slot, in: &block) { restated.removeFirst() }
    if restated.isEmpty {
      advanceNamedOldest()
      if !room.isForFreeingOnly {
        while !waiting.isEmpty, writeFirstOrder(in: &block) { endFirstOrder(in: &block) }
        for slot in block.slots { writeCommitted(slot, in: &block) }
      }
    }
    finish(block, kind: block.writer.isEmpty ? .seal : .records, into: &effects)
  }

  /// Seals after idleness, at shutdown, or when only a durable name of the oldest segment lets the log go on.
  private func maybeSeal(at now: Instant, into effects: inout JournalEffects) {
    guard isIdle || (inFlight.isEmpty && mustNameOldest) else { return }
    if phase == .closing {
      if isUnsealed, hasRoomForSeal { formSeal(into: &effects) } else { close(into: &effects) }
    } else if isUnsealed, hasRoomForSeal || mustNameOldest,
      now >= lastActivity + settings.sealAfter || mustNameOldest
    {
      formSeal(into: &effects)
    }
  }

  /// Every free file waits for a block that names a newer oldest segment.
  private var mustNameOldest: Bool {
    files.spare == .none && files.free.isEmpty && !files.retiring.isEmpty && durableOldest < namedOldest
  }

  private func formSeal(into effects: inout JournalEffects) {
    guard let room = plannedRoom(forFreeing: true) else { return }
    if room.needsNextSegment { moveToSpare() }
    finish(beginBlock(room: room.bytes), kind: .seal, into: &effects)
    isUnsealed = false
    statistics.seals += 1
  }

  func close(into effects: inout JournalEffects) {
    phase = .closed
    effects.add(.closed)
  }

  // MARK: Records

  /// Writes what fits of the first waiting order. True when it is complete.
  private func writeFirstOrder(in block: inout FormingBlock) -> Bool {
    let first = waiting[0]
    if !cursor.hardStateDone, let hardState = first.order.hardState {
      guard writeHardState(hardState, slot: first.slot, in: &block) else { return false }
      cursor.hardStateDone = true
    }
    while cursor.entry < first.order.entries.count {
      guard writeFragment(of: first.order.entries[cursor.entry], slot: first.slot, in: &block) else { return false }
    }
    return true
  }

  private func endFirstOrder(in block: inout FormingBlock) {
    let done = waiting.removeFirst()
    waitingBytes -= done.order.entries.reduce(0) { $0 + $1.payload.count }
    cursor = OrderCursor()
    block.noteEnd(shards.logs[done.slot].shard, done.order.id)
  }

  /// Writes a hard state again whose only copy stands in the segment that is to be freed. False when the block is full.
  private func restate(_ slot: Int, in block: inout FormingBlock) -> Bool {
    guard let hardState = shards.logs[slot].hardState, let oldest = segments.oldest,
      shards.logs[slot].hardStateUse == oldest.use
    else { return true }
    return writeHardState(hardState, slot: slot, in: &block)
  }

  private func writeHardState(_ hardState: HardState, slot: Int, in block: inout FormingBlock) -> Bool {
    let vote = encodeVote(hardState)
    guard block.writer.room >= JournalFormat.recordHeaderBytes + vote.count,
      let position = noteGroup(slot, in: &block)
    else { return false }
    let header = RecordHeader(
      kind: .hardState, bytes: UInt32(vote.count), total: UInt32(vote.count), shard: shards.logs[slot].shard,
      term: hardState.term)
    block.writer.append(header, payload: vote)
    block.groups[position].hardState = hardState
    shards.logs[slot].hardState = hardState
    shards.logs[slot].hardStateUse = block.use
    statistics.recordsWritten += 1
    return true
  }

  /// What of a group that has records in the block is committed, if there is room and a block has not said it.
  private func writeCommitted(_ slot: Int, in block: inout FormingBlock) {
    let committed = shards.logs[slot].committed
    guard committed.index > shards.logs[slot].committedWritten,
      block.writer.room >= JournalFormat.recordHeaderBytes
    else { return }
    let header = RecordHeader(
      kind: .committed, bytes: 0, total: 0, shard: shards.logs[slot].shard, index: committed.index,
      term: committed.term)
    block.writer.append(header, payload: [])
    shards.logs[slot].committedWritten = committed.index
    statistics.recordsWritten += 1
  }

  /// Writes as much of `entry` as fits. False when the block is full.
  private func writeFragment(of entry: Entry, slot: Int, in block: inout FormingBlock) -> Bool {
    precondition(entry.payload.count <= JournalFormat.entryBytesMax, "an entry of at most 1.2 MiB")
    let rest = entry.payload.count - cursor.byte
    let room = block.writer.room - JournalFormat.recordHeaderBytes
    guard room >= rest || room >= (block.writer.isEmpty ? 1 : FormingBlock.fragmentBytesMin),
      let position = noteGroup(slot, in: &block)
    else { return false }
    let count = min(rest, room)
    let isFirst = !cursor.isInsideEntry
    if isFirst { beginEntry(in: block) }
    block.writer.append(
      fragmentHeader(entry, shard: shards.logs[slot].shard, count: count, isFirst: isFirst, isLast: count == rest),
      payload: entry.payload, from: cursor.byte)
    block.groups[position].note(index: entry.index, term: entry.term)
    cursor.byte += count
    statistics.recordsWritten += 1
    statistics.payloadBytesWritten += UInt64(count)
    if count == rest { endEntry(entry, slot: slot, in: block) }
    return count == rest
  }

  private func fragmentHeader(
    _ entry: Entry, shard: ShardID, count: Int, isFirst: Bool, isLast: Bool
  ) -> RecordHeader {
    RecordHeader(
      kind: .append,
      flags: (isFirst ? RecordHeader.firstFragment : 0) | (isLast ? RecordHeader.lastFragment : 0),
      entryKind: entry.kind.rawValue, bytes: UInt32(count), total: UInt32(entry.payload.count), shard: shard,
      index: entry.index, term: entry.term)
  }

  private func beginEntry(in block: FormingBlock) {
    cursor.isInsideEntry = true
    cursor.startFile = block.file
    cursor.startPage = block.page
    cursor.startUse = block.use
  }

  private func endEntry(_ entry: Entry, slot: Int, in block: FormingBlock) {
    let place = EntryPlace(
      file: cursor.startFile, page: cursor.startPage, endFile: block.file, endPage: EntryPlace.unfinished,
      size: UInt32(entry.payload.count))
    shards.logs[slot].append(entry.index.rawValue, place, use: cursor.startUse, segments: &segments)
    cursor.entry += 1
    cursor.byte = 0
    cursor.isInsideEntry = false
  }

  /// The position of the shard's summary in the block, made when new. Nil when the block has as many as it may.
  private func noteGroup(_ slot: Int, in block: inout FormingBlock) -> Int? {
    if shards.logs[slot].summarySequence == block.sequence { return shards.logs[slot].summaryPosition }
    guard block.groups.count < FormingBlock.groupsMax else { return nil }
    block.groups.append(GroupSummary(shard: shards.logs[slot].shard))
    block.slots.append(slot)
    shards.logs[slot].summarySequence = block.sequence
    shards.logs[slot].summaryPosition = block.groups.count - 1
    return block.groups.count - 1
  }

  // MARK: A block's beginning and end

  private func beginBlock(room: Int) -> FormingBlock {
    guard let buffer = buffers.take(), let segment = segments.current else {
      preconditionFailure("a buffer for every write in flight, and a segment")
    }
    return FormingBlock(
      sequence: nextSequence, file: segment.file, use: segment.use, offset: segment.end, buffer: buffer,
      writer: BlockWriter(buffers[buffer], capacity: min(room, Int(segment.room)), summaries: encodedSummaries()))
  }

  private func finish(_ formed: FormingBlock, kind: BlockKind, into effects: inout JournalEffects) {
    var block = formed
    let (length, checksum) = block.writer.finish(header(of: block, kind: kind))
    for slot in block.slots {
      shards.logs[slot].finishPlaces(endPage: block.page + UInt32(length / JournalFormat.pageBytes))
    }
    let write = JournalWrite(
      id: block.sequence, file: block.file, offset: block.offset, buffer: block.buffer, count: length)
    inFlight.append(
      BlockInFlight(
        sequence: block.sequence, kind: kind, use: block.use, write: write, namedOldest: namedOldest, ends: block.ends))
    remember(
      EncodedSummary(
        sequence: block.sequence, pages: UInt32(length / JournalFormat.pageBytes), groups: block.groups))
    segments.extendCurrent(by: length)
    lastChecksum = checksum
    nextSequence += 1
    isUnsealed = isUnsealed || kind == .records
    statistics.blocksWritten += 1
    statistics.bytesWritten += UInt64(length)
    effects.add(.write(write))
    #if PLANTED_BUGS
      if PlantedBug.ackBeforeFlush.isPlanted {
        for end in block.ends { effects.add(.persisted(end.shard, end.id)) }
      }
    #endif
  }

  private func header(of block: FormingBlock, kind: BlockKind) -> BlockHeader {
    BlockHeader(
      kind: kind, directory: identity.directory, lane: identity.lane, boot: identity.boot,
      previousChecksum: lastChecksum, use: block.use, sequence: block.sequence, watermark: watermark,
      oldestUse: namedOldest, offset: block.offset,
      segmentPages: UInt32((segments.current?.bytes ?? 0) / UInt64(JournalFormat.pageBytes)), nextFile: readySpare ?? 0)
  }

  // MARK: Summaries

  /// The blocks that the next block repeats: those not durable yet and at least the two before it.
  var summariesToRepeat: Deque<EncodedSummary>.SubSequence {
    let from = min(watermark + 1, nextSequence > 2 ? nextSequence - 2 : 1)
    let start = recent.firstIndex { $0.sequence >= from } ?? recent.endIndex
    return recent[start...]
  }

  private func encodedSummaries() -> [UInt8] {
    let repeated = summariesToRepeat
    var writer = ByteWriter(capacity: 64)
    writer.writeVarint(UInt64(repeated.count))
    for summary in repeated { summary.encode(to: &writer, by: nextSequence) }
    return writer.bytes
  }

  private func remember(_ summary: EncodedSummary) {
    recent.append(summary)
    while recent.count > settings.writesInFlightMax + 2 { recent.removeFirst() }
  }
}

/// A block while it is filled.
struct FormingBlock {
  /// Fewer bytes than this of a larger entry are not put at a block's end.
  static let fragmentBytesMin = 1024
  /// With six blocks repeated, summaries stay below 200 KiB of a block whatever the numbers are.
  static let groupsMax = 400

  let sequence: UInt64
  let file: UInt32
  let use: UInt64
  let offset: UInt64
  let buffer: Int
  var writer: BlockWriter
  var groups: [GroupSummary] = []
  var slots: [Int] = []
  var ends: [OrderEnd] = []

  var page: UInt32 { UInt32(offset / UInt64(JournalFormat.pageBytes)) }

  mutating func noteEnd(_ shard: ShardID, _ id: PersistID) {
    if let last = ends.last, last.shard == shard {
      ends[ends.count - 1].id = id
    } else {
      ends.append(OrderEnd(shard: shard, id: id))
    }
  }

  init(sequence: UInt64, file: UInt32, use: UInt64, offset: UInt64, buffer: Int, writer: BlockWriter) {
    self.sequence = sequence
    self.file = file
    self.use = use
    self.offset = offset
    self.buffer = buffer
    self.writer = writer
  }
}
