// Byte cursors for every format: little-endian, bounds checked. What a ByteWriter writes, a ByteReader reads.

/// Bytes ended early, or said something impossible. Every decoder of bytes from disk or wire throws this.
@usableFromInline package enum DecodeError: Error, Equatable, Sendable {
  case truncated
  case invalid(String)

  package var message: String {
    switch self {
    case .truncated: "the bytes end too early"
    case .invalid(let what): what
    }
  }
}

/// Appends little-endian numbers and byte strings to an array.
@usableFromInline package struct ByteWriter: Sendable {
  @usableFromInline package var bytes: [UInt8]

  @inlinable package init(capacity: Int = 0) {
    bytes = []
    bytes.reserveCapacity(capacity)
  }

  @inlinable package var count: Int { bytes.count }

  @inlinable package mutating func write<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
  }

  /// LEB128, 1 to 10 bytes.
  @inlinable package mutating func writeVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  @inlinable package mutating func writeBytes(_ source: UnsafeRawBufferPointer) { bytes.append(contentsOf: source) }
  @inlinable package mutating func writeBytes(_ source: [UInt8]) { bytes.append(contentsOf: source) }
  @inlinable package mutating func writeBytes(_ source: ArraySlice<UInt8>) { bytes.append(contentsOf: source) }

  /// A varint length, then the bytes.
  @inlinable package mutating func writeSized(_ source: [UInt8]) {
    writeVarint(UInt64(source.count))
    bytes.append(contentsOf: source)
  }
  @inlinable package mutating func writeSized(_ source: UnsafeRawBufferPointer) {
    writeVarint(UInt64(source.count))
    bytes.append(contentsOf: source)
  }
  @inlinable package mutating func writeSized(_ text: String) {
    writeVarint(UInt64(text.utf8.count))
    bytes.append(contentsOf: text.utf8)
  }

  /// Overwrites the integer at `offset`, which must have been written before.
  @inlinable package mutating func patch<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    precondition(offset >= 0 && offset + MemoryLayout<T>.size <= bytes.count, "patch inside what was written")
    withUnsafeBytes(of: value.littleEndian) { source in
      for i in 0..<source.count { bytes[offset + i] = source[i] }
    }
  }
}

/// Reads what a `ByteWriter` wrote. Holds a borrowed pointer: use it only inside the `withUnsafeBytes` that gave it.
@usableFromInline package struct ByteReader {
  @usableFromInline package let base: UnsafeRawBufferPointer
  @usableFromInline package var offset: Int

  @inlinable package init(_ base: UnsafeRawBufferPointer, offset: Int = 0) {
    precondition(offset >= 0 && offset <= base.count, "a reader starts inside its bytes")
    self.base = base
    self.offset = offset
  }

  @inlinable package var remaining: Int { base.count - offset }
  @inlinable package var isAtEnd: Bool { offset == base.count }

  @inlinable @inline(__always)
  package mutating func read<T: FixedWidthInteger>(_: T.Type = T.self) throws(DecodeError) -> T {
    guard remaining >= MemoryLayout<T>.size else { throw .truncated }
    let value = base.loadUnaligned(fromByteOffset: offset, as: T.self)
    offset += MemoryLayout<T>.size
    return T(littleEndian: value)
  }

  @inlinable package mutating func readVarint() throws(DecodeError) -> UInt64 {
    var value: UInt64 = 0
    var shift: UInt64 = 0
    while true {
      let byte: UInt8 = try read()
      if shift == 63, byte > 1 { throw .invalid("a varint of more than 64 bits") }
      value |= UInt64(byte & 0x7F) << shift
      if byte < 0x80 { return value }
      shift += 7
      if shift > 63 { throw .invalid("a varint of more than 10 bytes") }
    }
  }

  /// The next `count` bytes, not copied.
  @inlinable @inline(__always)
  package mutating func readBytes(_ count: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
    guard count >= 0, remaining >= count else { throw .truncated }
    let slice = UnsafeRawBufferPointer(rebasing: base[offset..<offset + count])
    offset += count
    return slice
  }

  /// A varint length of at most `limit`, then so many bytes, not copied.
  @inlinable package mutating func readSized(limit: Int) throws(DecodeError) -> UnsafeRawBufferPointer {
    let count = try readVarint()
    guard count <= UInt64(limit) else { throw .invalid("a length over its limit") }
    return try readBytes(Int(count))
  }

  /// A sized UTF-8 text; invalid UTF-8 is refused.
  package mutating func readText(limit: Int) throws(DecodeError) -> String {
    let raw = try readSized(limit: limit)
    guard let text = String(validating: raw, as: UTF8.self) else { throw .invalid("a text that is not UTF-8") }
    return text
  }
}

/// Reads all of `bytes` with `body`; bytes left over are refused.
@inlinable package func decode<T>(
  _ bytes: [UInt8], _ body: (inout ByteReader) throws(DecodeError) -> T
) throws(DecodeError) -> T {
  let result = bytes.withUnsafeBytes { raw -> Result<T, DecodeError> in
    var reader = ByteReader(raw)
    do throws(DecodeError) {
      let value = try body(&reader)
      return reader.isAtEnd ? .success(value) : .failure(.invalid("bytes behind the end"))
    } catch { return .failure(error) }
  }
  return try result.get()
}
