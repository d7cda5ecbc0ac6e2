import Primitives
import Tables

/// The payload of a command entry: a count, then each command behind its length. A command's position is its ordinal,
/// which is the lower part of the version of the row it writes.
///
///     offset  size  field
///          0     1  format, 1
///          1     4  count of commands, at most 4 096
///          5     …  for each: length u32, bytes
package struct EntryBuilder: Sendable {
  package static let commandsMax = 4096
  /// Entries hold at most this many bytes, or one command of at most `commandBytesMax`.
  package static let bytesMax = 1 << 20
  package static let commandBytesMax = (1 << 20) + (100 << 10)
  static let headerBytes = 5
  /// A buffer that grew beyond this is not kept for the next entry.
  private static let keptBytesMax = 128 << 10

  private var writer = ByteWriter()
  package private(set) var count = 0

  package init() {}

  package var isEmpty: Bool { count == 0 }
  package var byteCount: Int { count == 0 ? 0 : writer.count }

  /// False when the command must go into the next entry.
  package func hasRoom(for command: [UInt8]) -> Bool {
    precondition(command.count <= Self.commandBytesMax, "a command is checked against its limit when it is encoded")
    if count == 0 { return true }
    return count < Self.commandsMax && writer.count + 4 + command.count <= Self.bytesMax
  }

  package mutating func append(_ command: [UInt8]) {
    precondition(hasRoom(for: command), "the caller asks for room first")
    if count == 0 {
      writer.bytes.reserveCapacity(Self.headerBytes + 4 + command.count)
      writer.write(UInt8(1))
      writer.write(UInt32(0))
    }
    writer.write(UInt32(command.count))
    writer.writeBytes(command)
    count += 1
  }

  /// The finished payload; the builder is empty again. Entries stay in memory for long, so a payload has no spare room: what
  /// grew on the way, to twice its size at worst, is copied, and its buffer serves the next entry.
  package mutating func finish() -> [UInt8] {
    precondition(count > 0, "an entry holds a command")
    writer.patch(UInt32(count), at: 1)
    count = 0
    if writer.bytes.capacity - writer.count <= writer.count / 8 { return takeBuffer() }
    let payload = writer.bytes.withUnsafeBytes { grown in
      [UInt8](unsafeUninitializedCapacity: grown.count) { exact, used in
        UnsafeMutableRawBufferPointer(exact).copyMemory(from: grown)
        used = grown.count
      }
    }
    if writer.bytes.capacity > Self.keptBytesMax { writer = ByteWriter() }
    writer.bytes.removeAll(keepingCapacity: true)
    return payload
  }

  private mutating func takeBuffer() -> [UInt8] {
    defer { writer = ByteWriter() }
    return writer.bytes
  }
}

/// Walks the commands of an entry's payload in order; keeps its place over pauses.
package struct EntryCursor: Sendable {
  package let payload: [UInt8]
  package let count: UInt32
  package private(set) var ordinal: UInt32 = 0
  private var offset = EntryBuilder.headerBytes

  /// Throws when the payload is not one that `EntryBuilder` made: a checksummed log holds no other.
  package init(_ payload: [UInt8], skipping skipped: UInt32 = 0) throws(DecodeError) {
    self.payload = payload
    count = try payload.withBytes { raw throws(DecodeError) -> UInt32 in
      var reader = ByteReader(raw)
      let format: UInt8 = try reader.read()
      guard format == 1 else { throw .invalid("an entry of an unknown format") }
      let count: UInt32 = try reader.read()
      guard count >= 1, count <= UInt32(EntryBuilder.commandsMax) else { throw .invalid("an impossible count") }
      return count
    }
    guard skipped <= count else { throw .invalid("more commands were applied than the entry has") }
    while ordinal < skipped { try advance() }
  }

  package var isAtEnd: Bool { ordinal == count }

  /// The place of the current command's bytes.
  package func current() throws(DecodeError) -> Range<Int> {
    try payload.withBytes { raw throws(DecodeError) in try command(raw) }
  }

  /// The same, by one who has the payload's bytes at hand.
  @inline(__always)
  func command(_ raw: UnsafeRawBufferPointer) throws(DecodeError) -> Range<Int> {
    guard raw.count >= offset + 4 else { throw .truncated }
    let length = Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    guard raw.count - offset - 4 >= length else { throw .truncated }
    return offset + 4..<offset + 4 + length
  }

  package mutating func advance() throws(DecodeError) { advance(over: try current()) }

  /// Behind the current command, which is at `command`.
  @inline(__always)
  mutating func advance(over command: Range<Int>) {
    offset = command.upperBound
    ordinal += 1
  }
}
