import Primitives
import Store

/// What pass one has decided: changes in order, their keys and values, and what they do to the catalog. Kept and used
/// again for every command, so that its arrays keep their capacity.
struct Staging {
  /// One change of the tree. Ranges stand in `bytes`.
  struct Step {
    var key: Range<Int>
    /// The value to put; nil to delete.
    var value: Range<Int>?
    /// The key under which what was there before is kept.
    var kept: Range<Int>?
    /// Of a row, and not of its history.
    var isRow: Bool
    /// What the entry adds to the state hash before and after; nil when it is not there.
    var oldHash: UInt64?
    var newHash: UInt64?
    /// The step before with the same hash of its key; -1 for none.
    var previous: Int
  }

  /// A range of keys that goes at once; carried out behind all steps.
  struct DroppedRange {
    var from: Range<Int>
    var to: Range<Int>
    var rows: UInt64
    var bytes: UInt64
    /// What its entries add to the state hash.
    var hash: UInt64
  }

  enum CatalogChange {
    case added(Table)
    case dropped(Table)
    case purged(TableID)
    case revoked(Revocation)
  }

  private(set) var steps: [Step] = []
  private(set) var ranges: [DroppedRange] = []
  private(set) var bytes: [UInt8] = []
  var catalogChanges: [CatalogChange] = []
  /// The history's totals as the command leaves them.
  var history = HistoryTotals()
  /// More of the history is due to be dropped.
  var isHistoryUnfinished = false
  /// Versions that this command keeps, and what they add to the state hash.
  private var keptCount: UInt16 = 0
  private(set) var keptHash: UInt64 = 0
  /// Something was prepared, whether or not it stays staged.
  private(set) var isStoreTouched = false
  /// Whether many steps are to come that look for each other: then `latest` is kept.
  var isBatch = false
  /// The last step by the hash of its key. Only looked up, never iterated.
  private var latest: [UInt64: Int] = [:]
  var builder = RowBuilder()

  mutating func begin(_ history: HistoryTotals) {
    self.history = history
    isHistoryUnfinished = false
    keptCount = 0
    keptHash = 0
    steps.removeAll(keepingCapacity: true)
    if !ranges.isEmpty { ranges.removeAll(keepingCapacity: true) }
    bytes.removeAll(keepingCapacity: true)
    if !latest.isEmpty { latest.removeAll(keepingCapacity: true) }
    catalogChanges.removeAll(keepingCapacity: true)
    isStoreTouched = false
    isBatch = false
  }

  /// Takes back all steps: the batch failed.
  mutating func abandon(_ history: HistoryTotals) {
    self.history = history
    keptHash = 0
    steps.removeAll(keepingCapacity: true)
    ranges.removeAll(keepingCapacity: true)
    catalogChanges.removeAll(keepingCapacity: true)
  }

  /// The newest step for a key. Mutating for the reason of `carryOut`.
  mutating func step(_ key: UnsafeRawBufferPointer) -> Step? {
    guard !steps.isEmpty else { return nil }
    var index = isBatch ? latest[stableHash(key)] ?? -1 : steps.count - 1
    while index >= 0 {
      let step = steps[index]
      if bytes.withBytes({ $0.part(step.key.lowerBound, step.key.count).equals(key) }) { return step }
      index = isBatch ? step.previous : index - 1
    }
    return nil
  }

  /// Appends bytes of a value under construction; returns where they start.
  mutating func beginValue(_ version: Timestamp, previous: UInt16) -> Int {
    let start = bytes.count
    bytes.appendLittleEndian(version.rawValue)
    bytes.appendLittleEndian(previous)
    return start
  }

  /// Appends a value that is no row; returns where it starts.
  mutating func appendNote(_ append: (inout [UInt8]) -> Void) -> Int {
    let start = bytes.count
    append(&bytes)
    return start
  }

  mutating func appendValue(_ part: UnsafeRawBufferPointer) { bytes.append(contentsOf: part) }

  /// Appends the row that `builder` holds; returns its length.
  mutating func appendBuiltRow(input: UnsafeRawBufferPointer, kept: UnsafeRawBufferPointer) -> Int {
    builder.append(input: input, scratch: UnsafeRawBufferPointer(start: nil, count: 0), kept: kept, to: &bytes)
  }

  /// Lets the store prepare a put of what was appended since `valueStart`, and notes it. What is no row is a note of a
  /// deletion, and has its room.
  mutating func put(
    _ key: UnsafeRawBufferPointer, valueStart: Int, old: UInt64?, keeping kept: KeptVersion? = nil, isRow: Bool = true,
    shard: ShardID, store: Store
  ) throws(PrepareFailure) {
    let value = valueStart..<bytes.count
    isStoreTouched = true
    try store.prepareWrite(shard, key, valueCount: value.count, forDelete: !isRow)
    let keptKey = try prepare(kept, forDelete: false, shard, store)
    let hash = bytes.withBytes { entryHash(key: key, value: $0.part(value.lowerBound, value.count)) }
    add(key, Step(key: 0..<0, value: value, kept: keptKey, isRow: isRow, oldHash: old, newHash: hash, previous: -1))
  }

  mutating func delete(
    _ key: UnsafeRawBufferPointer, old: UInt64, keeping kept: KeptVersion? = nil, isRow: Bool = true, shard: ShardID,
    store: Store
  ) throws(PrepareFailure) {
    isStoreTouched = true
    try store.prepareDelete(shard, key)
    let keptKey = try prepare(kept, forDelete: true, shard, store)
    add(key, Step(key: 0..<0, value: nil, kept: keptKey, isRow: isRow, oldHash: old, newHash: nil, previous: -1))
  }

  /// Drops all entries at or behind `from` and before `to`, none of which is a row: `chunk` says how much that is.
  mutating func dropRange(
    from: [UInt8], to: [UInt8], _ chunk: HistoryChunk, shard: ShardID, store: Store
  ) throws(PrepareFailure) {
    isStoreTouched = true
    try from.withBytes { (from) throws(PrepareFailure) in
      try to.withBytes { (to) throws(PrepareFailure) in try store.prepareDeleteRange(shard, from: from, to: to) }
    }
    let start = bytes.count
    bytes.append(contentsOf: from + to)
    let middle = start + from.count
    ranges.append(
      DroppedRange(
        from: start..<middle, to: middle..<bytes.count, rows: chunk.records, bytes: chunk.bytes, hash: chunk.hash))
  }

  private mutating func add(_ key: UnsafeRawBufferPointer, _ new: Step) {
    var step = new
    let start = bytes.count
    bytes.append(contentsOf: key)
    step.key = start..<bytes.count
    if isBatch {
      let hash = stableHash(key)
      step.previous = latest[hash] ?? -1
      latest[hash] = steps.count
    }
    steps.append(step)
  }

  // MARK: Keeping

  /// The place in the history for a version that `version` replaces or deletes, and its share of the totals.
  mutating func keep(_ stored: UnsafeRawBufferPointer, until version: Timestamp) -> KeptVersion {
    let ordinal = keptCount
    precondition(ordinal < StoredValue.noPrevious, "a command has fewer operations than there are ordinals")
    keptCount += 1
    let start = bytes.count
    HistoryKey.appendKept(version, ordinal, to: &bytes)
    let key = start..<bytes.count
    let hash = bytes.withBytes { entryHash(key: $0.part(key.lowerBound, key.count), value: stored) }
    return KeptVersion(ordinal: ordinal, key: key, hash: hash, bytes: key.count + stored.count)
  }

  private mutating func prepare(
    _ kept: KeptVersion?, forDelete: Bool, _ shard: ShardID, _ store: Store
  ) throws(PrepareFailure) -> Range<Int>? {
    guard let kept else { return nil }
    try bytes.withBytes { (all) throws(PrepareFailure) in
      try store.prepareKeep(shard, as: all.part(kept.key.lowerBound, kept.key.count), forDelete: forDelete)
    }
    history.count(kept.hash, bytes: kept.bytes)
    keptHash &+= kept.hash
    return kept.key
  }
}

/// A version on its way into the history.
struct KeptVersion {
  var ordinal: UInt16
  /// In `Staging.bytes`.
  var key: Range<Int>
  var hash: UInt64
  var bytes: Int
}
