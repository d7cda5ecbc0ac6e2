import DequeModule
import Primitives
import Raft

/// An entry of which fragments are still to come.
private struct PendingEntry {
  let slot: Int
  let header: RecordHeader
  let file: UInt32
  let page: UInt32
  let use: UInt64
  var bytes: Int
  /// Empty when the entry is in the checkpoint.
  var payload: [UInt8]

  /// The first fragment. The others find room.
  mutating func begin(_ fragment: UnsafeRawBufferPointer) {
    payload.reserveCapacity(Int(header.total))
    payload.append(contentsOf: fragment)
  }
}

/// Where the chain ended.
struct ChainEnd: Equatable {
  let segment: Int
  let offset: UInt64
}

/// Follows the chain and rebuilds each shard's log.
struct Replay {
  private let identity: JournalIdentity
  let checkpoints: [ShardCheckpoint]
  private var shards = ShardTable()
  private var segments = SegmentTable()
  /// By slot: what the checkpoint holds, and what is kept of the entries after it.
  private var applied: [UInt64] = []
  private var kept: [KeptEntries] = []
  private let entriesBytesMax: Int
  /// Takes an entry that is known to be committed; false when it and all behind it are for later.
  private let take: ((ShardID, Entry) -> Bool)?
  private var isTaking: Bool
  private(set) var hasTaken = false
  private var pending: PendingEntry?
  /// Until the first record that begins something, fragments may belong to an entry that began in a freed segment.
  private var mayBeOrphan = true

  /// The segment last looked at: if the walk throws, the one that is damaged.
  private(set) var failedAt: Int?
  private(set) var last: StartPayload?
  private(set) var boot: UInt64 = 0
  private(set) var oldestUse: UInt64 = 0
  private var recent: Deque<EncodedSummary> = []
  private var blockCount: UInt64 = 0
  private var recordCount: UInt64 = 0
  private var bytesReplayed: UInt64 = 0
  private var tornTail: TornTail?
  /// The file that the last block names for the next segment; zero for none.
  private(set) var nextFile: UInt32 = 0
  /// The highest use of a whole block behind an older first block.
  private var newestUse: UInt64 = 0

  init(
    identity: JournalIdentity, checkpoints: [ShardCheckpoint], entriesBytesMax: Int,
    take: ((ShardID, Entry) -> Bool)? = nil
  ) {
    self.identity = identity
    self.entriesBytesMax = entriesBytesMax
    self.take = take
    isTaking = take != nil
    self.checkpoints = checkpoints.sorted { $0.shard < $1.shard }
    for checkpoint in self.checkpoints {
      _ = slot(of: checkpoint.shard)
      applied[applied.count - 1] = checkpoint.appliedIndex.rawValue
      kept[kept.count - 1] = KeptEntries(applied: checkpoint.appliedIndex)
    }
  }

  private mutating func slot(of shard: ShardID) -> Int {
    let slot = shards.obtain(shard)
    if slot == applied.count {
      applied.append(0)
      kept.append(KeptEntries(applied: .zero))
    }
    return slot
  }

  var expected: UInt64 { (last?.sequence ?? 0) + 1 }

  // MARK: Chain

  /// Replays all accepted blocks, beginning with the segment at `from`, and checks that they end where they may.
  mutating func walk(_ survey: Survey, from: Int, window: SegmentWindow) throws(JournalRefusal) {
    var end: ChainEnd?
    for position in survey.segments.indices where position >= from && !survey.segments[position].isDead {
      let segment = survey.segments[position]
      if end != nil, !links(segment) { break }
      failedAt = position
      if segment.head == nil {
        throw lost(in: segment.file.file, at: 0, survey.segments[position...].flatMap(\.strays))
      }
      end = ChainEnd(segment: position, offset: try walk(segment, window: window))
    }
    if let end { try checkEnd(end, survey: survey, window: window) }
  }

  /// True when the segment's first block continues the chain.
  private func links(_ segment: FoundSegment) -> Bool {
    guard let head = segment.head?.header, let last else { return false }
    return follows(head, after: last)
  }

  private func follows(_ header: BlockHeader, after last: StartPayload) -> Bool {
    header.sequence == last.sequence + 1 && header.previousChecksum == last.checksum
      && (header.boot == boot ? header.kind != .start : header.boot > boot && header.kind == .start)
  }

  /// Replays one segment to its end, its named end or its first bad block. Returns the offset there.
  private mutating func walk(_ segment: FoundSegment, window: SegmentWindow) throws(JournalRefusal) -> UInt64 {
    segments.append(Segment(file: segment.file.file, use: segment.use, bytes: segment.file.bytes))
    var offset: UInt64 = 0
    while (last?.sequence ?? 0) < segment.limit {
      guard case .success(let block) = try window.block(of: segment.file, at: offset),
        accepts(block.header, use: segment.use, offset: offset)
      else { break }
      try accept(block, file: segment.file)
      offset += UInt64(block.bytes.count)
    }
    segments.setEnd(offset)
    return offset
  }

  private func accepts(_ header: BlockHeader, use: UInt64, offset: UInt64) -> Bool {
    guard header.use == use, header.offset == offset, header.directory == identity.directory,
      header.lane == identity.lane
    else { return false }
    guard let last else { return offset == 0 }
    return follows(header, after: last)
  }

  private mutating func accept(_ block: BlockView, file: JournalFile) throws(JournalRefusal) {
    let header = block.header
    if header.kind == .start { pending = nil }
    boot = header.boot
    let groups = try apply(block, file: file)
    last = StartPayload(sequence: header.sequence, checksum: header.checksum, use: header.use)
    oldestUse = max(oldestUse, header.oldestUse)
    nextFile = header.nextFile
    recent.append(EncodedSummary(sequence: header.sequence, pages: header.length / 4096, groups: groups))
    if recent.count > 2 { recent.removeFirst() }
    blockCount += 1
    bytesReplayed += UInt64(header.length)
  }

  // MARK: The end

  /// Tells a torn tail from damage. Throws when a block was durable that is not there.
  private mutating func checkEnd(_ end: ChainEnd, survey: Survey, window: SegmentWindow) throws(JournalRefusal) {
    let segment = survey.segments[end.segment]
    let later = survey.segments[(end.segment + 1)...].filter { !$0.isDead }
    var evidence = later.flatMap { ($0.head.map { [$0] } ?? []) + $0.strays }
    let behind = end.offset + UInt64(JournalFormat.pageBytes)
    evidence += try Survey.sightings(in: segment.file, from: behind, window: window, identity: identity)
    for other in later {
      evidence += try Survey.sightings(in: other.file, from: 4096, window: window, identity: identity)
    }
    evidence.removeAll { $0.header.use < segment.use || $0.header.sequence < expected }
    let headless = later.first { $0.head == nil }
    let isHere = try beginsBlock(segment, at: end.offset, window: window)
    guard segment.limit != .max || evidence.contains(where: { $0.header.watermark >= expected }) else {
      if isHere || !evidence.isEmpty { tornTail = TornTail(file: segment.file.file, offset: end.offset) }
      return
    }
    if let headless, !isHere { throw lost(in: headless.file.file, at: 0, evidence) }
    throw lost(in: segment.file.file, at: end.offset, evidence)
  }

  /// True when the bytes look like a block of this segment, though a bad one.
  private func beginsBlock(
    _ segment: FoundSegment, at offset: UInt64, window: SegmentWindow
  ) throws(JournalRefusal) -> Bool {
    guard let page = try window.bytes(of: segment.file, at: offset, count: 4096, ahead: 0) else { return false }
    return BlockPrefix(page) != nil && read64(page, 40) == segment.use
  }

  private func lost(in file: UInt32, at offset: UInt64, _ evidence: [Sighting]) -> JournalRefusal {
    let held = evidence.lazy.flatMap(\.held).first { $0.sequence == expected }?.groups
    return .damage(JournalDamage(kind: .lostBlock, file: file, offset: offset, sequence: expected, held: held))
  }

  // MARK: Records

  private mutating func apply(_ block: BlockView, file: JournalFile) throws(JournalRefusal) -> [GroupSummary] {
    let header = block.header
    guard header.kind != .start || block.start?.sequence == header.sequence - 1 else { throw malformed(header, file) }
    guard header.kind == .records else { return [] }
    var groups = SummaryBuilder()
    var cursor = RecordCursor(block.payload)
    while let (record, payload) = cursor.next() {
      let slot = slot(of: record.shard)
      switch record.kind {
      case .append:
        groups.note(record)
        guard takeFragment(record, payload, slot: slot, block: header, file: file.file) else {
          throw malformed(header, file)
        }
      case .hardState:
        guard let hardState = decodeHardState(record, payload) else { throw malformed(header, file) }
        groups.note(record, hardState)
        shards.logs[slot].hardState = hardState
        shards.logs[slot].hardStateUse = header.use
      case .committed: kept[slot].noteCommitted(record.index, record.term)
      }
      recordCount += 1
    }
    if cursor.isMalformed { throw malformed(header, file) }
    for slot in kept.indices where isTaking { takeCommitted(slot) }
    return groups.groups
  }

  private mutating func takeCommitted(_ slot: Int) {
    guard let take else { return }
    while isTaking, let entry = kept[slot].nextCommitted {
      // Part of it may be applied even if it is for later as a whole.
      hasTaken = true
      isTaking = take(shards.logs[slot].shard, entry)
      guard isTaking else { return }
      kept[slot].takeNext()
    }
  }

  private func malformed(_ header: BlockHeader, _ file: JournalFile) -> JournalRefusal {
    .damage(
      JournalDamage(
        kind: .malformed, file: file.file, offset: header.offset, sequence: header.sequence, held: nil))
  }

  /// Takes one fragment; with its last one the entry is in. False when it does not fit what came before.
  private mutating func takeFragment(
    _ record: RecordHeader, _ payload: UnsafeRawBufferPointer, slot: Int, block: BlockHeader, file: UInt32
  ) -> Bool {
    let page = UInt32(block.offset / 4096)
    let endPage = page + block.length / 4096
    if record.isFirst {
      guard pending == nil else { return false }
      mayBeOrphan = false
      let start = PendingEntry(
        slot: slot, header: record, file: file, page: page, use: block.use, bytes: payload.count, payload: [])
      if record.isLast { return complete(start, payload, endFile: file, endPage: endPage) }
      pending = start
      if isWanted(record, slot: slot) { pending?.begin(payload) }
      return true
    }
    guard var entry = pending else { return mayBeOrphan }
    pending = nil
    guard entry.header.shard == record.shard, entry.header.index == record.index, entry.header.term == record.term,
      entry.header.total == record.total
    else { return false }
    entry.bytes += payload.count
    if record.isLast { return complete(entry, payload, endFile: file, endPage: endPage) }
    if isWanted(record, slot: slot) { entry.payload.append(contentsOf: payload) }
    pending = entry
    return true
  }

  private func isWanted(_ record: RecordHeader, slot: Int) -> Bool { record.index.rawValue > applied[slot] }

  private mutating func complete(
    _ entry: PendingEntry, _ lastFragment: UnsafeRawBufferPointer, endFile: UInt32, endPage: UInt32
  ) -> Bool {
    let record = entry.header
    let slot = entry.slot
    let index = record.index.rawValue
    guard entry.bytes == Int(record.total), let kind = EntryKind(rawValue: record.entryKind), index > 0,
      shards.logs[slot].continues(at: index)
    else { return false }
    let place = EntryPlace(
      file: entry.file, page: entry.page, endFile: endFile, endPage: endPage, size: record.total)
    shards.logs[slot].append(index, place, use: entry.use, segments: &segments)
    return keep(record, kind, entry.payload, lastFragment, slot: slot)
  }

  /// Keeps an entry after the checkpoint, in place of those from its index on. False when its term is below that of the
  /// entry before.
  private mutating func keep(
    _ record: RecordHeader, _ kind: EntryKind, _ begun: [UInt8], _ lastFragment: UnsafeRawBufferPointer, slot: Int
  ) -> Bool {
    guard kept[slot].cut(from: record.index) else { return false }
    guard isWanted(record, slot: slot) else { return true }
    guard record.term >= kept[slot].lastTerm else { return false }
    var payload = begun
    if payload.isEmpty { payload = Array(lastFragment) } else { payload.append(contentsOf: lastFragment) }
    kept[slot].append(
      Entry(index: record.index, term: record.term, kind: kind, payload: payload), bytesMax: entriesBytesMax)
    return true
  }

  // MARK: Result

  mutating func result(
    _ survey: Survey, window: SegmentWindow
  ) throws(JournalRefusal) -> RecoveredJournal {
    try dropFreed()
    try checkIdleFiles(survey, window: window)
    try checkAgainstCheckpoints()
    for position in checkpoints.indices { cover(checkpoints[position]) }
    let live = segments.live.map(\.file)
    var pool = FilePool()
    let idle = survey.files.filter { !live.contains($0.file) }
    let uses = survey.segments
    func age(_ file: JournalFile) -> UInt64 { uses.first { $0.file == file }?.use ?? 0 }
    pool.free = Deque(idle.sorted { (age($0), $0.file) < (age($1), $1.file) })
    pool.nextFile = (survey.files.last?.file).map { $0 + 1 } ?? 1
    return RecoveredJournal(
      shards: recoveredShards(), accepted: last ?? StartPayload(sequence: 0, checksum: 0, use: 0),
      oldestUse: oldestUse, nextUse: max(newestUse, survey.segments.map(\.use).max() ?? 0) + 1, blockCount: blockCount,
      recordCount: recordCount, bytesReplayed: bytesReplayed, tornTail: tornTail, shardTable: shards,
      segments: segments,
      files: pool, recent: recent)
  }

  /// Segments older than the highest name found are free, whatever they hold.
  private mutating func dropFreed() throws(JournalRefusal) {
    guard let first = segments.oldest else { return }
    guard first.use <= oldestUse else {
      throw .damage(
        JournalDamage(kind: .lostBlock, file: first.file, offset: 0, sequence: 0, held: nil))
    }
    while let oldest = segments.oldest, oldest.use < oldestUse {
      _ = segments.removeOldest()
      for slot in shards.logs.indices { shards.logs[slot].drop(through: oldest.use) }
    }
  }

  /// A file without a live segment may hold blocks of a newer use behind an old first block, when the new first block was
  /// lost. They count like any other evidence, and their use number is not given again.
  private mutating func checkIdleFiles(_ survey: Survey, window: SegmentWindow) throws(JournalRefusal) {
    let current = segments.current?.use ?? 0
    for idle in survey.segments where idle.head != nil && segments.position(use: idle.use) == nil {
      let found = try Survey.sightings(in: idle.file, from: 4096, window: window, identity: identity)
        .filter { $0.header.use > idle.use }
      newestUse = max(newestUse, found.map(\.header.use).max() ?? 0)
      let evidence = found.filter { $0.header.use > current && $0.header.sequence >= expected }
      if evidence.contains(where: { $0.header.watermark >= expected }) {
        throw lost(in: idle.file.file, at: 0, evidence)
      }
    }
  }

  /// What the log must hold by the rule that frees segments: everything after each checkpoint, or nothing.
  private func checkAgainstCheckpoints() throws(JournalRefusal) {
    for (slot, log) in shards.logs.enumerated() where !log.isEmpty || !kept[slot].isEmpty {
      guard !log.isEmpty, log.first <= applied[slot] + 1, log.last >= applied[slot] else {
        let file = segments.live.last?.file ?? 0
        throw .damage(
          JournalDamage(kind: .lostEntries, file: file, offset: 0, sequence: expected, held: nil))
      }
    }
  }

  /// The higher term and vote counts. No segment may go yet: an older checkpoint may need it, until the next one is durable.
  private mutating func cover(_ checkpoint: ShardCheckpoint) {
    let slot = slot(of: checkpoint.shard)
    guard let held = checkpoint.hardState else { return }
    if shards.logs[slot].hardState.map({ held.covers($0) }) ?? true { shards.logs[slot].hardState = held }
  }

  private mutating func recoveredShards() -> [RecoveredShard] {
    var result: [RecoveredShard] = []
    for (slot, log) in shards.logs.enumerated() {
      let hardState = log.hardState ?? HardState(term: .zero, vote: nil)
      result.append(
        RecoveredShard(
          shard: log.shard, hardState: hardState, logStart: LogIndex(log.isEmpty ? applied[slot] + 1 : log.first),
          lastIndex: LogIndex(log.isEmpty ? applied[slot] : log.last), taken: kept[slot].taken,
          entries: Array(kept[slot].entries), terms: kept[slot].terms, configurations: kept[slot].configurations))
      kept[slot] = KeptEntries(applied: kept[slot].taken)
    }
    return result.sorted { $0.shard < $1.shard }
  }
}

/// The summary of a block's records, made when it is read.
struct SummaryBuilder {
  private(set) var groups: [GroupSummary] = []

  private mutating func position(of shard: ShardID) -> Int {
    if let position = groups.lastIndex(where: { $0.shard == shard }) { return position }
    groups.append(GroupSummary(shard: shard))
    return groups.count - 1
  }

  mutating func note(_ record: RecordHeader) {
    groups[position(of: record.shard)].note(index: record.index, term: record.term)
  }

  mutating func note(_ record: RecordHeader, _ hardState: HardState) {
    groups[position(of: record.shard)].hardState = hardState
  }
}
