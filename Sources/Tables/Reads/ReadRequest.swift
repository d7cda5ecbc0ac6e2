import Primitives

// A read: what a node asks of the shard's leader, on the same node or another one.
//
//     format     1        2
//     kind       1        1 get, 2 lookup, 3 scan
//     table      4
//     schema     4        the schema version that it was encoded for
//     columns    2, 2n    how many and their ids; FFFF and nothing: all
//     snapshot   8        the version up to which commands count; 2^64 - 1: all, the present
//
//     get:       2, n     length, state key
//     lookup:    2, …     count, so many keys, each 2, n
//     scan:      1        bit 0: descending.  bit 1: one row a line
//                4        rows at most
//                2, n     lower bound, inclusive, a state key or the beginning of one
//                2, n     upper bound, exclusive

enum ReadKind: UInt8 {
  case get = 1
  case lookup = 2
  case scan = 3
}

enum ReadFormat {
  static let version: UInt8 = 2
  static let allColumns: UInt16 = 0xFFFF
  static let descending: UInt8 = 1
  static let lines: UInt8 = 2
  static let present = UInt64.max
}

/// What a scan asks for. Texts are the values of the query's parameters, still percent-encoded.
package struct ScanParameters {
  package var start: UnsafeRawBufferPointer?
  package var end: UnsafeRawBufferPointer?
  package var prefix: UnsafeRawBufferPointer?
  package var limit: UnsafeRawBufferPointer?
  package var order: UnsafeRawBufferPointer?
  package var columns: UnsafeRawBufferPointer?
  package var cursor: UnsafeRawBufferPointer?
  /// One row a line (NDJSON) and no frame around them.
  package var asLines = false

  package init() {}
}

/// Makes reads from requests. One read at a time stands in `bytes`; keep the writer and use it again.
package struct ReadWriter {
  package private(set) var bytes: [UInt8] = []
  /// What the next reads see: the rows as the command with this version left them; nil: the present.
  package var snapshot: Timestamp?

  package init() {}

  /// `GET …/rows/{key}?columns=`.
  package mutating func get(
    _ table: Table, path: UnsafeRawBufferPointer, columns: UnsafeRawBufferPointer? = nil
  ) throws(Refusal) {
    begin(.get, table)
    try appendColumns(table, columns)
    try key(table) { (out) throws(Refusal) in try table.appendKey(path: path, to: &out) }
  }

  /// `POST /v1/lookup`.
  package mutating func lookup(json: UnsafeRawBufferPointer, catalog: Catalog) throws(Refusal) {
    let request = try LookupRequest(json)
    let table = try withText(request.table) { (name) throws(Refusal) in try catalog.find(name) }
    begin(.lookup, table)
    try appendColumns(table, request.columns)
    let countOffset = bytes.count
    bytes.appendLittleEndian(UInt16(0))
    var scanner = JSONScanner(json, from: request.keys.lowerBound, count: request.keys.count)
    var count = 0
    var first = true
    while try request.another(&scanner, &first) {
      guard count < TableLimits.lookupKeysMax else {
        throw Refusal(
          .tooLarge, "A lookup has at most \(TableLimits.lookupKeysMax) keys: split it.", table: table.name,
          limit: TableLimits.lookupKeysMax)
      }
      do throws(Refusal) {
        try key(table) { (out) throws(Refusal) in try table.appendKey(&scanner, to: &out) }
      } catch { throw error.of(operation: count) }
      count += 1
    }
    bytes.patch(UInt16(count), at: countOffset)
  }

  /// `GET …/rows?…`.
  package mutating func scan(_ table: Table, _ parameters: ScanParameters) throws(Refusal) {
    begin(.scan, table)
    try appendColumns(table, parameters.columns)
    let range = try KeyRange(table, parameters)
    bytes.append(
      (range.isDescending ? ReadFormat.descending : 0) | (parameters.asLines ? ReadFormat.lines : 0))
    bytes.appendLittleEndian(UInt32(try limit(parameters.limit, table)))
    appendSized(range.lower)
    appendSized(range.upper)
  }

  private func limit(_ text: UnsafeRawBufferPointer?, _ table: Table) throws(Refusal) -> Int {
    guard let text else { return TableLimits.scanRowsDefault }
    do throws(Mismatch) {
      let value = try parseInt64(text)
      if value >= 1, value <= Int64(TableLimits.scanRowsMax) { return Int(value) }
    } catch {}
    throw Refusal(
      .invalidArgument, "limit is a whole number from 1 to \(TableLimits.scanRowsMax): ask for more with the cursor.",
      table: table.name, limit: TableLimits.scanRowsMax)
  }

  private mutating func begin(_ kind: ReadKind, _ table: Table) {
    bytes.removeAll(keepingCapacity: true)
    bytes.append(ReadFormat.version)
    bytes.append(kind.rawValue)
    bytes.appendLittleEndian(table.id.rawValue)
    bytes.appendLittleEndian(table.schema)
  }

  private mutating func appendColumns(_ table: Table, _ text: UnsafeRawBufferPointer?) throws(Refusal) {
    appendColumns(table, try text.map { (text) throws(Refusal) in try table.projection(text) })
  }

  private mutating func appendColumns(_ table: Table, _ names: [String]?) throws(Refusal) {
    guard let names else { return appendColumns(table, nil as [Int]?) }
    var indexes: [Int] = []
    for name in names { indexes.append(try table.projected(Array(name.utf8), after: indexes)) }
    appendColumns(table, indexes)
  }

  private mutating func appendColumns(_ table: Table, _ indexes: [Int]?) {
    if let indexes {
      bytes.appendLittleEndian(UInt16(indexes.count))
      for index in indexes { bytes.appendLittleEndian(table.plans[index].id) }
    } else {
      bytes.appendLittleEndian(ReadFormat.allColumns)
    }
    bytes.appendLittleEndian(snapshot?.rawValue ?? ReadFormat.present)
  }

  private mutating func key(_ table: Table, _ append: (inout [UInt8]) throws(Refusal) -> Void) throws(Refusal) {
    let start = bytes.count
    bytes.appendLittleEndian(UInt16(0))
    StateKey.appendRowPrefix(table.id, to: &bytes)
    try append(&bytes)
    bytes.patch(UInt16(bytes.count - start - 2), at: start)
  }

  private mutating func appendSized(_ key: [UInt8]) {
    bytes.appendLittleEndian(UInt16(key.count))
    bytes.append(contentsOf: key)
  }
}

/// The body of `POST /v1/lookup`, but for its keys.
private struct LookupRequest {
  var table = ""
  /// Where the array of keys stands in the request.
  var keys = 0..<0
  var columns: [String]?

  init(_ json: UnsafeRawBufferPointer) throws(Refusal) {
    var scanner = JSONScanner(json)
    var seen: [String] = []
    var first = true
    while let name = try LookupRequest.name(&scanner, &first) {
      guard !seen.contains(name) else { throw JSONFault(kind: .duplicateName, offset: scanner.offset).refusal }
      seen.append(name)
      let part: Range<Int>
      do throws(JSONFault) { part = try scanner.skipLightly() } catch { throw error.refusal }
      try take(name, part, json)
    }
    guard seen.contains("table"), seen.contains("keys") else {
      throw Refusal(.invalidArgument, "A lookup has table and keys: add what is missing.")
    }
  }

  /// The next member's name; nil behind the last one.
  private static func name(_ scanner: inout JSONScanner, _ first: inout Bool) throws(Refusal) -> String? {
    do throws(JSONFault) {
      if first, !scanner.take(UInt8(ascii: "{")) { throw scanner.fault(.notObject) }
      guard try scanner.another(first: &first, close: UInt8(ascii: "}")) else {
        try scanner.expectEnd()
        return nil
      }
      let name = scanner.text(try scanner.string())
      try scanner.expect(UInt8(ascii: ":"))
      return name
    } catch { throw error.refusal }
  }

  private mutating func take(_ name: String, _ part: Range<Int>, _ json: UnsafeRawBufferPointer) throws(Refusal) {
    switch name {
    case "keys": keys = part
    case "table":
      guard case .string(let text) = try JSONValue.parse(json.part(part.lowerBound, part.count)) else {
        throw Refusal(.invalidArgument, "table is the name of a table, as a string.")
      }
      table = text
    case "columns": columns = try names(try JSONValue.parse(json.part(part.lowerBound, part.count)))
    default:
      throw Refusal(.invalidArgument, "A lookup has no member \"\(name)\": use table, keys and columns.")
    }
  }

  private func names(_ value: JSONValue) throws(Refusal) -> [String] {
    var names: [String] = []
    if case .array(let elements) = value {
      for case .string(let name) in elements { names.append(name) }
      if names.count == elements.count, !names.isEmpty { return names }
    }
    throw Refusal(.invalidArgument, "columns is an array of column names.", table: table)
  }

  /// Passes to the next key.
  func another(_ scanner: inout JSONScanner, _ first: inout Bool) throws(Refusal) -> Bool {
    do throws(JSONFault) {
      if first, !scanner.take(UInt8(ascii: "[")) { throw scanner.fault(.notArray) }
      if try scanner.another(first: &first, close: UInt8(ascii: "]")) { return true }
      try scanner.expectEnd()
      return false
    } catch { throw error.refusal }
  }
}
