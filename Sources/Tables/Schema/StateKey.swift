import Primitives

// Where things stand in a shard's tree, and what is counted of them.
//
//     state key     20 | table id, 4 bytes big-endian | key           a row
//     stored value  version 8 | previous 2 | row                      little-endian
//
// The first byte is the kind. Older versions have kinds of their own (History/HistoryKey.swift); others (locks, transaction
// records, exactly-once records, floors) will get numbers; 00 and FF stay free, so that every kind has a key before it and
// one behind it.
//
// *previous* leads to the version before: that stands under (version, previous) in the history; FFFF: none is kept.

package enum StateKey {
  package static let rowKind: UInt8 = 0x20
  /// Bytes before the encoded key of a row.
  package static let rowPrefixBytes = 5
  package static let bytesMax = rowPrefixBytes + TableLimits.keyBytesMax

  /// What the keys of all rows of a table begin with.
  package static func appendRowPrefix(_ table: TableID, to out: inout [UInt8]) {
    out.append(rowKind)
    out.appendBigEndian(table.rawValue)
  }

  /// Whether a row of the table can have the state key.
  static func hasRowPrefix(_ key: UnsafeRawBufferPointer, _ table: TableID) -> Bool {
    key.count >= rowPrefixBytes && key[0] == rowKind && key.bigEndian(1, as: UInt32.self) == table.rawValue
  }

  package static func rowPrefix(_ table: TableID) -> [UInt8] {
    var out: [UInt8] = []
    appendRowPrefix(table, to: &out)
    return out
  }
}

package enum StoredValue {
  /// Bytes before the row.
  package static let headerBytes = 10
  package static let bytesMax = headerBytes + TableLimits.rowBytesMax
  /// No version before this one is kept.
  static let noPrevious: UInt16 = 0xFFFF

  package static func version(_ value: UnsafeRawBufferPointer) -> Timestamp {
    Timestamp(value.littleEndian(0, as: UInt64.self))
  }
  static func previous(_ value: UnsafeRawBufferPointer) -> UInt16 { value.littleEndian(8, as: UInt16.self) }
  package static func row(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer { value.rest(headerBytes) }

  /// Fills `target`, which has just the room.
  static func write(
    _ version: Timestamp, previous: UInt16, _ row: UnsafeRawBufferPointer, to target: UnsafeMutableRawBufferPointer
  ) {
    precondition(target.count == headerBytes + row.count, "a value has its room")
    target.storeBytes(of: version.rawValue.littleEndian, as: UInt64.self)
    target.storeBytes(of: previous.littleEndian, toByteOffset: 8, as: UInt16.self)
    UnsafeMutableRawBufferPointer(rebasing: target[headerBytes...]).copyMemory(from: row)
  }
}

/// What one entry of the tree adds to the state hash.
package func entryHash(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer) -> UInt64 {
  stableHash(value, seed: stableHash(key))
}

/// Sums over the whole shard, kept up to date by each change. The node keeps them with the applied position.
package struct ShardTotals: Equatable, Sendable {
  /// Sum modulo 2^64 of `entryHash` over all entries: independent of the order of changes, equal on equal replicas.
  package var stateHash: UInt64 = 0
  /// Rows of all tables, system tables included; their newest versions.
  package var rows: UInt64 = 0
  package var history = HistoryTotals()

  package static let encodedBytes = 16 + HistoryTotals.encodedBytes

  package init() {}

  package func encode(into writer: inout ByteWriter) {
    writer.write(stateHash)
    writer.write(rows)
    history.encode(into: &writer)
  }

  package init(from reader: inout ByteReader) throws(DecodeError) {
    stateHash = try reader.read()
    rows = try reader.read()
    history = try HistoryTotals(from: &reader)
  }
}
