/// As much of protobuf's encoding as etcd's messages need: fields of bytes and of integers, and reading any field.
/// https://protobuf.dev/programming-guides/encoding
enum Protobuf {
  static func varint(_ value: UInt64) -> [UInt8] {
    var (rest, bytes) = (value, [UInt8]())
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    return bytes + [UInt8(rest)]
  }

  /// Bytes, text, or a message inside.
  static func field(_ number: UInt64, _ payload: [UInt8]) -> [UInt8] {
    varint(number << 3 | 2) + varint(UInt64(payload.count)) + payload
  }

  static func field(_ number: UInt64, _ text: String) -> [UInt8] { field(number, Array(text.utf8)) }

  static func field(_ number: UInt64, _ value: UInt64) -> [UInt8] { varint(number << 3) + varint(value) }
}

/// The fields of a message, in their order.
struct ProtobufReader {
  enum Value {
    case integer(UInt64)
    case bytes(UnsafeRawBufferPointer)
  }

  struct Field {
    var number: UInt64
    var value: Value

    var integer: UInt64? { if case .integer(let value) = value { value } else { nil } }
    var bytes: UnsafeRawBufferPointer? { if case .bytes(let bytes) = value { bytes } else { nil } }
  }

  /// The bytes are no message.
  struct Malformed: Error, Equatable {}

  private let bytes: UnsafeRawBufferPointer
  private var at = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  /// The next field; nil at the end.
  mutating func next() throws(Malformed) -> Field? {
    guard at < bytes.count else { return nil }
    let tag = try varint()
    guard tag >> 3 > 0 else { throw Malformed() }
    switch tag & 7 {
    case 0: return Field(number: tag >> 3, value: .integer(try varint()))
    case 1: return Field(number: tag >> 3, value: .bytes(try take(8)))
    case 2: return Field(number: tag >> 3, value: .bytes(try take(try varint())))
    case 5: return Field(number: tag >> 3, value: .bytes(try take(4)))
    default: throw Malformed()
    }
  }

  private mutating func varint() throws(Malformed) -> UInt64 {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 70, by: 7) {
      guard at < bytes.count else { throw Malformed() }
      let byte = UInt64(bytes[at])
      at += 1
      if shift == 63, byte > 1 { throw Malformed() }
      value |= (byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    throw Malformed()
  }

  private mutating func take(_ count: UInt64) throws(Malformed) -> UnsafeRawBufferPointer {
    guard count <= UInt64(bytes.count - at) else { throw Malformed() }
    let start = at
    at += Int(count)
    return UnsafeRawBufferPointer(rebasing: bytes[start..<at])
  }
}
