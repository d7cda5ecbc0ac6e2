import Foundation

/// One record of a file: a line of NDJSON, or a row of CSV, which may stretch over several lines.
struct SourceRecord: Equatable {
  /// The number of its first line, from 1.
  var line: Int
  /// Offset of the byte behind it and its line end.
  var end: UInt64
  /// Without its line end.
  var bytes: [UInt8]
  /// Longer than the limit; `bytes` holds only its beginning.
  var isTooLong = false
}

/// Cuts a stream into records. Reads a megabyte at a time and holds no more than one record beside it.
struct RecordReader {
  enum Format: String, CaseIterable {
    case csv, ndjson
  }

  /// The largest row of the API and its key, with room for their escapes.
  static let recordBytesMax = 4 << 20

  private let descriptor: Int32
  private let format: Format
  private var buffer: [UInt8] = []
  private var chunk = [UInt8](repeating: 0, count: 1 << 20)
  private var position = 0
  private var isAtEnd = false
  /// Offset in the file of `buffer[position]`.
  private(set) var offset: UInt64
  /// Number of the line there.
  private(set) var line: Int

  /// Reads on from `offset`, the beginning of line `line`; the descriptor stands there.
  init(descriptor: Int32, format: Format, offset: UInt64 = 0, line: Int = 1) {
    self.descriptor = descriptor
    self.format = format
    self.offset = offset
    self.line = line
  }

  /// The next record that is not empty; nil at the end of the file.
  mutating func next() throws(CommandError) -> SourceRecord? {
    while true {
      guard let record = try nextLine() else { return nil }
      if record.isTooLong || !record.bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 }) { return record }
    }
  }

  private mutating func nextLine() throws(CommandError) -> SourceRecord? {
    var scan = Scan()
    while true {
      if advance(&scan) { return take(scan.count, lines: scan.lines) }
      if scan.count > Self.recordBytesMax { return try overlong(scan) }
      guard try fill() else {
        guard scan.count > 0 else { return nil }
        if let first = scan.firstLine { return take(first, lines: 1) }
        return take(scan.count, lines: scan.lines + 1)
      }
    }
  }

  /// How far the search for the end of a record has come.
  private struct Scan {
    var count = 0
    var lines = 0
    var isQuoted = false
    /// Length of its first line, when it ended inside quotes. A quote that is never closed costs only that line.
    var firstLine: Int?
  }

  /// True when the record ends at `scan.count`; false when more bytes are needed.
  private func advance(_ scan: inout Scan) -> Bool {
    buffer.withUnsafeBytes { bytes in
      let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
      return format == .csv ? RecordReader.advanceCSV(&scan, rest) : RecordReader.advanceLine(&scan, rest)
    }
  }

  private static func advanceLine(_ scan: inout Scan, _ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let base = bytes.baseAddress, scan.count < bytes.count,
      let end = memchr(base + scan.count, 0x0A, bytes.count - scan.count)
    else {
      scan.count = bytes.count
      return false
    }
    scan.count = end - UnsafeMutableRawPointer(mutating: base) + 1
    scan.lines += 1
    return true
  }

  private static func advanceCSV(_ scan: inout Scan, _ bytes: UnsafeRawBufferPointer) -> Bool {
    while scan.count < bytes.count {
      let byte = bytes[scan.count]
      scan.count += 1
      if byte == UInt8(ascii: "\"") {
        scan.isQuoted.toggle()
      } else if byte == 0x0A {
        scan.lines += 1
        if !scan.isQuoted { return true }
        if scan.firstLine == nil { scan.firstLine = scan.count }
      }
    }
    return false
  }

  /// A record over the limit: its beginning is kept for the message, the rest of its line is passed.
  private mutating func overlong(_ scan: Scan) throws(CommandError) -> SourceRecord {
    if let first = scan.firstLine { return take(first, lines: 1) }
    let beginning = Array(buffer[position..<position + 200])
    drop(scan.count)
    var rest = Scan()
    while !advance(&rest) {
      drop(rest.count)
      rest = Scan()
      guard try fill() else { break }
    }
    var record = take(rest.count, lines: 1)
    record.bytes = beginning
    record.isTooLong = true
    return record
  }

  private mutating func drop(_ count: Int) {
    position += count
    offset += UInt64(count)
  }

  private mutating func take(_ count: Int, lines: Int) -> SourceRecord {
    var end = position + count
    if end > position, buffer[end - 1] == 0x0A { end -= 1 }
    if end > position, buffer[end - 1] == 0x0D { end -= 1 }
    let record = SourceRecord(line: line, end: offset + UInt64(count), bytes: Array(buffer[position..<end]))
    drop(count)
    line += lines
    return record
  }

  /// Reads more behind what waits. False at the end of the file.
  private mutating func fill() throws(CommandError) -> Bool {
    guard !isAtEnd else { return false }
    buffer.removeSubrange(..<position)
    position = 0
    let count = chunk.withUnsafeMutableBytes { bytes in
      bytes.baseAddress.map { Glibc.read(descriptor, $0, bytes.count) } ?? 0
    }
    if count < 0, errno == EINTR { return true }
    guard count >= 0 else { throw .failed("the input cannot be read: \(String(cString: strerror(errno)))") }
    buffer.append(contentsOf: chunk[..<count])
    isAtEnd = count == 0
    return count > 0
  }
}
