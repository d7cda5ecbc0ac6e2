import Primitives
import Raft

/// A block whose checksum was verified. Borrows the bytes: use it before they change.
struct BlockView {
  let header: BlockHeader
  /// All of the block.
  let bytes: UnsafeRawBufferPointer

  enum Failure: Equatable {
    /// No magic, or a header that no writer writes.
    case noBlock
    /// Or not decrypted.
    case checksum
    /// Whole and unharmed, but of another format version.
    case version(UInt16)
  }

  /// The length that the first page claims; nil when it does not begin a block.
  static func claimedLength(_ page: UnsafeRawBufferPointer) -> Int? { BlockPrefix(page)?.length }

  /// Verifies the block that `bytes` begin with.
  static func verify(_ bytes: UnsafeRawBufferPointer) -> Result<BlockView, Failure> {
    guard let prefix = BlockPrefix(bytes), prefix.length <= bytes.count else { return .failure(.noBlock) }
    let block = UnsafeRawBufferPointer(rebasing: bytes[..<prefix.length])
    guard crc32c(UnsafeRawBufferPointer(rebasing: block[8...])) == prefix.checksum else { return .failure(.checksum) }
    guard (JournalFormat.oldestVersion...JournalFormat.version).contains(prefix.version) else {
      return .failure(.version(prefix.version))
    }
    guard block[(block.count - JournalFormat.tailBytes)...].allSatisfy({ $0 == 0 }) else { return .failure(.checksum) }
    guard let header = BlockHeader(block) else { return .failure(.noBlock) }
    return .success(BlockView(header: header, bytes: block))
  }

  var payload: UnsafeRawBufferPointer {
    let start = JournalFormat.headerBytes + Int(header.summariesBytes)
    return UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(header.payloadBytes)])
  }

  func summaries() throws(DecodeError) -> [BlockSummary] {
    let start = JournalFormat.headerBytes
    let region = UnsafeRawBufferPointer(rebasing: bytes[start..<start + Int(header.summariesBytes)])
    return try decodeSummaries(region, own: header.sequence)
  }

  /// What a start block names; nil for other kinds.
  var start: StartPayload? {
    guard header.kind == .start, payload.count == JournalFormat.startPayloadBytes else { return nil }
    return StartPayload(
      sequence: read64(payload, 0), checksum: read32(payload, 8), use: read64(payload, 16))
  }
}

extension BlockView.Failure: Error {}

/// Hands each block in bytes that were read to `open`, which makes it plain in place. Before `Journal.completeRead`, by a
/// driver that encrypts; what cannot be decrypted is left as it is and found there.
package func openBlocks(in bytes: UnsafeMutableRawBufferPointer, by open: (UnsafeMutableRawBufferPointer) -> Void) {
  var rest = bytes
  while let length = BlockView.claimedLength(UnsafeRawBufferPointer(rest)), length <= rest.count {
    open(UnsafeMutableRawBufferPointer(rebasing: rest[..<length]))
    rest = UnsafeMutableRawBufferPointer(rebasing: rest[length...])
  }
}

/// What a start block says: the last block that recovery accepted.
package struct StartPayload: Equatable, Sendable {
  package var sequence: UInt64
  package var checksum: UInt32
  package var use: UInt64

  var encoded: [UInt8] {
    var writer = ByteWriter(capacity: JournalFormat.startPayloadBytes)
    writer.write(sequence)
    writer.write(checksum)
    writer.write(UInt32(0))
    writer.write(use)
    return writer.bytes
  }
}

/// Walks the records of a block's payload. No allocation.
struct RecordCursor {
  let payload: UnsafeRawBufferPointer
  private(set) var offset = 0
  /// True once a record said something that no writer writes; the walk ends there.
  private(set) var isMalformed = false

  init(_ payload: UnsafeRawBufferPointer) { self.payload = payload }

  mutating func next() -> (header: RecordHeader, payload: UnsafeRawBufferPointer)? {
    guard offset < payload.count, !isMalformed else { return nil }
    guard let header = RecordHeader(payload, at: offset) else {
      isMalformed = true
      return nil
    }
    let start = offset + JournalFormat.recordHeaderBytes
    offset = start + Int(header.bytes)
    return (header, UnsafeRawBufferPointer(rebasing: payload[start..<offset]))
  }
}

/// A hard state record's content; nil when malformed.
func decodeHardState(_ header: RecordHeader, _ payload: UnsafeRawBufferPointer) -> HardState? {
  guard header.isFirst, header.isLast, header.bytes == header.total else { return nil }
  switch payload.count {
  case 0: return HardState(term: header.term, vote: nil)
  case JournalFormat.votePayloadBytes:
    let vote = Member(node: NodeID(read32(payload, 0)), incarnation: Incarnation(read64(payload, 4)))
    return HardState(term: header.term, vote: vote)
  default: return nil
  }
}

func encodeVote(_ hardState: HardState) -> [UInt8] {
  guard let vote = hardState.vote else { return [] }
  var writer = ByteWriter(capacity: JournalFormat.votePayloadBytes)
  writer.write(vote.node.rawValue)
  writer.write(vote.incarnation.rawValue)
  return writer.bytes
}

extension HardState {
  /// True when a place that holds this needs no copy of `other`: terms never fall, a vote in a term never changes.
  func covers(_ other: HardState) -> Bool {
    term > other.term || (term == other.term && (vote == other.vote || other.vote == nil))
  }
}
