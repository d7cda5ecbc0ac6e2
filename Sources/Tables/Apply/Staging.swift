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
    /// What the entry adds to the state hash before and after; nil when it is not there.
    var oldHash: UInt64?
    var newHash: UInt64?
    /// The step before with the same hash of its key; -1 for none.
    var previous: Int
  }

  enum CatalogChange {
    case added(Table)
    case dropped(Table)
    case purged(TableID)
    case revoked(Revocation)
  }

  private(set) var steps: [Step] = []
  private(set) var bytes: [UInt8] = []
  var catalogChanges: [CatalogChange] = []
  /// Something was prepared, whether or not it stays staged.
  private(set) var isStoreTouched = false
  /// Whether many steps are to come that look for each other: then `latest` is kept.
  var isBatch = false
  /// The last step by the hash of its key. Only looked up, never iterated.
  private var latest: [UInt64: Int] = [:]
  var builder = RowBuilder()

  mutating func begin() {
    steps.removeAll(keepingCapacity: true)
    bytes.removeAll(keepingCapacity: true)
    if !latest.isEmpty { latest.removeAll(keepingCapacity: true) }
    catalogChanges.removeAll(keepingCapacity: true)
    isStoreTouched = false
    isBatch = false
  }

  /// Takes back all steps: the batch failed.
  mutating func abandon() {
    steps.removeAll(keepingCapacity: true)
    catalogChanges.removeAll(keepingCapacity: true)
  }

  /// The newest step for a key.
  func step(_ key: UnsafeRawBufferPointer) -> Step? {
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
  mutating func beginValue(_ version: Timestamp) -> Int {
    let start = bytes.count
    bytes.appendLittleEndian(version.rawValue)
    return start
  }

  mutating func appendValue(_ part: UnsafeRawBufferPointer) { bytes.append(contentsOf: part) }

  /// Appends the row that `builder` holds; returns its length.
  mutating func appendBuiltRow(input: UnsafeRawBufferPointer, kept: UnsafeRawBufferPointer) -> Int {
    builder.append(input: input, scratch: UnsafeRawBufferPointer(start: nil, count: 0), kept: kept, to: &bytes)
  }

  /// Lets the store prepare a put of what was appended since `valueStart`, and notes it.
  mutating func put(
    _ key: UnsafeRawBufferPointer, valueStart: Int, old: UInt64?, shard: ShardID, store: Store
  ) throws(PrepareFailure) {
    let value = valueStart..<bytes.count
    try prepared { () throws(PrepareFailure) in try store.prepareWrite(shard, key, valueCount: value.count) }
    let hash = bytes.withBytes { entryHash(key: key, value: $0.part(value.lowerBound, value.count)) }
    add(key, value: value, old: old, new: hash)
  }

  mutating func delete(
    _ key: UnsafeRawBufferPointer, old: UInt64, shard: ShardID, store: Store
  ) throws(PrepareFailure) {
    try prepared { () throws(PrepareFailure) in try store.prepareDelete(shard, key) }
    add(key, value: nil, old: old, new: nil)
  }

  private mutating func prepared(_ body: () throws(PrepareFailure) -> Void) throws(PrepareFailure) {
    isStoreTouched = true
    try body()
  }

  private mutating func add(_ key: UnsafeRawBufferPointer, value: Range<Int>?, old: UInt64?, new: UInt64?) {
    let start = bytes.count
    bytes.append(contentsOf: key)
    var previous = -1
    if isBatch {
      let hash = stableHash(key)
      previous = latest[hash] ?? -1
      latest[hash] = steps.count
    }
    steps.append(Step(key: start..<bytes.count, value: value, oldHash: old, newHash: new, previous: previous))
  }
}
