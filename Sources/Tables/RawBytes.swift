// Small helpers over raw bytes.

extension Array where Element == UInt8 {
  /// `withUnsafeBytes` with a typed error.
  @inline(__always)
  package func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try withUnsafeBufferPointer { (buffer) throws(Failure) in try body(UnsafeRawBufferPointer(buffer)) }
  }

  mutating func appendLittleEndian<T: FixedWidthInteger>(_ value: T) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }

  mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
    Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
  }

  /// Overwrites a little-endian number written before.
  mutating func patch<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count, "patch inside what was written")
    withUnsafeMutableBytes { $0.storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self) }
  }
}

extension UnsafeRawBufferPointer {
  /// The bytes from `start`, `count` of them. Traps outside of the buffer.
  @inline(__always)
  func part(_ start: Int, _ count: Int) -> UnsafeRawBufferPointer {
    precondition(start >= 0 && count >= 0 && start <= self.count - count, "a part inside the bytes")
    return UnsafeRawBufferPointer(rebasing: self[start..<start + count])
  }

  /// The bytes from `start` to the end.
  @inline(__always)
  func rest(_ start: Int) -> UnsafeRawBufferPointer { part(start, count - start) }

  func littleEndian<T: FixedWidthInteger>(_ offset: Int, as: T.Type = T.self) -> T {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count, "a number inside the bytes")
    return T(littleEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  func bigEndian<T: FixedWidthInteger>(_ offset: Int, as: T.Type = T.self) -> T {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= count, "a number inside the bytes")
    return T(bigEndian: loadUnaligned(fromByteOffset: offset, as: T.self))
  }

  /// Whether one of the eight bytes at `offset` is zero.
  @inline(__always)
  func hasZero(_ offset: Int) -> Bool {
    let word: UInt64 = littleEndian(offset)
    return (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0
  }

  var hasZero: Bool {
    guard count >= 8 else { return contains(0) }
    for offset in stride(from: 0, through: count - 8, by: 8) where hasZero(offset) { return true }
    return hasZero(count - 8)
  }

  func equals(_ other: UnsafeRawBufferPointer) -> Bool { count == other.count && order(other) == 0 }

  /// Negative, zero or positive, as memcmp orders; a prefix comes first.
  func order(_ other: UnsafeRawBufferPointer) -> Int {
    let shared = Swift.min(count, other.count)
    var offset = 0
    while offset + 8 <= shared {
      let a: UInt64 = bigEndian(offset)
      let b: UInt64 = other.bigEndian(offset)
      if a != b { return a < b ? -1 : 1 }
      offset += 8
    }
    while offset < shared {
      if self[offset] != other[offset] { return self[offset] < other[offset] ? -1 : 1 }
      offset += 1
    }
    return count - other.count
  }
}

/// Calls `body` with the bytes of `text`.
func withText<Result, Failure: Error>(
  _ text: String, _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
) throws(Failure) -> Result {
  var text = text
  return try text.withUTF8 { bytes -> Swift.Result<Result, Failure> in
    do throws(Failure) { return .success(try body(UnsafeRawBufferPointer(bytes))) } catch { return .failure(error) }
  }.get()
}
