// What stands behind the tokens: unescaped strings, numbers, and whole values copied without white space.

extension JSONScanner {
  /// Appends the string's text with its escapes replaced.
  func unescape(_ string: JSONString, to out: inout [UInt8]) {
    var offset = string.start
    let end = string.start + string.count
    while offset < end {
      if bytes[offset] != UInt8(ascii: "\\") {
        let run = offset
        while offset < end, bytes[offset] != UInt8(ascii: "\\") { offset += 1 }
        out.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[run..<offset]))
      } else {
        offset += unescapeOne(at: offset, to: &out)
      }
    }
  }

  /// Replaces one escape, which the scan has validated; returns its length.
  private func unescapeOne(at offset: Int, to out: inout [UInt8]) -> Int {
    switch bytes[offset + 1] {
    case UInt8(ascii: "b"): out.append(0x08)
    case UInt8(ascii: "f"): out.append(0x0C)
    case UInt8(ascii: "n"): out.append(0x0A)
    case UInt8(ascii: "r"): out.append(0x0D)
    case UInt8(ascii: "t"): out.append(0x09)
    case UInt8(ascii: "u"):
      let unit = unitAt(offset + 2)
      guard unit & 0xFC00 == 0xD800 else {
        appendUTF8(unit, to: &out)
        return 6
      }
      appendUTF8(0x10000 + (unit & 0x3FF) << 10 + unitAt(offset + 8) & 0x3FF, to: &out)
      return 12
    default: out.append(bytes[offset + 1])
    }
    return 2
  }

  private func unitAt(_ position: Int) -> UInt32 {
    var unit: UInt32 = 0
    for i in 0..<4 { unit = unit << 4 | UInt32(hexValue(bytes[position + i]) ?? 0) }
    return unit
  }

  /// The number as int64: it must be written in full.
  func int64(_ number: JSONNumber) throws(Mismatch) -> Int64 {
    guard number.isInteger else { throw .notInteger }
    return try parseInt64(slice(number))
  }

  /// The number as the nearest float64.
  func float64(_ number: JSONNumber) throws(Mismatch) -> Double { try parseFloat64(slice(number)) }

  /// Validates the value that comes next, and appends it to `out` without white space.
  mutating func minify(to out: inout [UInt8], names: inout NameSet, depth: Int = 0) throws(JSONFault) {
    switch peek() {
    case UInt8(ascii: "{"): try minifyObject(to: &out, names: &names, depth: depth)
    case UInt8(ascii: "["): try minifyArray(to: &out, names: &names, depth: depth)
    case UInt8(ascii: "\""): append(try string(), to: &out)
    case UInt8(ascii: "t"): try copyWord("true", to: &out)
    case UInt8(ascii: "f"): try copyWord("false", to: &out)
    case UInt8(ascii: "n"): try copyWord("null", to: &out)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): out.append(contentsOf: slice(try number()))
    default: throw fault(.unexpected)
    }
  }

  private func append(_ string: JSONString, to out: inout [UInt8]) {
    out.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[string.start - 1..<string.start + string.count + 1]))
  }

  private mutating func copyWord(_ text: StaticString, to out: inout [UInt8]) throws(JSONFault) {
    try word(text)
    out.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private mutating func minifyObject(to out: inout [UInt8], names: inout NameSet, depth: Int) throws(JSONFault) {
    let opening = offset
    guard depth < TableLimits.jsonDepthMax else { throw fault(.tooDeep) }
    try expect(UInt8(ascii: "{"))
    out.append(UInt8(ascii: "{"))
    let mark = names.begin()
    var first = true
    while try another(first: &first, close: UInt8(ascii: "}")) {
      if out.last != UInt8(ascii: "{") { out.append(UInt8(ascii: ",")) }
      let name = try string()
      names.add(name, of: self)
      append(name, to: &out)
      try expect(UInt8(ascii: ":"))
      out.append(UInt8(ascii: ":"))
      try minify(to: &out, names: &names, depth: depth + 1)
    }
    guard names.end(mark) else { throw JSONFault(kind: .duplicateName, offset: opening) }
    out.append(UInt8(ascii: "}"))
  }

  private mutating func minifyArray(to out: inout [UInt8], names: inout NameSet, depth: Int) throws(JSONFault) {
    guard depth < TableLimits.jsonDepthMax else { throw fault(.tooDeep) }
    try expect(UInt8(ascii: "["))
    out.append(UInt8(ascii: "["))
    var first = true
    while try another(first: &first, close: UInt8(ascii: "]")) {
      if out.last != UInt8(ascii: "[") { out.append(UInt8(ascii: ",")) }
      try minify(to: &out, names: &names, depth: depth + 1)
    }
    out.append(UInt8(ascii: "]"))
  }
}

/// Int64 from `-?digits`, the whole of `text`.
func parseInt64(_ text: UnsafeRawBufferPointer) throws(Mismatch) -> Int64 {
  var offset = 0
  let negative = text.count > 0 && text[0] == UInt8(ascii: "-")
  if negative { offset = 1 }
  guard offset < text.count else { throw .notInteger }
  var value: Int64 = 0
  while offset < text.count {
    let digit = text[offset] &- 0x30
    guard digit < 10 else { throw .notInteger }
    let (product, overflow1) = value.multipliedReportingOverflow(by: 10)
    let (sum, overflow2) = product.subtractingReportingOverflow(Int64(digit))
    guard !overflow1, !overflow2 else { throw .integerRange }
    value = sum
    offset += 1
  }
  guard !negative else { return value }
  guard value != .min else { throw .integerRange }
  return -value
}

private let powersOfTen: [Double] = [
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
  1e21, 1e22,
]

/// The nearest float64 of a number that the scanner has passed. Up to 15 digits and a power of ten that is exact take one
/// multiplication or division, correctly rounded (Clinger, "How to read floating point numbers accurately", 1990).
func parseFloat64(_ text: UnsafeRawBufferPointer) throws(Mismatch) -> Double {
  var mantissa: UInt64 = 0
  var digits = 0
  var exponent = 0
  var offset = text[0] == UInt8(ascii: "-") ? 1 : 0
  var behindPoint = false
  while offset < text.count {
    let byte = text[offset]
    if byte == UInt8(ascii: ".") {
      behindPoint = true
    } else if byte &- 0x30 < 10 {
      if digits > 0 || byte != 0x30 { digits += 1 }
      if digits > 15 { return try parseFloat64Slowly(text) }
      mantissa = mantissa * 10 + UInt64(byte - 0x30)
      if behindPoint { exponent -= 1 }
    } else {
      return try parseFloat64Slowly(text)
    }
    offset += 1
  }
  guard exponent >= -22 else { return try parseFloat64Slowly(text) }
  let magnitude = Double(mantissa) / powersOfTen[-exponent]
  return text[0] == UInt8(ascii: "-") ? -magnitude : magnitude
}

private func parseFloat64Slowly(_ text: UnsafeRawBufferPointer) throws(Mismatch) -> Double {
  guard let value = Double(String(decoding: text, as: UTF8.self)) else { throw .notNumber }
  guard value.isFinite else { throw .numberRange }
  return value
}

/// Appends a scalar value, which is no surrogate.
func appendUTF8(_ scalar: UInt32, to out: inout [UInt8]) {
  func low(_ shift: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: scalar >> shift) & 0x3F | 0x80 }
  switch scalar {
  case ..<0x80: out.append(UInt8(scalar))
  case ..<0x800: out.append(contentsOf: [UInt8(0xC0 | scalar >> 6), low(0)])
  case ..<0x10000: out.append(contentsOf: [UInt8(0xE0 | scalar >> 12), low(6), low(0)])
  default: out.append(contentsOf: [UInt8(0xF0 | scalar >> 18), low(12), low(6), low(0)])
  }
}
