import Primitives
import Raft

// The bytes of a block's header and of a record's header. Docs/Formats-journal.md has the same with examples.
//
// Block header, 104 bytes:                              Record header, 36 bytes:
//    0 u32 magic "FSJB"                                   0 u8  kind
//    4 u32 CRC-32C of the bytes 8 ..< length              1 u8  flags: 1 first fragment, 2 last fragment
//    8 u16 format version                                 2 u8  entry kind (append), else 0
//   10 u8  kind: 1 start, 2 records, 3 seal               3 u8  zero
//   11 u8  zero                                           4 u32 bytes of payload that follow
//   12 u32 length, a multiple of 4096                     8 u32 bytes of the whole payload, all fragments
//   16 u64 data directory id                             12 u64 shard
//   24 u64 boot number                                   20 u64 index, 0 for a hard state
//   32 u16 lane                                          28 u64 term
//   34 u16 zero                                          36 payload
//   36 u32 checksum of the block before
//   40 u64 segment use number                           Payload of a hard state: nothing (no vote) or 12 bytes:
//   48 u64 block sequence                                 0 u32 node   4 u64 incarnation
//   56 u64 watermark
//   64 u64 use number of the oldest live segment        Payload of a start block, 24 bytes:
//   72 u64 offset in the file                             0 u64 sequence of the last block accepted
//   80 u32 bytes of the summaries                         8 u32 its checksum   12 u32 zero
//   84 u32 bytes of the payload                          16 u64 its segment use number
//   88 u32 size of the segment's file in pages of 4096
//   92 u32 file of the next segment, 0 while none is ready
//   96 u64 zero; on disk an encrypted block names its key here
//   104 summaries, then payload, then zeros up to length, at least 32: on disk an encrypted block has its tail there

package enum JournalFormat {
  /// "FSJB" in a dump.
  package static let magic: UInt32 = 0x424A_5346
  package static let version: UInt16 = 3
  /// The oldest version that is read: 3 has one kind of record more.
  static let oldestVersion: UInt16 = 2
  package static let pageBytes = 4096
  package static let blockBytesMax = 256 * 1024
  package static let headerBytes = 104
  /// Bytes at a block's end that stay zero. Whoever encrypts blocks on their way to the disk needs room.
  package static let tailBytes = 32
  /// The least size of a segment's file.
  static let segmentBytesMin: UInt64 = 64 << 10
  package static let recordHeaderBytes = 36
  package static let startPayloadBytes = 24
  package static let votePayloadBytes = 12
  /// One entry's payload: 1.2 MiB (a command of at most 1.1 MiB and its framing).
  package static let entryBytesMax = 1_258_291
  /// What counts uses and blocks from one on stays below; so do indexes, of which a version holds 44 bits, and terms.
  static let countLimit: UInt64 = 1 << 60
  static let indexLimit: UInt64 = 1 << 44
  static let termLimit: UInt64 = 1 << 48

  /// Of a block's bytes, whatever they are: the data directory that they name.
  package static func directory(of block: UnsafeRawBufferPointer) -> UInt64? {
    block.count >= headerBytes ? read64(block, 16) : nil
  }

  /// `count` rounded up to whole pages.
  static func roundUp(_ count: Int) -> Int { (count + pageBytes - 1) / pageBytes * pageBytes }
}

package enum BlockKind: UInt8, Sendable {
  /// The first block after recovery, in a fresh segment; names the last block that recovery accepted.
  case start = 1
  case records = 2
  /// No records: says that everything before it is durable.
  case seal = 3
}

/// What a record says. 2 (carry), 4 (installed) and 5 (moved) are taken and not written yet.
package enum RecordKind: UInt8, Sendable {
  /// An entry, or a fragment of one. With its last fragment it replaces everything its shard held from its index on.
  case append = 1
  /// A shard's term and vote; the latest counts.
  case hardState = 3
  /// The shard's entry of this index and term is committed, and so are all before it. A hint, never the only sign of anything: a
  /// start that finds it need not wait for a leader to apply what is known.
  case committed = 6
}

package struct BlockHeader: Equatable, Sendable {
  package var checksum: UInt32 = 0
  package var version = JournalFormat.version
  package var kind: BlockKind
  package var length: UInt32 = 0
  package var directory: UInt64
  package var lane: LaneID
  package var boot: UInt64
  package var previousChecksum: UInt32
  package var use: UInt64
  package var sequence: UInt64
  package var watermark: UInt64
  package var oldestUse: UInt64
  package var offset: UInt64
  package var summariesBytes: UInt32 = 0
  package var payloadBytes: UInt32 = 0
  /// Size of the segment's file, in pages; zero is not said.
  package var segmentPages: UInt32 = 0
  /// The file that the next segment will be in: it is there, with its whole size. Zero while none is ready.
  package var nextFile: UInt32 = 0

  package var segmentBytes: UInt64 { UInt64(segmentPages) * UInt64(JournalFormat.pageBytes) }

  /// Writes all fields but the checksum, which needs the finished block.
  func encode(to base: UnsafeMutableRawPointer) {
    func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
      base.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }
    put(JournalFormat.magic, 0)
    put(UInt32(0), 4)
    put(version, 8)
    put(UInt16(kind.rawValue), 10)
    put(length, 12)
    put(directory, 16)
    put(boot, 24)
    put(UInt32(lane.rawValue), 32)
    put(previousChecksum, 36)
    put(use, 40)
    put(sequence, 48)
    put(watermark, 56)
    put(oldestUse, 64)
    put(offset, 72)
    put(summariesBytes, 80)
    put(payloadBytes, 84)
    put(segmentPages, 88)
    put(nextFile, 92)
    put(UInt64(0), 96)
  }
}

/// The fields that every version keeps at their place, so that another version can be named.
struct BlockPrefix {
  let checksum: UInt32
  let version: UInt16
  let length: Int

  /// Nil when these bytes do not begin a block.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= 16, read32(bytes, 0) == JournalFormat.magic else { return nil }
    checksum = read32(bytes, 4)
    version = UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt16.self))
    length = Int(read32(bytes, 12))
    guard length >= JournalFormat.pageBytes, length <= JournalFormat.blockBytesMax,
      length % JournalFormat.pageBytes == 0
    else { return nil }
  }
}

extension BlockHeader {
  /// Nil when a field says something that no writer writes.
  init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= JournalFormat.headerBytes, let prefix = BlockPrefix(bytes), bytes[11] == 0,
      let kind = BlockKind(rawValue: bytes[10])
    else { return nil }
    checksum = prefix.checksum
    version = prefix.version
    self.kind = kind
    length = UInt32(prefix.length)
    directory = read64(bytes, 16)
    boot = read64(bytes, 24)
    lane = LaneID(UInt16(truncatingIfNeeded: read32(bytes, 32)))
    previousChecksum = read32(bytes, 36)
    use = read64(bytes, 40)
    sequence = read64(bytes, 48)
    watermark = read64(bytes, 56)
    oldestUse = read64(bytes, 64)
    offset = read64(bytes, 72)
    summariesBytes = read32(bytes, 80)
    payloadBytes = read32(bytes, 84)
    segmentPages = read32(bytes, 88)
    nextFile = read32(bytes, 92)
    let around = UInt64(JournalFormat.headerBytes + JournalFormat.tailBytes)
    let content = UInt64(summariesBytes) + UInt64(payloadBytes) + around
    guard content <= UInt64(length), sequence > 0, watermark < sequence, sequence < JournalFormat.countLimit,
      oldestUse <= use, use < JournalFormat.countLimit,
      segmentPages == 0 || (offset <= segmentBytes && UInt64(length) <= segmentBytes - offset)
    else { return nil }
  }
}

struct RecordHeader: Equatable {
  static let firstFragment: UInt8 = 1
  static let lastFragment: UInt8 = 2

  var kind: RecordKind
  var flags: UInt8 = firstFragment | lastFragment
  var entryKind: UInt8 = 0
  var bytes: UInt32
  var total: UInt32
  var shard: ShardID
  var index = LogIndex.zero
  var term: Term

  var isFirst: Bool { flags & Self.firstFragment != 0 }
  var isLast: Bool { flags & Self.lastFragment != 0 }

  func encode(to base: UnsafeMutableRawPointer) {
    base.storeBytes(of: kind.rawValue, as: UInt8.self)
    base.storeBytes(of: flags, toByteOffset: 1, as: UInt8.self)
    base.storeBytes(of: entryKind, toByteOffset: 2, as: UInt8.self)
    base.storeBytes(of: 0, toByteOffset: 3, as: UInt8.self)
    base.storeBytes(of: bytes.littleEndian, toByteOffset: 4, as: UInt32.self)
    base.storeBytes(of: total.littleEndian, toByteOffset: 8, as: UInt32.self)
    base.storeBytes(of: shard.rawValue.littleEndian, toByteOffset: 12, as: UInt64.self)
    base.storeBytes(of: index.rawValue.littleEndian, toByteOffset: 20, as: UInt64.self)
    base.storeBytes(of: term.rawValue.littleEndian, toByteOffset: 28, as: UInt64.self)
  }
}

extension RecordHeader {
  /// Nil when the bytes are too few or say something that no writer of this version writes.
  init?(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
    guard offset + JournalFormat.recordHeaderBytes <= bytes.count, let kind = RecordKind(rawValue: bytes[offset])
    else { return nil }
    self.kind = kind
    flags = bytes[offset + 1]
    entryKind = bytes[offset + 2]
    self.bytes = read32(bytes, offset + 4)
    total = read32(bytes, offset + 8)
    shard = ShardID(read64(bytes, offset + 12))
    index = LogIndex(read64(bytes, offset + 20))
    term = Term(read64(bytes, offset + 28))
    guard flags <= 3, bytes[offset + 3] == 0, self.bytes <= total, total <= UInt32(JournalFormat.entryBytesMax),
      index.rawValue < JournalFormat.indexLimit, term.rawValue < JournalFormat.termLimit,
      offset + JournalFormat.recordHeaderBytes + Int(self.bytes) <= bytes.count
    else { return nil }
  }
}

@inline(__always) func read32(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt32 {
  UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
}

@inline(__always) func read64(_ bytes: UnsafeRawBufferPointer, _ offset: Int) -> UInt64 {
  UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
}
