/// Takes an input apart from its beginning. Behind its end stand zeros and empty lines, so that every input means something.
struct Input {
  let bytes: [UInt8]
  private(set) var at = 0

  init(_ bytes: [UInt8]) { self.bytes = bytes }

  var isAtEnd: Bool { at >= bytes.count }

  mutating func byte() -> UInt8 {
    guard at < bytes.count else { return 0 }
    at += 1
    return bytes[at - 1]
  }

  /// Little-endian.
  mutating func number<T: FixedWidthInteger>(_: T.Type = T.self) -> T {
    var value: T = 0
    for shift in 0..<T.bitWidth / 8 { value |= T(truncatingIfNeeded: byte()) << T(truncatingIfNeeded: 8 * shift) }
    return value
  }

  /// The next `count` bytes, or as many as there are.
  mutating func take(_ count: Int) -> [UInt8] {
    let end = min(bytes.count, at + count)
    defer { at = end }
    return Array(bytes[at..<end])
  }

  /// A length in one byte, then so many bytes.
  mutating func sized() -> [UInt8] { take(Int(byte())) }

  mutating func rest() -> [UInt8] { take(bytes.count - at) }

  /// What stands before the next line feed, which is passed.
  mutating func line() -> [UInt8] {
    let end = bytes[at...].firstIndex(of: 10) ?? bytes.count
    let line = Array(bytes[at..<end])
    at = min(bytes.count, end + 1)
    return line
  }
}

func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }
func text(_ bytes: some Sequence<UInt8>) -> String { String(decoding: Array(bytes), as: UTF8.self) }

extension Array where Element == UInt8 {
  /// The words between spaces, at most `count` of them; the last one is all the rest.
  func words(_ count: Int) -> [[UInt8]] {
    split(separator: 0x20, maxSplits: count - 1, omittingEmptySubsequences: false).map { Array($0) }
  }
}
