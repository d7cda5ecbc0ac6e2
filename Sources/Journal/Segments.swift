import DequeModule

/// A segment that holds part of the log: one use of a file.
struct Segment: Equatable, Sendable {
  let file: UInt32
  /// Raised with each use of any file; orders segments.
  let use: UInt64
  let bytes: UInt64
  /// Where the next block goes.
  var end: UInt64 = 0
  /// Blocks before this offset are durable.
  var durableEnd: UInt64 = 0
  /// Shards with entries here that no checkpoint covers or that some voter lacks.
  var blockers = 0

  var room: UInt64 { bytes - end }
}

/// The live segments, oldest first; the last one is being written.
struct SegmentTable: Sendable {
  private(set) var live: Deque<Segment> = []

  var oldest: Segment? { live.first }
  var current: Segment? { live.last }
  var count: Int { live.count }

  mutating func append(_ segment: Segment) {
    precondition(live.last.map { $0.use < segment.use } ?? true, "use numbers rise")
    live.append(segment)
  }

  mutating func removeOldest() -> Segment { live.removeFirst() }

  func position(use: UInt64) -> Int? {
    if let last = live.last, last.use == use { return live.count - 1 }
    return live.firstIndex { $0.use == use }
  }

  func position(file: UInt32) -> Int? { live.lastIndex { $0.file == file } }
  func segment(file: UInt32) -> Segment? { position(file: file).map { live[$0] } }

  mutating func addBlocker(use: UInt64) {
    guard let position = position(use: use) else { preconditionFailure("an entry goes into a live segment") }
    live[position].blockers += 1
  }

  mutating func removeBlocker(use: UInt64) {
    guard let position = position(use: use) else { preconditionFailure("a blocked segment is live") }
    precondition(live[position].blockers > 0, "a blocker is removed once")
    live[position].blockers -= 1
  }

  /// The current segment grew by a block.
  mutating func extendCurrent(by count: Int) { live[live.count - 1].end += UInt64(count) }

  mutating func setDurableEnd(use: UInt64, _ end: UInt64) {
    guard let position = position(use: use) else { return }
    live[position].durableEnd = end
  }

  mutating func setEnd(_ end: UInt64) {
    live[live.count - 1].end = end
    live[live.count - 1].durableEnd = end
  }
}

/// Files that hold nothing of the log any more.
struct FilePool: Sendable {
  /// The next segment, prepared ahead.
  enum Spare: Equatable, Sendable {
    case none
    case preparing(file: UInt32, isFresh: Bool)
    case ready(file: UInt32)
  }

  /// A freed segment: reusable once a durable block names a newer one as the oldest.
  struct Retiring: Equatable, Sendable {
    let file: UInt32
    let use: UInt64
    let bytes: UInt64
  }

  var spare = Spare.none
  /// A file that is being made while there is a spare: part of the reserve.
  var extra: UInt32?
  var retiring: Deque<Retiring> = []
  /// Reusable files, longest free first.
  var free: Deque<JournalFile> = []
  /// Numbers of files that the disk had no room for: the next ones to be made.
  var unmade: Deque<UInt32> = []
  /// The file number that a new file gets after those.
  var nextFile: UInt32 = 0

  /// All files but the live ones.
  var count: Int { (spare == .none ? 0 : 1) + (extra == nil ? 0 : 1) + retiring.count + free.count }

  /// The longest free file of that size.
  mutating func takeFree(of bytes: UInt64) -> UInt32? {
    guard let place = free.firstIndex(where: { $0.bytes == bytes }) else { return nil }
    return free.remove(at: place).file
  }

  /// For a file that is to be made.
  mutating func takeNumber() -> UInt32 {
    if let number = unmade.popFirst() { return number }
    defer { nextFile += 1 }
    return nextFile
  }

  /// Files whose use is below the oldest that is durably named become reusable.
  mutating func recycle(below durableOldest: UInt64) {
    while let first = retiring.first, first.use < durableOldest {
      retiring.removeFirst()
      free.append(JournalFile(file: first.file, bytes: first.bytes))
    }
  }
}
