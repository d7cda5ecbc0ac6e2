import Primitives
import Store

// Keeping what is replaced and deleted, and dropping it when it is old enough.
//
// Age is counted by the shard's own clock, which `advance` commands move: each replica drops the same versions at the same
// place in the log. Each such command closes the chunk that is open, then works on the oldest chunk that is due: notes of
// deletions go one by one, a bounded number at a time, then all its versions at once. What is dropped is never looked at again by
// reads, since the horizon is raised first.

extension ShardMachine {
  /// What becomes of the version that a put replaces. One that this command itself put is nothing to keep: what it had
  /// replaced is the version before of the new one too.
  func displace(_ found: Found?, _ version: Timestamp) -> (previous: UInt16, kept: KeptVersion?) {
    guard let found else { return (StoredValue.noPrevious, nil) }
    guard case .tree(let stored) = found.stored else { return (found.previous, nil) }
    guard staging.history.isKept else { return (StoredValue.noPrevious, nil) }
    let kept = staging.keep(stored, until: version)
    return (kept.ordinal, kept)
  }

  /// Stages the deletion of a row that is there. If an older version stays behind, a note of it by key finds it for reads
  /// of the past, and one by time finds both when they are old.
  func delete(
    _ stateKey: UnsafeRawBufferPointer, _ found: Found, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) {
    let (previous, kept) = displace(found, version)
    try staging.delete(stateKey, old: found.hash, keeping: kept, shard: shard, store: store)
    guard previous != StoredValue.noPrevious else { return }
    var key: [UInt8] = []
    HistoryKey.appendDeleted(stateKey, version, to: &key)
    try note(key, store) { $0.appendLittleEndian(previous) }
    key.removeAll(keepingCapacity: true)
    HistoryKey.appendDeletion(version, previous, to: &key)
    try note(key, store) { $0.append(contentsOf: stateKey) }
  }

  private func note(
    _ key: [UInt8], _ store: Store, _ append: (inout [UInt8]) -> Void
  ) throws(PrepareFailure) {
    let start = staging.appendNote(append)
    try key.withBytes { (key) throws(PrepareFailure) in
      try staging.put(key, valueStart: start, old: nil, isRow: false, shard: shard, store: store)
    }
  }

  // MARK: Advancing

  func advance(
    _ reader: inout ByteReader, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> Reply {
    guard let elapsed = number(&reader, as: UInt32.self), let retention = number(&reader, as: UInt32.self),
      reader.isAtEnd
    else { return .malformed }
    staging.history.clock += UInt64(min(elapsed, TableLimits.advanceMax))
    if retention > 0, !staging.history.isKept { staging.history.horizon = version }
    staging.history.isKept = retention > 0
    let isClosed = try closeChunk(version, store)
    let isFinished = try dropOldest(UInt64(retention), store)
    staging.isHistoryUnfinished = !isFinished || (isClosed && retention == 0)
    return .advanced(isFinished: !staging.isHistoryUnfinished)
  }

  private func closeChunk(_ version: Timestamp, _ store: Store) throws(PrepareFailure) -> Bool {
    let history = staging.history
    guard history.open.records > 0 else { return false }
    var key: [UInt8] = []
    HistoryKey.appendChunk(version, to: &key)
    try note(key, store) { HistoryChunk(clock: history.clock, history.open).append(to: &$0) }
    staging.history.open = HistoryTotals.Open()
    return true
  }

  /// Drops from the oldest chunk if it is due. True when nothing more is.
  private func dropOldest(_ retention: UInt64, _ store: Store) throws(PrepareFailure) -> Bool {
    guard let oldest = try first(HistoryKey.chunkKind, store) else { return true }
    guard let end = oldest.key.withBytes({ HistoryKey.version($0, of: HistoryKey.chunkKind) }),
      let chunk = oldest.value.withBytes({ HistoryChunk($0) })
    else { preconditionFailure("a chunk is what its key says") }
    guard chunk.clock + retention <= staging.history.clock else { return true }
    staging.history.horizon = max(staging.history.horizon, end)
    guard try dropDeletions(through: end, store) else { return false }
    try dropKept(through: end, chunk, store)
    try remove(oldest, store)
    return false
  }

  /// Both notes of some deletions. True when none is left.
  private func dropDeletions(through end: Timestamp, _ store: Store) throws(PrepareFailure) -> Bool {
    let found = try entries(HistoryKey.deletionKind, through: end, max: TableLimits.advanceStepsMax, store)
    for entry in found.entries {
      guard let version = entry.key.withBytes({ HistoryKey.version($0, of: HistoryKey.deletionKind) }) else { continue }
      var key: [UInt8] = []
      entry.value.withBytes { HistoryKey.appendDeleted($0, version, to: &key) }
      var value: [UInt8] = []
      value.append(contentsOf: entry.key.suffix(2).reversed())
      try remove(Entry(key: key, value: value), store)
      try remove(entry, store)
    }
    return found.isAll
  }

  /// The versions of a chunk are neighbours and go at once, however many they are.
  private func dropKept(through end: Timestamp, _ chunk: HistoryChunk, _ store: Store) throws(PrepareFailure) {
    var behind: [UInt8] = []
    HistoryKey.appendKept(Timestamp(end.rawValue + 1), 0, to: &behind)
    try staging.dropRange(from: [HistoryKey.keptKind], to: behind, chunk, shard: shard, store: store)
    staging.history.records -= chunk.records
    staging.history.bytes -= chunk.bytes
  }

  private func remove(_ entry: Entry, _ store: Store) throws(PrepareFailure) {
    try entry.key.withBytes { (key) throws(PrepareFailure) in
      let hash = entry.value.withBytes { entryHash(key: key, value: $0) }
      try staging.delete(key, old: hash, isRow: false, shard: shard, store: store)
    }
  }

  // MARK: Finding what is old

  private struct Entry {
    var key: [UInt8]
    var value: [UInt8]
  }

  private func first(_ kind: UInt8, _ store: Store) throws(PrepareFailure) -> Entry? {
    try entries(kind, through: Timestamp(.max), max: 1, store).entries.first
  }

  /// The oldest entries of a kind whose keys begin with a version, up to `end`; not many more bytes than one row may have.
  private func entries(
    _ kind: UInt8, through end: Timestamp, max count: Int, _ store: Store
  ) throws(PrepareFailure) -> (entries: [Entry], isAll: Bool) {
    var result: [Entry] = []
    var bytes = 0
    do throws(PageMissing) {
      let cursor = try store.cursor(shard)
      var isOn = try [kind].withBytes { (key) throws(PageMissing) in try cursor.seek(atOrAfter: key) }
      while isOn {
        let key = try cursor.key()
        guard let version = HistoryKey.version(key, of: kind), version <= end else { break }
        guard result.count < count, bytes <= TableLimits.rowBytesMax else { return (result, false) }
        let entry = Entry(key: Array(key), value: Array(try cursor.value()))
        bytes += entry.key.count + entry.value.count
        result.append(entry)
        isOn = try cursor.next()
      }
    } catch { throw .missing(error) }
    return (result, true)
  }
}
