import Primitives

@testable import Tables

extension FuzzTarget {
  /// Reads: a line `scan TABLE`, then a query; or `lookup`, then JSON; or `bytes`, then a read as a leader gets it.
  static let read = FuzzTarget(
    "read", memory: MemoryBound(base: 4 << 20, perInputByte: 1024), seeds: { readSeeds() }
  ) { input in
    var input = input
    let words = input.line().words(2)
    let shard = Shard()
    switch text(words.first ?? []) {
    case "lookup": lookup(input.rest(), shard)
    case "bytes": answer(input.rest(), shard)
    default:
      guard words.count == 2, let table = shard.table(words[1]) else { return }
      Scan(input.rest(), table).check(shard)
    }
  }

  private static func lookup(_ json: [UInt8], _ shard: Shard) {
    var reads = ReadWriter()
    do throws(Refusal) {
      try json.withBytes { raw throws(Refusal) in try reads.lookup(json: raw, catalog: shard.machine.catalog) }
    } catch { return checkRefusal(error) }
    let (outcome, answer) = shard.read(reads.bytes)
    guard case .rows = outcome else { fatalError("a lookup that we made is understood, not answered \(outcome)") }
    checkJSON(answer)
  }

  /// A read that anybody made: answered, or refused without a byte of JSON.
  private static func answer(_ request: [UInt8], _ shard: Shard) {
    let (outcome, json) = shard.read(request)
    require(outcome.isSuccess || json.isEmpty, "a refused read prints nothing")
    var writer = ByteWriter()
    outcome.encode(into: &writer)
    do throws(DecodeError) {
      let again = try decode(writer.bytes) { reader throws(DecodeError) in try ReadOutcome(from: &reader) }
      require(again == outcome, "an outcome is read as it was written")
    } catch { fatalError("an outcome of ours cannot be read: \(error.message)") }
  }

  private static func readSeeds() -> [[UInt8]] {
    let shard = Shard()
    guard let table = shard.table(utf8("all")) else { return [] }
    var reads = ReadWriter()
    var seeds: [[UInt8]] = []
    do throws(Refusal) {
      try utf8("a,1").withBytes { path throws(Refusal) in try reads.get(table, path: path) }
      seeds.append(reads.bytes)
      try reads.scan(table, ScanParameters())
      seeds.append(reads.bytes)
      try utf8(#"{"table":"pairs","keys":["k1","x"],"columns":["v"]}"#).withBytes { raw throws(Refusal) in
        try reads.lookup(json: raw, catalog: shard.machine.catalog)
      }
      seeds.append(reads.bytes)
    } catch { fatalError("a seed is refused: \(error)") }
    return seeds.map { utf8("bytes\n") + $0 }
  }
}

/// A scan by its query. `sealed=HEX` stands for a cursor whose checksum is right.
private struct Scan {
  let table: Table
  private var parameters: [String: [UInt8]] = [:]

  init(_ query: [UInt8], _ table: Table) {
    self.table = table
    for pair in query.split(separator: UInt8(ascii: "&")) {
      let parts = pair.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      parameters[text(parts[0])] = parts.count > 1 ? Array(parts[1]) : []
    }
    if let hex = parameters["sealed"] { parameters["cursor"] = Scan.cursor(hex) }
  }

  private static func cursor(_ hex: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    for i in stride(from: 0, to: hex.count - 1, by: 2) {
      writer.write((hexValue(hex[i]) ?? 0) << 4 | (hexValue(hex[i + 1]) ?? 0))
    }
    writer.write(crc32c(writer.bytes))
    var text: [UInt8] = []
    writer.bytes.withBytes { appendBase64($0, .url, to: &text) }
    return text
  }

  /// Page after page gives the same rows as one page; so does the other order, reversed.
  func check(_ shard: Shard) {
    guard let paged = rows(shard, parameters) else { return }
    var whole = parameters
    whole["limit"] = nil
    require(rows(shard, whole) == paged, "pages of a scan make the scan")
    guard parameters["cursor"] == nil else { return }
    whole["order"] = utf8(parameters["order"] == utf8("desc") ? "asc" : "desc")
    require(rows(shard, whole)?.reversed() == paged, "a scan in the other order is the same, reversed")
  }

  /// The lines of all pages; nil when the scan is refused.
  private func rows(_ shard: Shard, _ parameters: [String: [UInt8]]) -> [[UInt8]]? {
    var lines: [[UInt8]] = []
    var asked = parameters
    while true {
      var reads = ReadWriter()
      do throws(Refusal) { try write(&reads, asked) } catch {
        checkRefusal(error)
        require(lines.isEmpty, "a cursor that a scan gave out is taken")
        return nil
      }
      let (outcome, json) = shard.read(reads.bytes)
      guard case .rows(let cursor) = outcome else {
        fatalError("a scan that we made is understood, not answered \(outcome)")
      }
      lines += json.split(separator: 10).map { Array($0) }
      require(lines.count <= 100, "no row comes twice")
      guard let cursor else { return lines }
      asked["cursor"] = cursor
    }
  }

  private func write(_ reads: inout ReadWriter, _ asked: [String: [UInt8]]) throws(Refusal) {
    let names = ["start", "end", "prefix", "limit", "order", "columns", "cursor"]
    var joined: [UInt8] = []
    var places: [Range<Int>?] = []
    for name in names {
      places.append(asked[name].map { joined.count..<joined.count + $0.count })
      joined += asked[name] ?? []
    }
    try joined.withBytes { raw throws(Refusal) in
      let parts = places.map { place in place.map { UnsafeRawBufferPointer(rebasing: raw[$0]) } }
      var scan = ScanParameters()
      (scan.start, scan.end, scan.prefix, scan.limit) = (parts[0], parts[1], parts[2], parts[3])
      (scan.order, scan.columns, scan.cursor, scan.asLines) = (parts[4], parts[5], parts[6], true)
      try reads.scan(table, scan)
    }
  }
}
