// The written forms of bytes and uuid: base64 (padded in JSON, base64url in paths) and hexadecimal groups.

/// Which base64: RFC 4648 section 4 with padding, or section 5, where padding may be left out.
enum Base64Alphabet {
  case standard
  case url
}

private let base64Standard = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
private let base64URL = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)

func appendBase64(_ bytes: UnsafeRawBufferPointer, _ alphabet: Base64Alphabet, to out: inout [UInt8]) {
  let letters = alphabet == .standard ? base64Standard : base64URL
  var offset = 0
  while offset < bytes.count {
    let count = min(3, bytes.count - offset)
    var group: UInt32 = 0
    for i in 0..<3 { group = group << 8 | (i < count ? UInt32(bytes[offset + i]) : 0) }
    for i in 0...count { out.append(letters[Int(group >> UInt32(18 - 6 * i)) & 63]) }
    if alphabet == .standard { for _ in count..<3 { out.append(UInt8(ascii: "=")) } }
    offset += 3
  }
}

/// Six bits of one letter; 255 for any other byte.
private func base64Value(_ byte: UInt8, _ alphabet: Base64Alphabet) -> UInt8 {
  switch byte {
  case 0x41...0x5A: byte - 0x41
  case 0x61...0x7A: byte - 0x61 + 26
  case 0x30...0x39: byte - 0x30 + 52
  case 0x2B: alphabet == .standard ? 62 : 255
  case 0x2F: alphabet == .standard ? 63 : 255
  case 0x2D: alphabet == .url ? 62 : 255
  case 0x5F: alphabet == .url ? 63 : 255
  default: 255
  }
}

/// Appends what `text` stands for. Bits that stand for nothing must be zero, so that a value has one written form.
func appendDecodedBase64(
  _ text: UnsafeRawBufferPointer, _ alphabet: Base64Alphabet, to out: inout [UInt8]
) throws(Mismatch) {
  var letters = text.count
  while letters > 0, text.count - letters < 2, text[letters - 1] == UInt8(ascii: "=") { letters -= 1 }
  let padded = letters < text.count || alphabet == .standard
  guard letters % 4 != 1, !padded || text.count % 4 == 0 else { throw .notBase64 }
  var group: UInt32 = 0
  var bits: UInt32 = 0
  for i in 0..<letters {
    let value = base64Value(text[i], alphabet)
    guard value < 64 else { throw .notBase64 }
    group = group << 6 | UInt32(value)
    bits += 6
    if bits >= 8 {
      bits -= 8
      out.append(UInt8(truncatingIfNeeded: group >> bits))
      group &= (1 << bits) - 1
    }
  }
  guard group == 0 else { throw .notBase64 }
}

private let hexDigits = Array("0123456789abcdef".utf8)

func hexDigit(_ value: UInt8) -> UInt8 { hexDigits[Int(value & 15)] }

/// The value of a hexadecimal digit; nil for any other byte.
func hexValue(_ byte: UInt8) -> UInt8? {
  switch byte {
  case 0x30...0x39: byte - 0x30
  case 0x41...0x46: byte - 0x41 + 10
  case 0x61...0x66: byte - 0x61 + 10
  default: nil
  }
}

/// `123e4567-e89b-12d3-a456-426614174000` from 16 bytes.
func appendUUID(_ bytes: UnsafeRawBufferPointer, to out: inout [UInt8]) {
  for i in 0..<16 {
    if i == 4 || i == 6 || i == 8 || i == 10 { out.append(UInt8(ascii: "-")) }
    out.append(hexDigit(bytes[i] >> 4))
    out.append(hexDigit(bytes[i]))
  }
}

func appendParsedUUID(_ text: UnsafeRawBufferPointer, to out: inout [UInt8]) throws(Mismatch) {
  guard text.count == 36 else { throw .notUUID }
  var offset = 0
  while offset < 36 {
    if offset == 8 || offset == 13 || offset == 18 || offset == 23 {
      guard text[offset] == UInt8(ascii: "-") else { throw .notUUID }
      offset += 1
    }
    guard let high = hexValue(text[offset]), let low = hexValue(text[offset + 1]) else { throw .notUUID }
    out.append(high << 4 | low)
    offset += 2
  }
}
