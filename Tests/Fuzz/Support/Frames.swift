/// Frames of HTTP/2 (RFC 9113, section 4.1) as an input describes them, so that their lengths are right: type u8, flags u8,
/// stream u8, a sized payload.
func frames(_ input: inout Input) -> [UInt8] {
  var bytes: [UInt8] = []
  while !input.isAtEnd {
    let (type, flags, stream) = (input.byte(), input.byte(), input.byte())
    bytes += frame(type, flags, stream, input.sized())
  }
  return bytes
}

func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8] = []) -> [UInt8] {
  [0, UInt8(payload.count >> 8), UInt8(payload.count & 255), type, flags, 0, 0, 0, stream] + payload
}

/// The same as an input says it.
func described(_ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8] = []) -> [UInt8] {
  [type, flags, stream, UInt8(payload.count)] + payload
}

/// A header field without indexing and without Huffman (RFC 7541, section 6.2.2).
func field(_ name: String, _ value: String) -> [UInt8] {
  [0, UInt8(name.utf8.count)] + utf8(name) + [UInt8(value.utf8.count)] + utf8(value)
}

/// In pieces of `size` bytes; all at once when it is zero.
func pieces(_ bytes: [UInt8], of size: Int) -> [ArraySlice<UInt8>] {
  guard size > 0 else { return [bytes[...]] }
  return stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min($0 + size, bytes.count)] }
}
