import Primitives
import Raft

/// Fills one buffer with a block: header room and summaries first, then records, then the finished header and checksum.
struct BlockWriter {
  let base: UnsafeMutableRawPointer
  /// Where the content ends at the latest: behind it the tail has room.
  let capacity: Int
  let payloadStart: Int
  private(set) var end: Int

  /// - Parameters:
  ///   - capacity: bytes that the block may take in all, a multiple of a page.
  ///   - summaries: encoded; they and the header must leave room in it.
  init(_ buffer: UnsafeMutableRawBufferPointer, capacity: Int, summaries: [UInt8]) {
    guard let base = buffer.baseAddress, capacity <= buffer.count else { preconditionFailure("a buffer of the block") }
    self.base = base
    self.capacity = capacity - JournalFormat.tailBytes
    precondition(JournalFormat.headerBytes + summaries.count <= self.capacity, "header and summaries fit in the block")
    payloadStart = JournalFormat.headerBytes + summaries.count
    end = payloadStart
    summaries.withUnsafeBytes { source in
      if let from = source.baseAddress {
        (base + JournalFormat.headerBytes).copyMemory(from: from, byteCount: source.count)
      }
    }
  }

  var room: Int { capacity - end }
  var isEmpty: Bool { end == payloadStart }

  /// Appends a record whose payload is `count` bytes of `payload` from `offset` on.
  mutating func append(_ header: RecordHeader, payload: [UInt8], from offset: Int = 0) {
    let count = Int(header.bytes)
    precondition(room >= JournalFormat.recordHeaderBytes + count, "a record that fits in the block")
    precondition(offset + count <= payload.count, "a fragment of the payload")
    header.encode(to: base + end)
    end += JournalFormat.recordHeaderBytes
    payload.withUnsafeBytes { source in
      if count > 0, let from = source.baseAddress { (base + end).copyMemory(from: from + offset, byteCount: count) }
    }
    end += count
  }

  mutating func appendRaw(_ bytes: [UInt8]) {
    precondition(room >= bytes.count, "a payload that fits in the block")
    bytes.withUnsafeBytes { source in
      if let from = source.baseAddress { (base + end).copyMemory(from: from, byteCount: source.count) }
    }
    end += bytes.count
  }

  /// Pads with zeros to whole pages and seals the block.
  /// - Returns: its length and checksum.
  mutating func finish(_ fields: BlockHeader) -> (length: Int, checksum: UInt32) {
    let length = JournalFormat.roundUp(end + JournalFormat.tailBytes)
    (base + end).initializeMemory(as: UInt8.self, repeating: 0, count: length - end)
    var header = fields
    header.length = UInt32(length)
    header.summariesBytes = UInt32(payloadStart - JournalFormat.headerBytes)
    header.payloadBytes = UInt32(end - payloadStart)
    header.encode(to: base)
    let checksum = crc32c(UnsafeRawBufferPointer(start: base + 8, count: length - 8))
    base.storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
    return (length, checksum)
  }
}
