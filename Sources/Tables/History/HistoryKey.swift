import Primitives

// Older versions of rows, in the same tree. The newest version stands under the row's own key and is found as if there were
// no others; what it replaced moves here, under the version of the command that replaced or deleted it. So the history is
// in order of time: what is older than anybody may ask for is one range of keys at its beginning.
//
//     state key                                           value
//     28 | version 8 | ordinal 2                          a stored value, as it was when the command came
//     29 | the row's state key without its kind           ordinal 2, little-endian: deleted by that version; what was
//        | version 8                                        deleted is 28 | version | ordinal
//     2A | version 8 | ordinal 2                          the row's state key: the same deletion in order of time
//     2B | version 8                                      a chunk: `HistoryChunk`; its end, inclusive
//
// Numbers in keys are big-endian. *ordinal* counts what one command replaced and deleted, from zero.
//
// A row's versions are a chain: (version, previous) of one leads to the one before. Of a row that was deleted after S, the
// first 29 behind S leads to the chain that ended there. Keys of rows end by themselves, so no key's deletions stand
// between those of another.

enum HistoryKey {
  static let keptKind: UInt8 = 0x28
  static let deletedKind: UInt8 = 0x29
  static let deletionKind: UInt8 = 0x2A
  static let chunkKind: UInt8 = 0x2B

  static func appendKept(_ version: Timestamp, _ ordinal: UInt16, to out: inout [UInt8]) {
    append(keptKind, version, to: &out)
    out.appendBigEndian(ordinal)
  }

  static func appendDeletion(_ version: Timestamp, _ ordinal: UInt16, to out: inout [UInt8]) {
    append(deletionKind, version, to: &out)
    out.appendBigEndian(ordinal)
  }

  static func appendDeleted(_ stateKey: UnsafeRawBufferPointer, _ version: Timestamp, to out: inout [UInt8]) {
    out.append(deletedKind)
    out.append(contentsOf: stateKey.rest(1))
    out.appendBigEndian(version.rawValue)
  }

  static func appendChunk(_ version: Timestamp, to out: inout [UInt8]) { append(chunkKind, version, to: &out) }

  private static func append(_ kind: UInt8, _ version: Timestamp, to out: inout [UInt8]) {
    out.append(kind)
    out.appendBigEndian(version.rawValue)
  }

  static func kept(_ version: Timestamp, _ ordinal: UInt16) -> [UInt8] {
    var out: [UInt8] = []
    appendKept(version, ordinal, to: &out)
    return out
  }

  /// The version in a key of kind 28, 2A or 2B; nil for other kinds.
  static func version(_ key: UnsafeRawBufferPointer, of kind: UInt8) -> Timestamp? {
    guard key.count >= 9, key[0] == kind else { return nil }
    return Timestamp(key.bigEndian(1, as: UInt64.self))
  }

  /// Takes a key of kind 29 apart: the row's state key, and when it was deleted.
  static func deleted(_ key: UnsafeRawBufferPointer) -> (stateKey: [UInt8], version: Timestamp)? {
    guard key.count >= 9, key[0] == deletedKind else { return nil }
    let row = key.part(1, key.count - 9)
    return ([StateKey.rowKind] + Array(row), Timestamp(key.bigEndian(key.count - 8, as: UInt64.self)))
  }
}

/// What is known of a part of the history without reading it. A chunk is all that the commands did between two `advance`
/// commands; it is dropped as a whole.
///
///     clock 8 | records 8 | bytes 8 | hash 8          little-endian
struct HistoryChunk: Equatable {
  /// The shard's clock when the chunk was closed, in milliseconds: all in it is at least as old.
  var clock: UInt64
  /// Kept versions.
  var records: UInt64
  /// Their keys and values.
  var bytes: UInt64
  /// Their share of the state hash.
  var hash: UInt64

  static let encodedBytes = 32

  func append(to out: inout [UInt8]) {
    for number in [clock, records, bytes, hash] { out.appendLittleEndian(number) }
  }

  init(clock: UInt64, _ open: HistoryTotals.Open) {
    self.clock = clock
    (records, bytes, hash) = (open.records, open.bytes, open.hash)
  }

  /// Nil when the bytes are none.
  init?(_ value: UnsafeRawBufferPointer) {
    guard value.count == HistoryChunk.encodedBytes else { return nil }
    clock = value.littleEndian(0)
    records = value.littleEndian(8)
    bytes = value.littleEndian(16)
    hash = value.littleEndian(24)
  }
}

/// Sums and positions of a shard's history, part of its totals.
///
///     flags 1 (bit 0: kept) | horizon 8 | clock 8 | records 8 | bytes 8 | open: records 8, bytes 8, hash 8
package struct HistoryTotals: Equatable, Sendable {
  /// What was kept since the last chunk was closed.
  struct Open: Equatable, Sendable {
    var records: UInt64 = 0
    var bytes: UInt64 = 0
    var hash: UInt64 = 0
  }

  /// Whether replaced and deleted versions are kept.
  package var isKept = false
  /// Reads of versions below it are refused. Meaningful while versions are kept.
  package var horizon = Timestamp.zero
  /// The shard's age by its log, in milliseconds: bounded steps that leaders measured. It never goes faster than their clocks.
  package var clock: UInt64 = 0
  /// Kept versions, those of the open chunk included.
  package var records: UInt64 = 0
  /// Their keys and values, in bytes.
  package var bytes: UInt64 = 0
  var open = Open()

  static let encodedBytes = 57

  package init() {}

  mutating func count(_ hash: UInt64, bytes count: Int) {
    records += 1
    bytes += UInt64(count)
    open.records += 1
    open.bytes += UInt64(count)
    open.hash &+= hash
  }

  func encode(into writer: inout ByteWriter) {
    writer.write(UInt8(isKept ? 1 : 0))
    writer.write(horizon.rawValue)
    for number in [clock, records, bytes, open.records, open.bytes, open.hash] { writer.write(number) }
  }

  init(from reader: inout ByteReader) throws(DecodeError) {
    let flags: UInt8 = try reader.read()
    guard flags <= 1 else { throw .invalid("flags of a history that are not known") }
    isKept = flags == 1
    horizon = Timestamp(try reader.read())
    clock = try reader.read()
    records = try reader.read()
    bytes = try reader.read()
    open.records = try reader.read()
    open.bytes = try reader.read()
    open.hash = try reader.read()
  }
}
