import Primitives

/// A whole block met outside the chain.
struct Sighting: Equatable {
  let file: UInt32
  let header: BlockHeader
  let held: [BlockSummary]

  init(file: UInt32, _ block: BlockView) {
    self.file = file
    header = block.header
    held = (try? block.summaries()) ?? []
  }
}

/// A file that holds a segment of ours, of whatever age.
struct FoundSegment {
  let file: JournalFile
  let use: UInt64
  /// The first block; nil when it is bad.
  let head: Sighting?
  /// When the first block is bad: whole blocks of the same use behind it.
  let strays: [Sighting]
  /// The last sequence in this segment that a later start block accepted.
  var limit = UInt64.max

  /// The size that its blocks give the file; zero when none says it.
  var saidBytes: UInt64 { ([head].compactMap { $0 } + strays).map(\.header.segmentBytes).max() ?? 0 }
  var firstSequence: UInt64 { head?.header.sequence ?? strays.first?.header.sequence ?? 0 }
  /// Wholly behind a named end: never part of the log again.
  var isDead: Bool { firstSequence > limit }
}

/// The segments by use number, with the ends that start blocks name.
struct Survey {
  let files: [JournalFile]
  private(set) var segments: [FoundSegment] = []

  init(_ files: [JournalFile], window: SegmentWindow, identity: JournalIdentity) throws(JournalRefusal) {
    self.files = files
    for file in files {
      if let found = try Self.look(at: file, window: window, identity: identity) { segments.append(found) }
    }
    segments.sort { ($0.use, $0.firstSequence) < ($1.use, $1.firstSequence) }
    setLimits()
    for (one, other) in zip(segments, segments.dropFirst()) where one.use == other.use {
      throw .damage(
        JournalDamage(
          kind: .malformed, file: other.file.file, offset: 0, sequence: other.firstSequence, held: nil))
    }
  }

  /// The segment that replay begins with.
  var firstPosition: Int {
    let from = replayFrom
    return segments.firstIndex { !$0.isDead && $0.use >= from } ?? segments.count
  }

  /// The next segment that replay could begin with.
  func position(after position: Int) -> Int? {
    guard position < segments.count else { return nil }
    return segments[(position + 1)...].firstIndex { !$0.isDead && $0.head != nil }
  }

  private mutating func setLimits() {
    var limit = UInt64.max
    for position in segments.indices.reversed() {
      segments[position].limit = limit
      if let head = segments[position].head?.header, head.kind == .start, !segments[position].isDead {
        limit = head.sequence - 1
      }
    }
  }

  private static func look(
    at file: JournalFile, window: SegmentWindow, identity: JournalIdentity
  ) throws(JournalRefusal) -> FoundSegment? {
    switch try window.block(of: file, at: 0, ahead: 0) {
    case .success(let block):
      try admit(block.header, file: file, identity: identity)
      if block.header.offset == 0 {
        return FoundSegment(file: file, use: block.header.use, head: Sighting(file: file.file, block), strays: [])
      }
    case .failure(.version(let version)): throw .unknownVersion(file: file.file, version: version)
    case .failure: break
    }
    var strays = try sightings(in: file, from: 4096, window: window, identity: identity)
    guard let use = strays.map(\.header.use).max() else { return nil }
    strays.removeAll { $0.header.use != use }
    return FoundSegment(file: file, use: use, head: nil, strays: strays)
  }

  /// Refuses a block of another directory, lane or of a boot that is not over.
  private static func admit(
    _ header: BlockHeader, file: JournalFile, identity: JournalIdentity
  ) throws(JournalRefusal) {
    guard header.directory == identity.directory, header.lane == identity.lane else {
      throw .foreign(file: file.file, directory: header.directory, lane: header.lane)
    }
    guard header.boot < identity.boot else { throw .bootNotRaised(file: file.file, found: header.boot) }
  }

  /// All whole blocks from `offset` on, at any page.
  static func sightings(
    in file: JournalFile, from offset: UInt64, window: SegmentWindow, identity: JournalIdentity
  ) throws(JournalRefusal) -> [Sighting] {
    var found: [Sighting] = []
    var at = offset
    while at + UInt64(JournalFormat.pageBytes) <= file.bytes {
      if case .success(let block) = try window.block(of: file, at: at), block.header.offset == at {
        try admit(block.header, file: file, identity: identity)
        found.append(Sighting(file: file.file, block))
        at += UInt64(block.bytes.count)
      } else {
        at += UInt64(JournalFormat.pageBytes)
      }
    }
    return found
  }

  /// Where replay begins: the highest name of an oldest live segment in a block that is known to be durable.
  private var replayFrom: UInt64 {
    let heads = segments.filter { !$0.isDead }.flatMap { [$0.head].compactMap { $0?.header } + $0.strays.map(\.header) }
    let durable = heads.map(\.watermark).max() ?? 0
    return heads.filter { $0.kind == .start || $0.sequence <= durable }.map(\.oldestUse).max() ?? 0
  }
}
