import Primitives

/// What stands before the messages of a payload, so that one that comes twice is told: the sender's session (its boot
/// number and how often this link opened since) and the payload's number in it.
///
///     offset  size  field
///          0     8  session
///          8     8  sequence in the session, from 1
struct PayloadEnvelope: Equatable, Sendable {
  static let byteCount = 16
  var session: UInt64
  var sequence: UInt64

  init(session: UInt64, sequence: UInt64) {
    self.session = session
    self.sequence = sequence
  }

  /// Leaves its place at the beginning of a payload.
  static func reserve(in writer: inout ByteWriter) {
    precondition(writer.count == 0, "an envelope stands first")
    writer.write(UInt64(0))
    writer.write(UInt64(0))
  }

  /// Fills the place that was left.
  func patch(into payload: inout ByteWriter) {
    payload.patch(session, at: 0)
    payload.patch(sequence, at: 8)
  }

  init(_ payload: [UInt8]) throws(DecodeError) {
    guard payload.count >= Self.byteCount else { throw .truncated }
    (session, sequence) = payload.withUnsafeBytes {
      (
        UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
        UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
  }
}

/// Which payloads of a peer were taken already: the highest number and the 64 below it (RFC 4303, section 3.4.3, tells
/// the technique). What is older than that, or of an older session, counts as taken.
struct ReplayWindow: Sendable {
  private var session: UInt64 = 0
  private var highest: UInt64 = 0
  /// Bit n: the payload `highest - n` was taken.
  private var taken: UInt64 = 0

  /// True the first time.
  mutating func accept(_ envelope: PayloadEnvelope) -> Bool {
    if envelope.session < session { return false }
    if envelope.session > session {
      session = envelope.session
      highest = 0
      taken = 0
    }
    if envelope.sequence > highest {
      let distance = envelope.sequence - highest
      taken = distance < 64 ? taken << distance | 1 : 1
      highest = envelope.sequence
      return true
    }
    let age = highest - envelope.sequence
    guard age < 64, taken & (1 << age) == 0 else { return false }
    taken |= 1 << age
    return true
  }
}
