import Foundation
import Primitives
import Store
import Testing

@testable import Tables

@Suite struct ReadTests {
  private let pairs = """
    {"name":"pairs","columns":[{"name":"a","type":"text"},{"name":"b","type":"int64"},{"name":"v","type":"int64"}],
     "primary_key":["a","b"]}
    """

  private func filled() throws -> (Shard, Table) {
    var shard = Shard(coolPercent: 3)
    _ = try shard.create(simple)
    let table = try shard.create(pairs)
    let after = try shard.create(everything)
    _ = try shard.put(after, "x,1", "{\"b\":true,\"must\":\"\"}")
    for (i, a) in ["a", "ab", "abc", "b"].enumerated() {
      for b in -1...1 { _ = try shard.put(table, "\(a),\(b)", "{\"v\":\(i * 10 + b)}") }
    }
    return (shard, table)
  }

  /// The values of `v` of a page.
  private func values(_ page: (outcome: ReadOutcome, json: String)) throws -> [Int] {
    guard case .object(let members) = try JSONValue.parse(bytes(page.json)), case .array(let rows) = members[0].value
    else { return [] }
    return rows.map { row in
      guard case .object(let columns) = row, case .number(let v) = columns.last?.value else { return -99 }
      return Int(text(v)) ?? -99
    }
  }

  @Test func scansTakeRangesOfKeys() throws {
    var (shard, table) = try filled()
    let all = [-1, 0, 1, 9, 10, 11, 19, 20, 21, 29, 30, 31]
    #expect(try values(shard.scan(table, [:])) == all)
    #expect(try values(shard.scan(table, ["order": "desc"])) == all.reversed())
    #expect(try values(shard.scan(table, ["order": "asc", "start": "ab,0"])) == Array(all[4...]))
    #expect(try values(shard.scan(table, ["start": "ab"])) == Array(all[3...]))
    #expect(try values(shard.scan(table, ["end": "ab,0"])) == Array(all[..<4]))
    #expect(try values(shard.scan(table, ["end": "ab"])) == Array(all[..<3]))
    #expect(try values(shard.scan(table, ["start": "ab", "end": "abc", "order": "desc"])) == [11, 10, 9])
    #expect(try values(shard.scan(table, ["prefix": "ab"])) == Array(all[3..<9]))
    #expect(try values(shard.scan(table, ["prefix": "ab,1"])) == [11])
    #expect(try values(shard.scan(table, ["prefix": "ab", "order": "desc", "start": "abc"])) == [21, 20, 19])
    #expect(try values(shard.scan(table, ["prefix": ""])) == all)
    #expect(try values(shard.scan(table, ["start": "b", "end": "a"])).isEmpty)
    #expect(try shard.scan(table, ["prefix": "zz"]).json == "{\"rows\":[]}")
    #expect(try shard.scan(table, ["prefix": "b,1"]).json == "{\"rows\":[{\"a\":\"b\",\"b\":1,\"v\":31}]}")
    #expect(try shard.scan(table, ["prefix": "b,1", "columns": "v,a"]).json == "{\"rows\":[{\"v\":31,\"a\":\"b\"}]}")
  }

  @Test func linesAreRowsWithoutAFrame() throws {
    var (shard, table) = try filled()
    let page = try shard.scan(table, ["prefix": "b", "limit": "2", "columns": "v"], asLines: true)
    #expect(page.json == "{\"v\":29}\n{\"v\":30}\n")
    guard case .rows(let cursor?) = page.outcome else {
      Issue.record("a cursor is there")
      return
    }
    let rest = try shard.scan(table, ["cursor": text(cursor), "columns": "v"], asLines: true)
    #expect(rest.json == "{\"v\":31}\n")
    #expect(rest.outcome == .rows(cursor: nil))
  }

  @Test(arguments: ["asc", "desc"], [1, 2, 3, 5, 12, 13])
  func pagesOfACursorCoverARangeOnce(_ order: String, _ limit: Int) throws {
    var (shard, table) = try filled()
    let query = ["order": order, "limit": "\(limit)", "start": "a,0", "end": "b,1"]
    var expected = try values(shard.scan(table, ["start": "a,0", "end": "b,1"]))
    if order == "desc" { expected.reverse() }
    for repeatsParameters in [true, false] {
      var found: [Int] = []
      var page = try shard.scan(table, query)
      for _ in 0..<20 {
        found += try values(page)
        guard case .rows(let cursor?) = page.outcome else { break }
        #expect(page.json.contains("\"cursor\":\"\(text(cursor))\""))
        var next = repeatsParameters ? query : ["limit": "\(limit)"]
        next["cursor"] = text(cursor)
        page = try shard.scan(table, next)
      }
      #expect(found == expected)
    }
  }

  @Test func aPageEndsBeforeItsBytesRunOut() throws {
    var shard = Shard(coolPercent: 10)
    let table = try shard.create(simple)
    let value = String(repeating: "x", count: 1_000_000)
    for i in 10..<30 { _ = try shard.put(table, "\(i)", "{\"v\":\"\(value)\"}") }
    let page = try shard.scan(table, [:])
    #expect(page.json.utf8.count <= TableLimits.pageBytesMax + 1000)
    guard case .rows(let cursor?) = page.outcome else {
      Issue.record("a cursor is there")
      return
    }
    let rest = try shard.scan(table, ["cursor": text(cursor), "columns": "k"])
    #expect(rest.json == "{\"rows\":[{\"k\":\"26\"},{\"k\":\"27\"},{\"k\":\"28\"},{\"k\":\"29\"}]}")
    let keys = (10..<30).map { "\"\($0)\"" }.joined(separator: ",")
    #expect(try shard.lookup("{\"table\":\"simple\",\"keys\":[\(keys)]}").outcome == .tooLarge)
    #expect(ReadOutcome.tooLarge.refusal(table: "simple")?.limit == TableLimits.pageBytesMax)
  }

  @Test func aPageEndsWhereItsRoomDoesAndALookupSaysSo() throws {
    var shard = Shard()
    let table = try shard.create(simple)
    let value = String(repeating: "x", count: 1000)
    for row in 10..<30 { _ = try shard.put(table, "\(row)", "{\"v\":\"\(value)\"}") }
    func read(_ request: [UInt8], _ bytesMax: Int) throws -> (outcome: ReadOutcome, json: String) {
      var progress = ReadProgress()
      var out: [UInt8] = []
      let outcome = try request.withBytes { (raw) throws(PageMissing) in
        try shard.machine.read(
          raw, present: Timestamp(shard.version), store: shard.disk.store, progress: &progress, bytesMax: bytesMax,
          into: &out)
      }
      return (outcome, text(out))
    }
    for (room, rows) in [(1, 1), (3300, 3), (1 << 20, 20)] {
      let page = try read(try scanRequest(table, [:]), room)
      #expect(page.json.components(separatedBy: "\"k\"").count - 1 == rows, "\(room)")
      guard case .rows(let cursor) = page.outcome else {
        Issue.record("\(page.outcome)")
        continue
      }
      #expect((cursor == nil) == (rows == 20))
    }
    var writer = ReadWriter()
    try bytes("{\"table\":\"simple\",\"keys\":[\"10\",\"11\",\"12\"]}").withBytes { (raw) throws(Refusal) in
      try writer.lookup(json: raw, catalog: shard.machine.catalog)
    }
    #expect(try read(writer.bytes, 3000) == (.noRoom, ""))
    #expect(try read(writer.bytes, 4000).outcome == .rows(cursor: nil))
  }

  /// Runs a read to its end; `change` is made after so many misses.
  private func run(
    _ request: [UInt8], _ shard: inout Shard, _ out: inout [UInt8], changingAfter misses: Int?,
    _ change: (inout Shard) throws -> Void
  ) throws -> (outcome: ReadOutcome, progress: ReadProgress, misses: Int) {
    var progress = ReadProgress()
    var count = 0
    while true {
      do throws(PageMissing) {
        let outcome = try request.withBytes { (raw) throws(PageMissing) in
          try shard.machine.read(
            raw, present: Timestamp(shard.version), store: shard.disk.store, progress: &progress, into: &out)
        }
        return (outcome, progress, count)
      } catch {
        shard.disk.load(error)
        count += 1
        if count == misses { try change(&shard) }
      }
    }
  }

  private func cooled(_ rows: Range<Int>) throws -> (Shard, Table) {
    var shard = Shard()
    let table = try shard.create(simple)
    let value = String(repeating: "x", count: 3000)
    for row in rows { _ = try shard.put(table, "\(row)", "{\"v\":\"\(value)\",\"n\":1}") }
    shard.disk.cool()
    return (shard, table)
  }

  @Test func aScanThatMissesEndsAtAChangeAndShowsTheMomentBefore() throws {
    var (shard, table) = try cooled(100..<160)
    let begun = Timestamp(shard.version)
    var out = bytes("before")
    let first = try run(try scanRequest(table, ["columns": "k,n"]), &shard, &out, changingAfter: 7) { shard in
      for key in ["100", "159"] { _ = try shard.patch(table, key, "{\"n\":7}") }
    }
    #expect(first.misses == 7)
    #expect(first.progress.moment == begun)
    guard case .rows(let cursor?) = first.outcome else {
      Issue.record("there is more")
      return
    }
    var rest: [UInt8] = []
    let second = try run(
      try scanRequest(table, ["columns": "k,n", "cursor": text(cursor)]), &shard, &rest, changingAfter: nil
    ) { _ in }
    #expect(second.outcome == .rows(cursor: nil))
    #expect(second.progress.moment == Timestamp(shard.version))
    // Each row once; the first page as it was before the change, the second one as it is after it.
    #expect(text(out).hasPrefix("before{\"rows\":[{\"k\":\"100\",\"n\":1},"))
    let page = text(out).dropFirst("before{\"rows\":[".count).prefix { $0 != "]" }
    let all = (101..<159).map { "{\"k\":\"\($0)\",\"n\":1}" }.joined(separator: ",")
    #expect(
      page + "," + text(rest).dropFirst("{\"rows\":[".count)
        == "{\"k\":\"100\",\"n\":1},\(all),{\"k\":\"159\",\"n\":7}]}")
  }

  @Test func aScanThatHasNoRowYetBeginsAgainAfterAChange() throws {
    var (shard, table) = try cooled(100..<160)
    var out: [UInt8] = []
    let page = try run(try scanRequest(table, ["columns": "k,n"]), &shard, &out, changingAfter: 1) { shard in
      _ = try shard.patch(table, "159", "{\"n\":7}")
    }
    #expect(page.outcome == .rows(cursor: nil))
    #expect(page.progress.moment == Timestamp(shard.version))
    #expect(text(out).hasSuffix("{\"k\":\"159\",\"n\":7}]}"))
  }

  @Test func aLookupThatMissesBeginsAgainAfterAChange() throws {
    var (shard, table) = try cooled(100..<160)
    let keys = (100..<160).map { "\"\($0)\"" }.joined(separator: ",")
    var writer = ReadWriter()
    try bytes("{\"table\":\"simple\",\"keys\":[\(keys)],\"columns\":[\"n\"]}").withBytes { (raw) throws(Refusal) in
      try writer.lookup(json: raw, catalog: shard.machine.catalog)
    }
    var out: [UInt8] = []
    let found = try run(writer.bytes, &shard, &out, changingAfter: 7) { shard in
      for key in ["100", "159"] { _ = try shard.patch(table, key, "{\"n\":7}") }
    }
    #expect(found.misses > 7)
    let ones = Array(repeating: "{\"n\":1}", count: 58).joined(separator: ",")
    #expect(text(out) == "{\"rows\":[{\"n\":7},\(ones),{\"n\":7}]}")
  }

  @Test func lookupsAnswerInTheOrderAsked() throws {
    var (shard, _) = try filled()
    let all = try shard.lookup(
      "{\"table\":\"pairs\",\"keys\":[[\"b\",1],[\"x\",1],[\"a\",0],[\"b\",1]],\"columns\":[\"v\"]}")
    #expect(all.json == "{\"rows\":[{\"v\":31},null,{\"v\":0},{\"v\":31}]}")
    #expect(try shard.lookup("{\"keys\":[],\"table\":\"pairs\"}").json == "{\"rows\":[]}")
    #expect(
      try shard.lookup("{\"keys\":[[\"a\",0]],\"table\":\"pairs\"}").json
        == "{\"rows\":[{\"a\":\"a\",\"b\":0,\"v\":0}]}")
  }

  @Test func wrongReadsAreRefused() throws {
    let (shard, table) = try filled()
    let catalog = shard.machine.catalog
    func lookup(_ json: String, _ code: Refusal.Code, operation: Int? = nil) {
      let error = refusal { () throws(Refusal) in
        var writer = ReadWriter()
        try bytes(json).withBytes { (raw) throws(Refusal) in try writer.lookup(json: raw, catalog: catalog) }
      }
      #expect(error?.code == code, "\(json.prefix(100))")
      #expect(error?.operation == operation, "\(json.prefix(100))")
    }
    lookup("", .invalidJSON)
    lookup("{", .invalidJSON)
    lookup("{\"table\":\"pairs\"}", .invalidArgument)
    lookup("{\"keys\":[]}", .invalidArgument)
    lookup("{\"table\":1,\"keys\":[]}", .invalidArgument)
    lookup("{\"table\":\"none\",\"keys\":[]}", .tableNotFound)
    lookup("{\"table\":\"pairs\",\"keys\":{}}", .invalidJSON)
    lookup("{\"table\":\"pairs\",\"keys\":[1]}", .invalidKey, operation: 0)
    lookup("{\"table\":\"pairs\",\"keys\":[[\"a\",1],]}", .invalidJSON)
    lookup("{\"table\":\"pairs\",\"keys\":[[\"a\",1]],\"columns\":[\"x\"]}", .unknownColumn)
    lookup("{\"table\":\"pairs\",\"keys\":[],\"columns\":[\"v\",\"v\"]}", .invalidArgument)
    lookup("{\"table\":\"pairs\",\"keys\":[],\"columns\":[]}", .invalidArgument)
    lookup("{\"table\":\"pairs\",\"keys\":[],\"keys\":[]}", .invalidJSON)
    lookup("{\"table\":\"pairs\",\"keys\":[],\"limit\":1}", .invalidArgument)
    lookup("{\"table\":\"pairs\",\"keys\":[],\"table\":\"pairs\"} x", .invalidJSON)
    let many = Array(repeating: "[\"a\",1]", count: 10_001).joined(separator: ",")
    lookup("{\"table\":\"pairs\",\"keys\":[\(many)]}", .tooLarge)

    func scan(_ query: [String: String], _ code: Refusal.Code) {
      #expect(refusal { () throws(Refusal) in _ = try scanRequest(table, query) }?.code == code, "\(query)")
    }
    for limit in ["0", "-1", "10001", "x", "", "1.5"] { scan(["limit": limit], .invalidArgument) }
    scan(["order": "up"], .invalidArgument)
    scan(["columns": "x"], .unknownColumn)
    scan(["columns": "v,v"], .invalidArgument)
    scan(["columns": ""], .unknownColumn)
    scan(["start": "a,1,2"], .invalidKey)
    scan(["end": "a,x"], .invalidKey)
    scan(["prefix": "%ff"], .invalidKey)
    scan(["start": String(repeating: "a", count: 5000)], .tooLarge)
    for cursor in ["", "AAAA", "!", "AQ"] { scan(["cursor": cursor], .invalidArgument) }
  }

  @Test func aCursorOfAnotherTableOrDamagedIsRefused() throws {
    var (shard, table) = try filled()
    guard case .rows(let cursor?) = try shard.scan(table, ["limit": "1"]).outcome else {
      Issue.record("a cursor is there")
      return
    }
    let other = try #require(shard.machine.catalog.table(named: "simple"))
    #expect(
      refusal { () throws(Refusal) in _ = try scanRequest(other, ["cursor": text(cursor)]) }?.code == .invalidArgument)
    #expect(
      refusal { () throws(Refusal) in _ = try scanRequest(table, ["cursor": text(cursor), "order": "desc"]) }?.code
        == .invalidArgument)
    for bound in [[StateKey.rowKind, 0], StateKey.rowPrefix(other.id), [0xFF]] {
      // Of a right checksum, but of keys that are not the table's.
      var range = KeyRange(table, isDescending: false)
      range.lower = bound
      let below = text(ScanCursor(range).encoded(table))
      (range.lower, range.upper) = (StateKey.rowPrefix(table.id), bound)
      for foreign in [below, text(ScanCursor(range).encoded(table))] {
        #expect(
          refusal { () throws(Refusal) in _ = try scanRequest(table, ["cursor": foreign]) }?.code == .invalidArgument)
      }
    }
    for i in cursor.indices {
      var damaged = cursor
      damaged[i] = damaged[i] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
      #expect(refusal { () throws(Refusal) in _ = try scanRequest(table, ["cursor": text(damaged)]) } != nil)
    }
  }

  @Test func readsHaveTheirGoldenBytes() throws {
    let present = "ffffffffffffffff"
    let table = try makeTable(simple)
    var writer = ReadWriter()
    try bytes("a").withBytes { (path) throws(Refusal) in try writer.get(table, path: path) }
    #expect(hex(writer.bytes) == "0201" + "64000000" + "01000000" + "ffff" + present + "0800" + "2000000064" + "610001")
    try bytes("a").withBytes { (path) throws(Refusal) in
      try bytes("v,k").withBytes { (columns) throws(Refusal) in try writer.get(table, path: path, columns: columns) }
    }
    #expect(
      hex(writer.bytes) == "0201" + "64000000" + "01000000" + "0200" + "0200" + "0100" + present + "0800"
        + "2000000064" + "610001")
    writer.snapshot = Timestamp(0x0102)
    try bytes("a").withBytes { (path) throws(Refusal) in try writer.get(table, path: path) }
    #expect(
      hex(writer.bytes) == "0201" + "64000000" + "01000000" + "ffff" + "0201000000000000" + "0800" + "2000000064"
        + "610001")
    #expect(
      hex(try scanRequest(table, ["order": "desc", "limit": "7"], asLines: true)) == "0203" + "64000000" + "01000000"
        + "ffff" + present + "03" + "07000000" + "0500" + "2000000064" + "0500" + "2000000065")
    let range = KeyRange(table, isDescending: true)
    #expect(
      text(ScanCursor(range).encoded(table)) == goldenCursor)
    for outcome: ReadOutcome in [
      .row(Timestamp(5)), .rowNotFound, .rows(cursor: nil), .rows(cursor: bytes("abc")), .tableNotFound, .schemaChanged,
      .snapshotTooOld(horizon: Timestamp(9)), .snapshotInFuture(present: Timestamp(9)),
      .tooLarge, .malformed,
    ] {
      var header = ByteWriter()
      outcome.encode(into: &header)
      let back = try decode(header.bytes) { (reader) throws(DecodeError) in try ReadOutcome(from: &reader) }
      #expect(back == outcome)
    }
    var header = ByteWriter()
    ReadOutcome.rows(cursor: bytes("ab")).encode(into: &header)
    #expect(hex(header.bytes) == "0103" + "0000000000000000" + "0200" + "6162")
  }

  @Test func mutatedReadsNeverTrap() throws {
    var (shard, table) = try filled()
    var writer = ReadWriter()
    try bytes("a,1").withBytes { (path) throws(Refusal) in try writer.get(table, path: path) }
    var requests = [writer.bytes, try scanRequest(table, ["columns": "v", "start": "a", "end": "b"])]
    let catalog = shard.machine.catalog
    try bytes("{\"table\":\"pairs\",\"keys\":[[\"a\",1],[\"b\",0]]}").withBytes { (json) throws(Refusal) in
      try writer.lookup(json: json, catalog: catalog)
    }
    requests.append(writer.bytes)
    var random = SeededRandom(seed: 19)
    shard.coolPercent = 0
    for round in 0..<1500 {
      var mutated = requests[round % requests.count]
      mutated[Int(random.below(UInt64(mutated.count)))] = UInt8(random.below(256))
      if random.chance(1, outOf: 4) { mutated.removeLast(Int(random.below(UInt64(mutated.count)))) }
      let answer = shard.read(mutated)
      #expect(answer.outcome.isSuccess || answer.json.isEmpty)
    }
  }
}

private let goldenCursor = "AWQAAAABAAAAAQUAIAAAAGQFACAAAABl6-UXKw"
