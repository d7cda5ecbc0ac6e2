// A strict JSON scanner (RFC 8259) over bytes. It walks forward and never back, allocates nothing by itself, and
// validates all that it passes: grammar, UTF-8, escapes, surrogate pairs, depth.

/// A string as it stands in the text.
struct JSONString {
  /// Between the quotes.
  var start: Int
  var count: Int
  var hasEscapes: Bool
}

/// A number as it stands in the text.
struct JSONNumber {
  var start: Int
  var count: Int
  /// No fraction and no exponent.
  var isInteger: Bool
}

/// The cursor. Use it only inside the `withUnsafeBytes` that gave its bytes.
struct JSONScanner {
  let bytes: UnsafeRawBufferPointer
  private(set) var offset: Int
  let end: Int

  init(_ bytes: UnsafeRawBufferPointer) { self.init(bytes, from: 0, count: bytes.count) }

  /// Scans a part; offsets in faults count from the start of `bytes`.
  init(_ bytes: UnsafeRawBufferPointer, from start: Int, count: Int) {
    precondition(start >= 0 && count >= 0 && start + count <= bytes.count, "a part inside the text")
    self.bytes = bytes
    offset = start
    end = start + count
  }

  func fault(_ kind: JSONFault.Kind) -> JSONFault {
    JSONFault(kind: kind == .unexpected && offset == end ? .endsEarly : kind, offset: offset)
  }

  mutating func skipSpace() {
    while offset < end {
      switch bytes[offset] {
      case 0x20, 0x0A, 0x0D, 0x09: offset += 1
      default: return
      }
    }
  }

  /// The next byte behind white space; 0 at the end (0 itself is never valid there).
  mutating func peek() -> UInt8 {
    skipSpace()
    return offset < end ? bytes[offset] : 0
  }

  /// Passes `byte` if it comes next behind white space.
  mutating func take(_ byte: UInt8) -> Bool {
    guard peek() == byte, offset < end else { return false }
    offset += 1
    return true
  }

  mutating func expect(_ byte: UInt8) throws(JSONFault) {
    guard take(byte) else { throw fault(.unexpected) }
  }

  /// Only white space may follow.
  mutating func expectEnd() throws(JSONFault) {
    skipSpace()
    guard offset == end else { throw JSONFault(kind: .moreBehind, offset: offset) }
  }

  /// `true`, `false` or `null` as written; the caller has seen the first letter.
  mutating func word(_ word: StaticString) throws(JSONFault) {
    let count = word.utf8CodeUnitCount
    guard offset + count <= end else { throw JSONFault(kind: .endsEarly, offset: end) }
    for i in 0..<count where bytes[offset + i] != word.utf8Start[i] {
      throw JSONFault(kind: .unexpected, offset: offset + i)
    }
    offset += count
  }

  // MARK: Strings

  /// Passes a string with its quotes, validated.
  mutating func string() throws(JSONFault) -> JSONString {
    try expect(UInt8(ascii: "\""))
    let start = offset
    var hasEscapes = false
    while true {
      skipPlain()
      guard offset < end else { throw fault(.endsEarly) }
      let byte = bytes[offset]
      if byte == UInt8(ascii: "\"") { break }
      if byte == UInt8(ascii: "\\") {
        hasEscapes = true
        try skipEscape()
      } else if byte < 0x20 {
        throw fault(.controlCharacter)
      } else if byte < 0x80 {
        offset += 1
      } else {
        let count = utf8Length(bytes, at: offset, end: end)
        guard count > 0 else { throw fault(.notUTF8) }
        offset += count
      }
    }
    offset += 1
    return JSONString(start: start, count: offset - 1 - start, hasEscapes: hasEscapes)
  }

  /// Passes eight bytes at a time while none of them needs a look.
  private mutating func skipPlain() {
    while offset + 8 <= end {
      let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
      let special = (specialBytes(word) | word) & 0x8080_8080_8080_8080
      if special != 0 {
        offset += special.trailingZeroBitCount / 8
        return
      }
      offset += 8
    }
  }

  private mutating func skipEscape() throws(JSONFault) {
    guard offset + 1 < end else { throw JSONFault(kind: .endsEarly, offset: end) }
    switch bytes[offset + 1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
      UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      offset += 2
    case UInt8(ascii: "u"):
      let unit = try hexUnit(at: offset + 2)
      if unit & 0xFC00 == 0xD800 {
        guard offset + 7 < end, bytes[offset + 6] == UInt8(ascii: "\\"), bytes[offset + 7] == UInt8(ascii: "u"),
          try hexUnit(at: offset + 8) & 0xFC00 == 0xDC00
        else { throw fault(.loneSurrogate) }
        offset += 12
      } else {
        guard unit & 0xFC00 != 0xDC00 else { throw fault(.loneSurrogate) }
        offset += 6
      }
    default: throw fault(.badEscape)
    }
  }

  private func hexUnit(at position: Int) throws(JSONFault) -> UInt32 {
    guard position + 4 <= end else { throw JSONFault(kind: .endsEarly, offset: end) }
    var unit: UInt32 = 0
    for i in 0..<4 {
      guard let digit = hexValue(bytes[position + i]) else {
        throw JSONFault(kind: .badEscape, offset: position + i)
      }
      unit = unit << 4 | UInt32(digit)
    }
    return unit
  }

  // MARK: Numbers

  mutating func number() throws(JSONFault) -> JSONNumber {
    skipSpace()
    let start = offset
    var isInteger = true
    _ = takeHere(UInt8(ascii: "-"))
    if takeHere(UInt8(ascii: "0")) {
      if offset < end, bytes[offset] &- 0x30 < 10 { throw JSONFault(kind: .badNumber, offset: start) }
    } else {
      try digits(start)
    }
    if takeHere(UInt8(ascii: ".")) {
      isInteger = false
      try digits(start)
    }
    if takeHere(UInt8(ascii: "e")) || takeHere(UInt8(ascii: "E")) {
      isInteger = false
      if !takeHere(UInt8(ascii: "+")) { _ = takeHere(UInt8(ascii: "-")) }
      try digits(start)
    }
    return JSONNumber(start: start, count: offset - start, isInteger: isInteger)
  }

  private mutating func takeHere(_ byte: UInt8) -> Bool {
    guard offset < end, bytes[offset] == byte else { return false }
    offset += 1
    return true
  }

  private mutating func digits(_ start: Int) throws(JSONFault) {
    let first = offset
    while offset < end, bytes[offset] &- 0x30 < 10 { offset += 1 }
    guard offset > first else { throw JSONFault(kind: .badNumber, offset: start) }
  }

  // MARK: Members

  /// Passes `,` before another member or element, or `close` behind the last one; true when another one follows.
  mutating func another(first: inout Bool, close: UInt8) throws(JSONFault) -> Bool {
    if take(close) {
      return false
    }
    if !first { try expect(UInt8(ascii: ",")) }
    if !first, peek() == close { throw fault(.unexpected) }
    first = false
    return true
  }

  /// Passes one value by its quotes and brackets only, not validated, and returns where it stands. For a value that is
  /// scanned in full afterwards.
  mutating func skipLightly() throws(JSONFault) -> Range<Int> {
    skipSpace()
    let start = offset
    var depth = 0
    repeat {
      guard offset < end else { throw fault(.endsEarly) }
      switch bytes[offset] {
      case UInt8(ascii: "\""): _ = try string()
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        depth += 1
        offset += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        guard depth > 0 else { throw fault(.unexpected) }
        depth -= 1
        offset += 1
      case UInt8(ascii: ","):
        guard depth > 0 else { throw fault(.unexpected) }
        offset += 1
      default:
        repeat { offset += 1 } while offset < end && !endsWord(bytes[offset])
      }
    } while depth > 0
    return start..<offset
  }

  private func endsWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: "\""), UInt8(ascii: "{"),
      UInt8(ascii: "["), 0x20, 0x0A, 0x0D, 0x09:
      true
    default: false
    }
  }

  /// The bytes of a string without escapes.
  func slice(_ string: JSONString) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[string.start..<string.start + string.count])
  }

  func slice(_ number: JSONNumber) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[number.start..<number.start + number.count])
  }
}

/// The high bit of each byte below 0x80 that is a quote, a backslash or a control character. What it says of a byte is
/// certain for the first byte marked, which is the one looked at.
func specialBytes(_ word: UInt64) -> UInt64 {
  let ones: UInt64 = 0x0101_0101_0101_0101
  let quote = word ^ (ones &* 0x22)
  let backslash = word ^ (ones &* 0x5C)
  return ((word &- ones &* 0x20) & ~word) | ((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash)
}

/// The length of the UTF-8 sequence at `offset`; 0 when it is none (overlong, surrogate, cut off, above U+10FFFF).
func utf8Length(_ bytes: UnsafeRawBufferPointer, at offset: Int, end: Int) -> Int {
  let first = bytes[offset]
  if first < 0x80 { return 1 }
  guard first >= 0xC2, first <= 0xF4, offset + 1 < end else { return 0 }
  let second = bytes[offset + 1]
  if first < 0xE0 { return second & 0xC0 == 0x80 ? 2 : 0 }
  guard offset + 2 < end, bytes[offset + 2] & 0xC0 == 0x80 else { return 0 }
  let low: UInt8 = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80
  let high: UInt8 = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF
  guard second >= low, second <= high else { return 0 }
  if first < 0xF0 { return 3 }
  guard offset + 3 < end, bytes[offset + 3] & 0xC0 == 0x80 else { return 0 }
  return 4
}

func isUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var offset = 0
  while offset < bytes.count {
    if offset + 32 <= bytes.count, isASCII(bytes, at: offset) {
      offset += 32
      continue
    }
    if offset + 8 <= bytes.count,
      bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
    {
      offset += 8
      continue
    }
    if offset + 8 > bytes.count, bytes.count >= 8,
      bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
    {
      return true
    }
    let count = utf8Length(bytes, at: offset, end: bytes.count)
    if count == 0 { return false }
    offset += count
  }
  return true
}

/// Whether the 32 bytes at `offset` are.
@inline(__always) private func isASCII(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Bool {
  func word(_ index: Int) -> UInt64 { bytes.loadUnaligned(fromByteOffset: offset &+ 8 &* index, as: UInt64.self) }
  return (word(0) | word(1) | word(2) | word(3)) & 0x8080_8080_8080_8080 == 0
}
