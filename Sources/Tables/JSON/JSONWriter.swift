// Appends JSON to a byte buffer.

/// Appends `text`, valid UTF-8, as a JSON string with its quotes. Only quote, backslash and control characters are
/// escaped.
func appendJSONString(_ text: UnsafeRawBufferPointer, to out: inout [UInt8]) {
  out.append(UInt8(ascii: "\""))
  var run = 0
  var offset = 0
  while offset < text.count {
    if offset + 8 <= text.count {
      let word = UInt64(littleEndian: text.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      let special = specialBytes(word) & 0x8080_8080_8080_8080
      if special == 0 {
        offset += 8
        continue
      }
      offset += special.trailingZeroBitCount / 8
    }
    let byte = text[offset]
    if byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
      out.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[run..<offset]))
      appendEscaped(byte, to: &out)
      run = offset + 1
    }
    offset += 1
  }
  out.append(contentsOf: UnsafeRawBufferPointer(rebasing: text[run...]))
  out.append(UInt8(ascii: "\""))
}

package func appendJSONString(_ text: String, to out: inout [UInt8]) {
  var copy = text
  copy.withUTF8 { appendJSONString(UnsafeRawBufferPointer($0), to: &out) }
}

private func appendEscaped(_ byte: UInt8, to out: inout [UInt8]) {
  out.append(UInt8(ascii: "\\"))
  switch byte {
  case 0x08: out.append(UInt8(ascii: "b"))
  case 0x09: out.append(UInt8(ascii: "t"))
  case 0x0A: out.append(UInt8(ascii: "n"))
  case 0x0C: out.append(UInt8(ascii: "f"))
  case 0x0D: out.append(UInt8(ascii: "r"))
  case UInt8(ascii: "\""), UInt8(ascii: "\\"): out.append(byte)
  default:
    append("u00", to: &out)
    out.append(hexDigit(byte >> 4))
    out.append(hexDigit(byte))
  }
}

func append(_ text: StaticString, to out: inout [UInt8]) {
  out.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
}

/// Appends a number in decimal digits.
package func appendDecimalDigits(_ value: UInt64, to out: inout [UInt8]) {
  var buffer = InlineArray<20, UInt8>(repeating: 0)
  var rest = value
  var first = 20
  repeat {
    let (quotient, remainder) = rest.quotientAndRemainder(dividingBy: 10)
    first -= 1
    buffer[first] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: remainder)
    rest = quotient
  } while rest > 0
  for i in first..<20 { out.append(buffer[i]) }
}

func appendInt64(_ value: Int64, to out: inout [UInt8]) {
  if value < 0 { out.append(UInt8(ascii: "-")) }
  appendDecimalDigits(value.magnitude, to: &out)
}

/// The shortest text that reads back as the same float64.
func appendFloat64(_ value: Double, to out: inout [UInt8]) {
  precondition(value.isFinite, "a stored float64 is finite")
  out.append(contentsOf: value.description.utf8)
}
