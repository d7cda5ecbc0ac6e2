// A request's target taken apart: segments of the path, pairs of the query, percent-decoding. `+` is literal everywhere.

/// The path and the query of a target, not decoded. Borrows the target's bytes.
struct Target {
  private(set) var segments = InlineArray<6, Range<Int>>(repeating: 0..<0)
  /// More than six: no path of ours.
  private(set) var count = 0
  let bytes: UnsafeRawBufferPointer
  let query: Range<Int>
  let isWellFormed: Bool

  init(_ bytes: UnsafeRawBufferPointer) {
    self.bytes = bytes
    var end = bytes.count
    var query = bytes.count..<bytes.count
    for i in 0..<bytes.count where bytes[i] == UInt8(ascii: "?") {
      end = i
      query = i + 1..<bytes.count
      break
    }
    self.query = query
    isWellFormed = end > 0 && bytes[0] == UInt8(ascii: "/")
    guard isWellFormed else { return }
    var start = 1
    for i in 1...end where i == end || bytes[i] == UInt8(ascii: "/") {
      if count < 6 { segments[count] = start..<i }
      count += 1
      start = i + 1
    }
  }

  subscript(index: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: bytes[segments[index]])
  }

  /// Calls `body` with each `name=value` of the query, not decoded, until it returns false. Names are plain.
  func forEachParameter(_ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool) {
    var start = query.lowerBound
    while start < query.upperBound {
      var end = start
      var equals: Int?
      while end < query.upperBound, bytes[end] != UInt8(ascii: "&") {
        if equals == nil, bytes[end] == UInt8(ascii: "=") { equals = end }
        end += 1
      }
      if end > start {
        let name = UnsafeRawBufferPointer(rebasing: bytes[start..<(equals ?? end)])
        let value = UnsafeRawBufferPointer(rebasing: bytes[(equals.map { $0 + 1 } ?? end)..<end])
        if !body(name, value) { return }
      }
      start = end + 1
    }
  }

  var hasQuery: Bool { !query.isEmpty }
}

/// The bytes that `%XX` and plain characters stand for; nil when a `%` is not followed by two hex digits.
func percentDecoded(_ bytes: UnsafeRawBufferPointer) -> [UInt8]? {
  var decoded: [UInt8] = []
  decoded.reserveCapacity(bytes.count)
  var i = 0
  while i < bytes.count {
    guard bytes[i] == UInt8(ascii: "%") else {
      decoded.append(bytes[i])
      i += 1
      continue
    }
    guard i + 2 < bytes.count, let high = hexDigit(bytes[i + 1]), let low = hexDigit(bytes[i + 2]) else { return nil }
    decoded.append(high << 4 | low)
    i += 3
  }
  return decoded
}

private func hexDigit(_ byte: UInt8) -> UInt8? {
  switch byte {
  case 0x30...0x39: byte - 0x30
  case 0x41...0x46: byte - 0x41 + 10
  case 0x61...0x66: byte - 0x61 + 10
  default: nil
  }
}

/// Percent-decoded UTF-8; nil when it is neither.
func decodedText(_ bytes: UnsafeRawBufferPointer) -> String? {
  var isPlain = true
  for byte in bytes where byte == UInt8(ascii: "%") || byte >= 0x80 { isPlain = false }
  if isPlain { return String(decoding: bytes, as: UTF8.self) }
  return percentDecoded(bytes).flatMap { String(validating: $0, as: UTF8.self) }
}
