import DequeModule
import Primitives
import Raft

// Where each entry stands on disk, and what holds each segment: in memory only, built by writing and by recovery.

/// The blocks that hold one entry: from the block with its first fragment through the block with its last. 20 bytes.
struct EntryPlace: Equatable, Sendable {
  var file: UInt32
  /// First page of the block with the first fragment.
  var page: UInt32
  var endFile: UInt32
  /// The page behind the block with the last fragment; `unfinished` while that block is being formed.
  var endPage: UInt32
  /// Bytes of payload.
  var size: UInt32

  static let unfinished = UInt32.max
}

/// A run of a shard's entries that began in one segment.
struct Span: Equatable, Sendable {
  let use: UInt64
  let first: UInt64
  var last: UInt64
}

/// One shard's part of the log.
///
/// Invariants: `places` are the entries `first` … `last`, contiguous; `spans` cover exactly them, in order, with rising use
/// numbers; the first `coveredSpans` spans block their segments no more, every other one is counted in its segment once.
struct ShardLog: Sendable {
  let shard: ShardID
  private(set) var first: UInt64 = 1
  private(set) var places: Deque<EntryPlace> = []
  private(set) var spans: Deque<Span> = []
  private var coveredSpans = 0
  /// The last one written.
  var hardState: HardState?
  /// The segment that holds it; zero when a checkpoint covers it.
  var hardStateUse: UInt64 = 0
  /// What the group last said to be committed, and what of that a block says.
  var committed = TermStart(index: .zero, term: .zero)
  var committedWritten = LogIndex.zero
  private(set) var checkpointed = LogIndex.zero
  private(set) var held = LogIndex.zero
  /// The block being formed that has a summary of this shard, and where.
  var summarySequence: UInt64 = 0
  var summaryPosition = 0

  init(shard: ShardID) { self.shard = shard }

  var isEmpty: Bool { places.isEmpty }
  var last: UInt64 { first + UInt64(places.count) - 1 }

  func place(_ index: UInt64) -> EntryPlace? {
    guard index >= first, index - first < UInt64(places.count) else { return nil }
    return places[Int(index - first)]
  }

  /// True when an entry at `index` leaves no gap.
  func continues(at index: UInt64) -> Bool { isEmpty || index <= last + 1 }

  /// An entry was written: it replaces everything from `index` on.
  mutating func append(_ index: UInt64, _ place: EntryPlace, use: UInt64, segments: inout SegmentTable) {
    precondition(continues(at: index), "a shard's log has no gap")
    truncate(from: index, segments: &segments)
    if isEmpty { first = index }
    places.append(place)
    if let end = spans.last, end.use == use, spans.count > coveredSpans {
      spans[spans.count - 1].last = index
    } else {
      spans.append(Span(use: use, first: index, last: index))
      segments.addBlocker(use: use)
    }
  }

  private mutating func truncate(from index: UInt64, segments: inout SegmentTable) {
    guard !isEmpty, index <= last else { return }
    places.removeLast(Int(min(last - index + 1, UInt64(places.count))))
    while let end = spans.last, end.last >= index {
      if end.first < index {
        spans[spans.count - 1].last = index - 1
        return
      }
      spans.removeLast()
      if coveredSpans > spans.count {
        coveredSpans = spans.count
      } else {
        segments.removeBlocker(use: end.use)
      }
    }
  }

  mutating func noteCheckpoint(_ index: LogIndex, segments: inout SegmentTable) {
    checkpointed = max(checkpointed, index)
    uncover(segments: &segments)
  }

  mutating func noteHeld(_ index: LogIndex, segments: inout SegmentTable) {
    held = max(held, index)
    uncover(segments: &segments)
  }

  /// Spans that are in a checkpoint and held by every voter stop blocking their segments.
  private mutating func uncover(segments: inout SegmentTable) {
    let safe = min(checkpointed, held).rawValue
    while coveredSpans < spans.count, spans[coveredSpans].last <= safe {
      segments.removeBlocker(use: spans[coveredSpans].use)
      coveredSpans += 1
    }
  }

  /// The segment `use` and all before are gone: so are their entries.
  mutating func drop(through use: UInt64) {
    while let oldest = spans.first, oldest.use <= use {
      let count = oldest.last - first + 1
      places.removeFirst(Int(count))
      first += count
      spans.removeFirst()
      coveredSpans = max(0, coveredSpans - 1)
    }
  }

  /// The block that ends at `page` is finished: entries that end in it know it now.
  mutating func finishPlaces(endPage page: UInt32) {
    var position = places.count - 1
    while position >= 0, places[position].endPage == EntryPlace.unfinished {
      places[position].endPage = page
      position -= 1
    }
  }

  func checkInvariants() {
    var next = first
    for (position, span) in spans.enumerated() {
      precondition(span.first == next && span.last >= span.first, "spans are contiguous")
      precondition(position == 0 || spans[position - 1].use <= span.use, "spans are in the order of segments")
      next = span.last + 1
    }
    precondition(next == first + UInt64(places.count), "spans cover the entries")
    precondition(coveredSpans <= spans.count, "covered spans are spans")
  }
}

/// All shards of the journal; a slot is a shard's position here and never changes.
struct ShardTable: Sendable {
  var logs: [ShardLog] = []
  private var slots: [ShardID: Int] = [:]

  func slot(of shard: ShardID) -> Int? {
    slots[shard]
  }

  /// The shard's slot, made when it is new.
  mutating func obtain(_ shard: ShardID) -> Int {
    if let slot = slots[shard] { return slot }
    logs.append(ShardLog(shard: shard))
    slots[shard] = logs.count - 1
    return logs.count - 1
  }
}
