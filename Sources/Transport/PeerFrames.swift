import Glibc
import Primitives

/// Frames between nodes (`filestore-peer/1`):
///
///     offset 0   u32   bytes of the payload (little-endian), at most 2 MiB
///     offset 4   u32   CRC-32C of the four length bytes and the payload
///     offset 8         payload
package enum PeerFrame {
  package static let headerBytes = 8
  package static let payloadBytesMax = 2 << 20

  /// Appends one frame.
  package static func append(_ payload: UnsafeRawBufferPointer, to output: OutputBuffer) {
    precondition(payload.count <= payloadBytesMax, "a frame holds at most 2 MiB")
    output.append(header(of: payload))
    output.append(payload)
  }

  static func header(of payload: UnsafeRawBufferPointer) -> [UInt8] {
    var writer = ByteWriter(capacity: headerBytes)
    writer.write(UInt32(payload.count))
    writer.write(checksum(UInt32(payload.count), payload))
    return writer.bytes
  }

  static func checksum(_ count: UInt32, _ payload: UnsafeRawBufferPointer) -> UInt32 {
    let first = withUnsafeBytes(of: count.littleEndian) { crc32c($0) }
    return crc32c(payload, after: first)
  }
}

/// Frames of a turn on their way to another node: sealed together, so that many small ones are one TLS record.
final class PeerFrameWriter {
  private let waiting = OutputBuffer()

  var count: Int { waiting.count }

  func append(_ payload: UnsafeRawBufferPointer) { PeerFrame.append(payload, to: waiting) }

  func flush(_ channel: Channel, output: OutputBuffer) {
    if waiting.isEmpty { return }
    channel.send(waiting.bytes, output: output)
    waiting.removeAll()
  }
}

/// Bytes that are no frames: the connection cannot go on.
package enum PeerFrameError: Error, Equatable, Sendable, CustomStringConvertible {
  case tooLarge(UInt32)
  case damaged

  package var description: String {
    switch self {
    case .tooLarge(let count): "a frame of \(count) bytes, over the limit of \(PeerFrame.payloadBytesMax)"
    case .damaged: "a frame whose checksum does not match"
    }
  }
}

/// Cuts a stream of bytes into frames; checks length and checksum. A frame that lies whole in the bytes received is not copied.
///
///     reader.receive(bytes)
///     while let payload = try reader.next() { … }       // to the end, before `bytes` go
package final class PeerFrameReader {
  @exclusivity(unchecked) private var input = UnsafeRawBufferPointer(start: nil, count: 0)
  @exclusivity(unchecked) private var partial = RawBlock()
  @exclusivity(unchecked) private var partialIsDelivered = false
  @exclusivity(unchecked) private var failure: PeerFrameError?

  package init() {}
  deinit { partial.release() }

  package func receive(_ bytes: UnsafeRawBufferPointer) {
    precondition(input.count == 0, "all frames of the bytes before have been taken")
    input = bytes
  }

  /// The next payload, valid until the next call; nil when more bytes are needed. After an error the same comes for ever.
  package func next() throws(PeerFrameError) -> UnsafeRawBufferPointer? {
    if let failure { throw failure }
    do throws(PeerFrameError) {
      return try partial.count > 0 ? nextAcross() : nextWithin()
    } catch {
      failure = error
      input = UnsafeRawBufferPointer(start: nil, count: 0)
      throw error
    }
  }

  /// The frame begins in `input`.
  private func nextWithin() throws(PeerFrameError) -> UnsafeRawBufferPointer? {
    if input.count >= PeerFrame.headerBytes {
      let whole = try size(input)
      if input.count >= whole {
        let frame = take(whole)
        return try check(frame)
      }
    }
    keep(input.count)
    return nil
  }

  /// The frame began in bytes that are gone.
  private func nextAcross() throws(PeerFrameError) -> UnsafeRawBufferPointer? {
    if partialIsDelivered {
      partialIsDelivered = false
      partial.clear(keeping: 256 << 10)
      return try nextWithin()
    }
    if partial.count < PeerFrame.headerBytes { keep(min(input.count, PeerFrame.headerBytes - partial.count)) }
    guard partial.count >= PeerFrame.headerBytes else { return nil }
    let whole = try size(partial.bytes)
    keep(min(input.count, whole - partial.count))
    guard partial.count == whole else { return nil }
    partialIsDelivered = true
    return try check(partial.bytes)
  }

  private func size(_ header: UnsafeRawBufferPointer) throws(PeerFrameError) -> Int {
    let count = UInt32(littleEndian: header.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
    guard count <= PeerFrame.payloadBytesMax else { throw .tooLarge(count) }
    return PeerFrame.headerBytes + Int(count)
  }

  private func check(_ frame: UnsafeRawBufferPointer) throws(PeerFrameError) -> UnsafeRawBufferPointer {
    let payload = UnsafeRawBufferPointer(rebasing: frame[PeerFrame.headerBytes...])
    let sealed = UInt32(littleEndian: frame.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    guard PeerFrame.checksum(UInt32(payload.count), payload) == sealed else { throw .damaged }
    return payload
  }

  private func take(_ count: Int) -> UnsafeRawBufferPointer {
    let part = UnsafeRawBufferPointer(rebasing: input[..<count])
    input = UnsafeRawBufferPointer(rebasing: input[count...])
    return part
  }

  private func keep(_ count: Int) {
    let part = take(count)
    if let base = part.baseAddress { partial.append(base, part.count) }
  }
}
