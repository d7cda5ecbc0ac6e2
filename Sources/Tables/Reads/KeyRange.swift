import Primitives

/// The keys that a scan goes over: state keys from `lower` up to `upper`, which is not in it.
struct KeyRange: Equatable {
  var lower: [UInt8]
  var upper: [UInt8]
  var isDescending: Bool

  /// All rows of a table.
  init(_ table: Table, isDescending: Bool) {
    lower = StateKey.rowPrefix(table.id)
    upper = prefixEnd(lower)
    self.isDescending = isDescending
  }

  /// What `start`, `end`, `prefix`, `order` and `cursor` leave over together. With a cursor the others may be repeated
  /// or left out.
  init(_ table: Table, _ parameters: ScanParameters) throws(Refusal) {
    let asked = try KeyRange.isDescending(parameters.order, table)
    self.init(table, isDescending: asked ?? false)
    if let start = parameters.start { narrow(from: try bound(table, start, openEnd: false)) }
    if let end = parameters.end { narrow(to: try bound(table, end, openEnd: false)) }
    if let prefix = parameters.prefix {
      let beginning = try bound(table, prefix, openEnd: true)
      narrow(from: beginning)
      narrow(to: prefixEnd(beginning))
    }
    if let text = parameters.cursor {
      let cursor = try ScanCursor(text, table)
      guard asked == nil || asked == cursor.range.isDescending else {
        throw Refusal(.invalidArgument, "The cursor belongs to a scan in the other order.", table: table.name)
      }
      isDescending = cursor.range.isDescending
      narrow(from: cursor.range.lower)
      narrow(to: cursor.range.upper)
    }
  }

  private static func isDescending(_ text: UnsafeRawBufferPointer?, _ table: Table) throws(Refusal) -> Bool? {
    guard let text else { return nil }
    if text.elementsEqual("asc".utf8) { return false }
    if text.elementsEqual("desc".utf8) { return true }
    throw Refusal(.invalidArgument, "order is asc or desc.", table: table.name)
  }

  private func bound(_ table: Table, _ text: UnsafeRawBufferPointer, openEnd: Bool) throws(Refusal) -> [UInt8] {
    var key = StateKey.rowPrefix(table.id)
    try table.appendComponents(path: text, openEnd: openEnd, to: &key)
    return key
  }

  private mutating func narrow(from bound: [UInt8]) {
    if lower.lexicographicallyPrecedes(bound) { lower = bound }
  }

  private mutating func narrow(to bound: [UInt8]) {
    if bound.lexicographicallyPrecedes(upper) { upper = bound }
  }

  /// What is left behind `key`, the last one that was passed.
  func rest(after key: UnsafeRawBufferPointer) -> KeyRange {
    var rest = self
    if isDescending { rest.upper = Array(key) } else { rest.lower = Array(key) + [0] }
    return rest
  }
}

/// Where a scan goes on. People get it as opaque base64url.
///
///     format 1 (1) | table 4 | schema 4 | flags 1 (bit 0: descending) | lower 2, n | upper 2, n | CRC-32C of all that 4
struct ScanCursor {
  private static let formatVersion: UInt8 = 1
  var range: KeyRange

  init(_ range: KeyRange) { self.range = range }

  func encoded(_ table: Table) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(ScanCursor.formatVersion)
    writer.write(table.id.rawValue)
    writer.write(table.schema)
    writer.write(UInt8(range.isDescending ? 1 : 0))
    for bound in [range.lower, range.upper] {
      writer.write(UInt16(bound.count))
      writer.writeBytes(bound)
    }
    writer.write(crc32c(writer.bytes))
    var text: [UInt8] = []
    writer.bytes.withBytes { appendBase64($0, .url, to: &text) }
    return text
  }

  /// Reads a cursor that a scan of this table gave out.
  init(_ text: UnsafeRawBufferPointer, _ table: Table) throws(Refusal) {
    var bytes: [UInt8] = []
    do throws(Mismatch) {
      try appendDecodedBase64(text, .url, to: &bytes)
    } catch { throw ScanCursor.refusal(table) }
    do throws(DecodeError) {
      range = try decode(bytes) { (reader) throws(DecodeError) in try ScanCursor.range(&reader, table, bytes) }
    } catch { throw ScanCursor.refusal(table) }
  }

  private static func range(
    _ reader: inout ByteReader, _ table: Table, _ bytes: [UInt8]
  ) throws(DecodeError) -> KeyRange {
    let format: UInt8 = try reader.read()
    let id: UInt32 = try reader.read()
    let schema: UInt32 = try reader.read()
    let flags: UInt8 = try reader.read()
    guard format == formatVersion, id == table.id.rawValue, schema == table.schema, flags <= 1 else {
      throw .invalid("a cursor of another table")
    }
    var range = KeyRange(table, isDescending: flags == 1)
    let all = range
    func isBound(_ key: [UInt8]) -> Bool { key.count <= StateKey.bytesMax + 1 && key.starts(with: all.lower) }
    range.lower = Array(try reader.readBytes(Int(try reader.read(UInt16.self))))
    range.upper = Array(try reader.readBytes(Int(try reader.read(UInt16.self))))
    let checksum: UInt32 = try reader.read()
    guard checksum == crc32c(Array(bytes.dropLast(4))), isBound(range.lower),
      isBound(range.upper) || range.upper == all.upper
    else { throw .invalid("a damaged cursor") }
    return range
  }

  private static func refusal(_ table: Table) -> Refusal {
    Refusal(
      .invalidArgument,
      "The cursor is not one that a scan of table \(table.name) gave out, or the table has changed since: start the scan "
        + "again without it.", table: table.name)
  }
}
