import Primitives
import Store

/// A shard's rows as they were when the last command up to `version` had been applied.
///
/// The horizon is at or below `version`, so every link of a chain that leads above it is kept.
struct Snapshot {
  let shard: ShardID
  let store: Store
  let version: Timestamp

  /// The stored value of a row; valid until the next call of the store.
  func value(_ stateKey: UnsafeRawBufferPointer) throws(PageMissing) -> UnsafeRawBufferPointer? {
    try value(stateKey, newest: try store.get(shard, stateKey))
  }

  /// The same, for a row whose newest version is known.
  func value(
    _ stateKey: UnsafeRawBufferPointer, newest: UnsafeRawBufferPointer?
  ) throws(PageMissing) -> UnsafeRawBufferPointer? {
    if let newest {
      if StoredValue.version(newest) <= version { return newest }
      if let older = try older(StoredValue.version(newest), StoredValue.previous(newest)) { return older }
    }
    guard let (deleted, ordinal) = try nextDeletion(stateKey) else { return nil }
    return try older(deleted, ordinal)
  }

  /// Follows a chain down to the version that was there.
  private func older(_ from: Timestamp, _ ordinal: UInt16) throws(PageMissing) -> UnsafeRawBufferPointer? {
    var (above, previous) = (from, ordinal)
    while previous != StoredValue.noPrevious {
      let key = HistoryKey.kept(above, previous)
      let kept = try key.withBytes { (key) throws(PageMissing) in try store.get(shard, key) }
      guard let kept else { preconditionFailure("a chain above the horizon is whole") }
      if StoredValue.version(kept) <= version { return kept }
      (above, previous) = (StoredValue.version(kept), StoredValue.previous(kept))
    }
    return nil
  }

  /// The first deletion of the row behind this snapshot.
  private func nextDeletion(
    _ stateKey: UnsafeRawBufferPointer
  ) throws(PageMissing) -> (version: Timestamp, ordinal: UInt16)? {
    guard version.rawValue < .max else { return nil }
    var from: [UInt8] = []
    HistoryKey.appendDeleted(stateKey, Timestamp(version.rawValue + 1), to: &from)
    let cursor = try store.cursor(shard)
    guard try from.withBytes({ (from) throws(PageMissing) in try cursor.seek(atOrAfter: from) }) else { return nil }
    let key = try cursor.key()
    guard key.count == from.count, from.withBytes({ key.part(0, key.count - 8).equals($0.part(0, key.count - 8)) })
    else { return nil }
    return (Timestamp(key.bigEndian(key.count - 8)), try cursor.value().littleEndian(0))
  }
}

/// What a scan walks over: the present, or a snapshot.
protocol RowCursor {
  func seek(atOrAfter key: UnsafeRawBufferPointer) throws(PageMissing) -> Bool
  func seek(before key: UnsafeRawBufferPointer) throws(PageMissing) -> Bool
  func next() throws(PageMissing) -> Bool
  func previous() throws(PageMissing) -> Bool
  func key() throws(PageMissing) -> UnsafeRawBufferPointer
  func value() throws(PageMissing) -> UnsafeRawBufferPointer
}

extension Cursor: RowCursor {}

/// Walks over the rows of a snapshot in key order: those that exist now, and those that were deleted since. After a miss
/// make a new one and seek again.
final class SnapshotCursor: RowCursor {
  private let snapshot: Snapshot
  private let rows: Cursor
  private let deletions: Cursor
  private var rowsAreLeft = false
  private var deletionsAreLeft = false
  private var isForward = true
  private let keyCopy = CopiedBytes()
  private let valueCopy = CopiedBytes()

  init(_ snapshot: Snapshot) throws(PageMissing) {
    self.snapshot = snapshot
    rows = try snapshot.store.cursor(snapshot.shard)
    deletions = try snapshot.store.cursor(snapshot.shard)
  }

  func key() -> UnsafeRawBufferPointer { keyCopy.bytes }
  func value() -> UnsafeRawBufferPointer { valueCopy.bytes }

  func seek(atOrAfter key: UnsafeRawBufferPointer) throws(PageMissing) -> Bool {
    isForward = true
    rowsAreLeft = try rows.seek(atOrAfter: key)
    deletionsAreLeft = try seekDeletions(Array(key.rest(1)))
    // Deletions of a row stand behind its key, so those of a row before `key` that it begins with can be here.
    if let first = try deletedKey(), first.lexicographicallyPrecedes(key) {
      deletionsAreLeft = try seekDeletions(behind(first))
    }
    return try settle()
  }

  func seek(before key: UnsafeRawBufferPointer) throws(PageMissing) -> Bool {
    isForward = false
    rowsAreLeft = try rows.seek(before: key)
    deletionsAreLeft = try seekDeletions(Array(key.rest(1)))
    return try settle()
  }

  func next() throws(PageMissing) -> Bool {
    precondition(isForward, "a walk goes on as it began")
    return try settle()
  }

  func previous() throws(PageMissing) -> Bool {
    precondition(!isForward, "a walk goes on as it began")
    return try settle()
  }

  private func seekDeletions(_ rest: [UInt8]) throws(PageMissing) -> Bool {
    try ([HistoryKey.deletedKind] + rest).withBytes { (key) throws(PageMissing) in
      isForward ? try deletions.seek(atOrAfter: key) : try deletions.seek(before: key)
    }
  }

  /// To the next key that had a row. Both cursors then stand behind it.
  private func settle() throws(PageMissing) -> Bool {
    while true {
      let row = try rowKey()
      let deleted = try deletedKey()
      guard let key = nearer(row, deleted) else { return false }
      let value = try key.withBytes { (bytes) throws(PageMissing) in
        try snapshot.value(bytes, newest: key == row ? try rows.value() : nil)
      }
      if let value { valueCopy.set(value) }
      let isThere = value != nil
      if key == row { rowsAreLeft = isForward ? try rows.next() : try rows.previous() }
      if key == deleted { deletionsAreLeft = try seekDeletions(behind(key)) }
      guard isThere else { continue }
      key.withBytes { keyCopy.set($0) }
      return true
    }
  }

  private func rowKey() throws(PageMissing) -> [UInt8]? {
    guard rowsAreLeft else { return nil }
    let key = try rows.key()
    return key.count > 0 && key[0] == StateKey.rowKind ? Array(key) : nil
  }

  private func deletedKey() throws(PageMissing) -> [UInt8]? {
    guard deletionsAreLeft else { return nil }
    return HistoryKey.deleted(try deletions.key())?.stateKey
  }

  private func nearer(_ a: [UInt8]?, _ b: [UInt8]?) -> [UInt8]? {
    guard let a, let b else { return a ?? b }
    return a.lexicographicallyPrecedes(b) == isForward ? a : b
  }

  /// What a key of a deletion has behind its kind, past all deletions of the row on this way.
  private func behind(_ stateKey: [UInt8]) -> [UInt8] {
    let rest = Array(stateKey.dropFirst())
    return isForward ? rest + [UInt8](repeating: 0xFF, count: 9) : rest
  }
}

/// Bytes of its own, whose address stays until they are set again.
private final class CopiedBytes {
  private var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256, alignment: 8)
  private var count = 0

  deinit { buffer.deallocate() }

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: buffer[..<count]) }

  func set(_ bytes: UnsafeRawBufferPointer) {
    if buffer.count < bytes.count {
      buffer.deallocate()
      buffer = .allocate(byteCount: bytes.count * 2, alignment: 8)
    }
    buffer.copyMemory(from: bytes)
    count = bytes.count
  }
}
