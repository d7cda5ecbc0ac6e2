import Primitives
import Store
import Testing

@testable import Tables

@Suite struct ApplyTests {
  private func version(_ number: UInt64) -> Timestamp { Timestamp(number) }

  // MARK: Single rows

  @Test func aRowIsCreatedReplacedPatchedAndDeleted() throws {
    var shard = Shard()
    let table = try shard.create(simple)
    #expect(try shard.put(table, "a", "{\"v\":\"1\"}") == .row(.created(version(2))))
    #expect(try shard.put(table, "a", "{\"v\":\"2\",\"n\":5}") == .row(.replaced(version(3))))
    #expect(try shard.patch(table, "a", "{\"v\":\"3\"}") == .row(.patched(version(4))))
    let row = try shard.get(table, "a")
    #expect(row.outcome == .row(version(4)))
    #expect(row.json == "{\"k\":\"a\",\"v\":\"3\",\"n\":5}")
    #expect(try shard.patch(table, "a", "{\"n\":null,\"k\":\"a\"}") == .row(.patched(version(5))))
    #expect(try shard.get(table, "a").json == "{\"k\":\"a\",\"v\":\"3\",\"n\":null}")
    #expect(try shard.delete(table, "a") == .row(.deleted(version(6))))
    #expect(try shard.get(table, "a").outcome == .rowNotFound)
    #expect(try shard.delete(table, "a") == .row(.rowNotFound))
    #expect(try shard.patch(table, "a", "{\"v\":\"3\"}") == .row(.rowNotFound))
    shard.checkInvariants()
  }

  @Test func conditionsAreDecidedByTheRowAsItIs() throws {
    var shard = Shard()
    let table = try shard.create(simple)
    let body = "{\"v\":\"1\"}"
    #expect(try shard.put(table, "a", body, .ifMatch(version(1))) == .row(.conditionFailed(current: nil)))
    #expect(try shard.put(table, "a", body, .ifNoneMatch) == .row(.created(version(3))))
    #expect(try shard.put(table, "a", body, .ifNoneMatch) == .row(.conditionFailed(current: version(3))))
    #expect(try shard.put(table, "a", body, .ifMatch(version(2))) == .row(.conditionFailed(current: version(3))))
    #expect(try shard.put(table, "a", body, .ifMatch(version(3))) == .row(.replaced(version(6))))
    #expect(try shard.patch(table, "a", body, .ifMatch(version(3))) == .row(.conditionFailed(current: version(6))))
    #expect(try shard.patch(table, "b", body, .ifMatch(version(3))) == .row(.conditionFailed(current: nil)))
    #expect(try shard.patch(table, "b", body, .ifNoneMatch) == .row(.rowNotFound))
    #expect(try shard.delete(table, "b", .ifMatch(version(3))) == .row(.conditionFailed(current: nil)))
    #expect(try shard.delete(table, "a", .ifMatch(version(1))) == .row(.conditionFailed(current: version(6))))
    #expect(try shard.delete(table, "a", .ifMatch(version(6))) == .row(.deleted(version(12))))
    shard.checkInvariants()
  }

  @Test func aPatchMayNotMakeARowTooLarge() throws {
    var shard = Shard()
    let table = try shard.create(
      """
      {"name":"t","columns":[{"name":"k","type":"text"},{"name":"a","type":"text"},{"name":"b","type":"text"}],
       "primary_key":["k"]}
      """)
    let half = String(repeating: "x", count: 600_000)
    #expect(try shard.put(table, "a", "{\"a\":\"\(half)\",\"b\":\"\"}") == .row(.created(version(2))))
    let reply = try shard.patch(table, "a", "{\"b\":\"\(half)\"}")
    #expect(reply == .row(.rowTooLarge(1_200_010)))
    guard case .row(let outcome) = reply else { return }
    #expect(outcome.refusal(table: "t")?.code == .tooLarge)
    #expect(outcome.refusal(table: "t")?.limit == TableLimits.rowBytesMax)
    shard.checkInvariants()
  }

  @Test func aPatchMayNotSetAColumnToNullThatIsNotNullable() throws {
    var shard = Shard()
    let table = try shard.create(simple)
    #expect(throws: Refusal.self) { try shard.patch(table, "a", "{\"v\":null}") }
    let error = refusal { () throws(Refusal) in
      var encoder = RowEncoder()
      var out = try pathKey(table, "a")
      let json = bytes("{\"v\":null}")
      try json.withBytes { (raw) throws(Refusal) in
        try encoder.appendPatch(table, json: raw, part: 0..<raw.count, key: 0..<3, to: &out)
      }
    }
    #expect(error?.code == .invalidRow)
    #expect(error?.column == "v")
  }

  // MARK: Batches

  @Test func operationsOfABatchSeeThoseBefore() throws {
    var shard = Shard()
    _ = try shard.create(simple)
    let reply = try shard.batch(
      """
      {"operations":[
        {"op":"put","table":"simple","key":"a","row":{"v":"1","n":1},"if_none_match":true},
        {"op":"patch","table":"simple","key":"a","row":{"v":"2"},"if_match":"2"},
        {"op":"check","table":"simple","key":"a","if_match":"\\"2\\""},
        {"op":"put","table":"simple","key":"b","row":{"k":"b","v":"x"}},
        {"op":"delete","table":"simple","key":"b"},
        {"op":"check","table":"simple","key":"b","if_none_match":true},
        {"op":"put","table":"simple","key":"b","row":{"v":"y"},"if_none_match":false}]}
      """)
    let v = version(2)
    #expect(
      reply
        == .batch([.created(v), .patched(v), .checked(v), .created(v), .deleted(v), .checked(nil), .created(v)]))
    guard case .batch(let outcomes) = reply else { return }
    var json: [UInt8] = []
    Reply.appendResults(Array(outcomes.prefix(6)), to: &json)
    #expect(
      text(json) == """
        {"results":[{"status":201,"etag":"2"},{"status":200,"etag":"2"},{"status":200,"etag":"2"},\
        {"status":201,"etag":"2"},{"status":204},{"status":200}]}
        """)
    let table = try #require(shard.machine.catalog.table(named: "simple"))
    #expect(try shard.get(table, "a").json == "{\"k\":\"a\",\"v\":\"2\",\"n\":1}")
    #expect(try shard.get(table, "b").json == "{\"k\":\"b\",\"v\":\"y\",\"n\":null}")
    shard.checkInvariants()
  }

  @Test(arguments: [
    ("{\"op\":\"check\",\"table\":\"simple\",\"key\":\"none\"}", RowOutcome.rowNotFound),
    ("{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"none\"}", .rowNotFound),
    ("{\"op\":\"patch\",\"table\":\"simple\",\"key\":\"none\",\"row\":{}}", .rowNotFound),
    (
      "{\"op\":\"check\",\"table\":\"simple\",\"key\":\"a\",\"if_match\":\"1\"}",
      .conditionFailed(current: Timestamp(3))
    ),
    (
      "{\"op\":\"check\",\"table\":\"simple\",\"key\":\"z\",\"if_none_match\":true}",
      .conditionFailed(current: Timestamp(2))
    ),
    (
      "{\"op\":\"put\",\"table\":\"simple\",\"key\":\"n\",\"row\":{\"v\":\"\"},\"if_match\":\"2\"}",
      .conditionFailed(current: nil)
    ),
  ])
  func aBatchThatFailsChangesNothing(_ failing: String, _ outcome: RowOutcome) throws {
    var shard = Shard(coolPercent: 5)
    let table = try shard.create(simple)
    _ = try shard.put(table, "z", "{\"v\":\"old\"}")
    let before = shard.entries().map { $0.key + $0.value }
    let reply = try shard.batch(
      """
      {"operations":[{"op":"put","table":"simple","key":"a","row":{"v":"1"}},
        {"op":"delete","table":"simple","key":"a"},{"op":"put","table":"simple","key":"a","row":{"v":"1"}},
        \(failing),{"op":"put","table":"simple","key":"q","row":{"v":"1"}}]}
      """)
    #expect(reply == .batchFailed(operation: 3, outcome))
    #expect(outcome.refusal(table: "simple", operation: 3)?.operation == 3)
    #expect(shard.entries().map { $0.key + $0.value } == before)
    shard.checkInvariants()
    #expect(try shard.put(table, "a", "{\"v\":\"1\"}") == .row(.created(version(4))))
  }

  @Test func wrongBatchesAreRefused() throws {
    var shard = Shard()
    _ = try shard.create(simple)
    let catalog = shard.machine.catalog
    func check(_ json: String, _ code: Refusal.Code, operation: Int? = nil, limit: Int? = nil) {
      let error = refusal { () throws(Refusal) in
        var writer = CommandWriter()
        try bytes(json).withBytes { (raw) throws(Refusal) in try writer.batch(json: raw, catalog: catalog) }
      }
      #expect(error?.code == code, "\(json.prefix(200))")
      #expect(error?.operation == operation, "\(json.prefix(200))")
      #expect(error?.limit == limit, "\(json.prefix(200))")
    }
    func batch(_ operations: String...) -> String { "{\"operations\":[\(operations.joined(separator: ","))]}" }
    let good = "{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"a\"}"
    check("", .invalidJSON)
    check("[]", .invalidJSON)
    check("{\"operations\":{}}", .invalidJSON)
    check("{\"ops\":[]}", .invalidArgument)
    check(batch(), .invalidArgument)
    check("{\"operations\":[\(good)]", .invalidJSON)
    check("{\"operations\":[\(good)],\"x\":1}", .invalidJSON)
    check("{\"operations\":[\(good),]}", .invalidJSON)
    check(batch(good, "1"), .invalidArgument, operation: 1)
    check(batch(good, "{}"), .invalidArgument, operation: 1)
    check(batch("{\"op\":\"upsert\",\"table\":\"simple\",\"key\":\"a\"}"), .invalidArgument, operation: 0)
    check(batch("{\"op\":1,\"table\":\"simple\",\"key\":\"a\"}"), .invalidArgument, operation: 0)
    check(batch("{\"table\":\"simple\",\"key\":\"a\"}"), .invalidArgument, operation: 0)
    check(batch("{\"op\":\"delete\",\"key\":\"a\"}"), .invalidArgument, operation: 0)
    check(batch("{\"op\":\"delete\",\"table\":\"simple\"}"), .invalidArgument, operation: 0)
    check(batch("{\"op\":\"delete\",\"table\":\"none\",\"key\":\"a\"}"), .tableNotFound, operation: 0)
    check(batch("{\"op\":\"delete\",\"table\":\"fs_tables\",\"key\":\"a\"}"), .forbidden, operation: 0)
    check(batch("{\"op\":\"delete\",\"table\":\"simple\",\"key\":1}"), .invalidKey, operation: 0)
    check(batch("{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"a\",\"row\":{}}"), .invalidArgument, operation: 0)
    check(batch("{\"op\":\"put\",\"table\":\"simple\",\"key\":\"a\"}"), .invalidArgument, operation: 0)
    check(batch("{\"op\":\"put\",\"table\":\"simple\",\"key\":\"a\",\"row\":{}}"), .invalidRow, operation: 0)
    check(batch("{\"op\":\"put\",\"table\":\"simple\",\"key\":\"a\",\"row\":{\"v\":1}}"), .typeMismatch, operation: 0)
    check(batch("{\"op\":\"put\",\"table\":\"simple\",\"key\":\"a\",\"row\":{\"w\":1}}"), .unknownColumn, operation: 0)
    check(
      batch("{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"a\",\"if_match\":\"x\"}"), .invalidArgument, operation: 0
    )
    check(
      batch("{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"a\",\"if_none_match\":1}"), .invalidArgument,
      operation: 0)
    check(
      batch("{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"a\",\"if_match\":\"1\",\"if_none_match\":true}"),
      .invalidArgument, operation: 0)
    check(batch("{\"op\":\"delete\",\"op\":\"delete\",\"table\":\"simple\",\"key\":\"a\"}"), .invalidJSON, operation: 0)
    check(batch("{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"a\",\"ttl\":1}"), .invalidArgument, operation: 0)
    check(batch("{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"a}"), .invalidJSON, operation: 0)
    let many = Array(repeating: good, count: 1001).joined(separator: ",")
    check("{\"operations\":[\(many)]}", .tooLarge, limit: 1000)
    let value = String(repeating: "x", count: 400_000)
    let put = "{\"op\":\"put\",\"table\":\"simple\",\"key\":\"a\",\"row\":{\"v\":\"\(value)\"}}"
    check(batch(put, put, put), .tooLarge, operation: 2, limit: 1 << 20)
  }

  // MARK: The catalog

  @Test func tablesComeAndGo() throws {
    var shard = Shard(coolPercent: 5)
    let first = try shard.create(simple)
    #expect(first.id == TableID(100))
    let again = try TableDescription.parse(bytes(simple))
    #expect(try shard.apply { (writer) throws(Refusal) in writer.createTable(again) } == .tableExists)
    for i in 0..<600 { _ = try shard.put(first, "\(i)", "{\"v\":\"x\"}") }
    #expect(try shard.apply { (writer) throws(Refusal) in writer.dropTable(first.id) } == .tableDropped(first.id))
    #expect(try shard.apply { (writer) throws(Refusal) in writer.dropTable(first.id) } == .tableNotFound)
    #expect(try shard.put(first, "1", "{\"v\":\"x\"}") == .row(.tableNotFound))
    #expect(try shard.get(first, "1").outcome == .tableNotFound)
    #expect(shard.machine.catalog.table(named: "simple") == nil)
    #expect(shard.machine.catalog.dropped == [first.id])
    shard.checkInvariants()

    let second = try shard.create(simple)
    #expect(second.id == TableID(101))
    _ = try shard.put(second, "1", "{\"v\":\"new\"}")
    var removed: [Reply] = []
    for _ in 0..<3 {
      removed.append(try shard.apply { (writer) throws(Refusal) in writer.purge(first.id) })
      shard.checkInvariants()
    }
    #expect(
      removed == [
        .purged(rows: 256, isFinished: false), .purged(rows: 256, isFinished: false),
        .purged(rows: 88, isFinished: true),
      ])
    #expect(
      try shard.apply { (writer) throws(Refusal) in writer.purge(first.id) } == .purged(rows: 0, isFinished: true))
    #expect(
      try shard.apply { (writer) throws(Refusal) in writer.purge(second.id) } == .purged(rows: 0, isFinished: true))
    #expect(try shard.get(second, "1").json == "{\"k\":\"1\",\"v\":\"new\",\"n\":null}")
    #expect(shard.machine.catalog.dropped.isEmpty)
  }

  /// Whoever appended it: a command in the log must not stop the replicas.
  @Test func aDescriptionThatDoesNotFitIntoTheCatalogIsRefused() throws {
    for count in [200_000, TableLimits.descriptionBytesMax + 1] {
      var shard = Shard()
      let columns = [
        Column(id: 1, name: "k", type: .text),
        Column(id: 2, name: "v", type: .text, nullable: true, defaultValue: .text([UInt8](repeating: 1, count: count))),
      ]
      let description = TableDescription(id: TableID(0), name: "t", columns: columns, primaryKey: [1])
      #expect(try shard.apply { (writer) throws(Refusal) in writer.createTable(description) } == .malformed)
      #expect(shard.machine.totals == ShardTotals())
      shard.checkInvariants()
    }
  }

  @Test func aCommandForAnotherSchemaIsRefused() throws {
    var shard = Shard()
    let table = try shard.create(simple)
    var description = table.description
    description.schema = 2
    let other = Table(description)
    let before = shard.machine.totals
    #expect(try shard.put(other, "a", "{\"v\":\"\"}") == .row(.schemaChanged))
    #expect(try shard.get(other, "a").outcome == .schemaChanged)
    #expect(shard.machine.totals == before)
    #expect(RowOutcome.schemaChanged.refusal(table: "simple")?.code == .conflict)
  }

  @Test func systemTablesAreReadButNotWritten() throws {
    var shard = Shard()
    let table = try shard.create(simple)
    let error = refusal { () throws(Refusal) in
      var writer = CommandWriter()
      try bytes("x").withBytes { (path) throws(Refusal) in try writer.delete(SystemTables.tables, path: path) }
    }
    #expect(error?.code == .forbidden)
    // A command that was made by hand.
    var command: [UInt8] = [1, 1]
    appendOperation(.delete, .none, schema: 1, to: &command)
    let key = StateKey.rowPrefix(SystemTables.tables.id) + SystemTables.tables.key([.string("simple")])
    command.appendLittleEndian(UInt16(key.count))
    command += key
    command.appendLittleEndian(UInt32(0))
    #expect(shard.apply(command) == .row(.reserved))
    let row = try shard.get(SystemTables.tables, "simple", columns: "name,id,schema,description")
    var description: [UInt8] = []
    table.description.appendJSON(to: &description)
    #expect(row.json == "{\"name\":\"simple\",\"id\":100,\"schema\":1,\"description\":\(text(description))}")
    #expect(try shard.get(SystemTables.settings, "next_table_id").json == "{\"name\":\"next_table_id\",\"value\":101}")
    var list: [UInt8] = []
    shard.machine.catalog.appendJSON(to: &list)
    #expect(text(list) == "{\"tables\":[\(text(description))]}")
  }

  @Test func revocationsAreKept() throws {
    var shard = Shard()
    let token = Revocation(.token, "abc")
    #expect(!shard.machine.catalog.isRevoked(token))
    for revocation in [token, Revocation(.certificate, "0F"), Revocation(.token, "aa"), token] {
      let reply = try shard.apply { (writer) throws(Refusal) in
        try writer.revoke(revocation, expires: Moment(microseconds: 1_000_000))
      }
      #expect(reply == .revoked)
      #expect(shard.machine.catalog.isRevoked(revocation))
    }
    #expect(!shard.machine.catalog.isRevoked(Revocation(.certificate, "abc")))
    #expect(
      try shard.get(SystemTables.revoked, "token,abc").json
        == "{\"kind\":\"token\",\"serial\":\"abc\",\"expires\":\"1970-01-01T00:00:01.000000Z\"}")
    shard.checkInvariants()
    #expect(
      refusal { () throws(Refusal) in
        var writer = CommandWriter()
        try writer.revoke(Revocation(.token, ""))
      }?.code == .invalidArgument)
  }

  @Test func thereIsALimitOnTables() throws {
    var shard = Shard()
    let plain = try TableDescription.parse(
      bytes("{\"name\":\"t\",\"columns\":[{\"name\":\"k\",\"type\":\"text\"}],\"primary_key\":[\"k\"]}"))
    #expect(TableLimits.tablesMax == 10_000)
    for i in 0..<20 {
      var description = plain
      description.name = "t\(19 - i)"
      let reply = try shard.apply { (writer) throws(Refusal) in writer.createTable(description) }
      description.id = TableID(UInt32(100 + i))
      #expect(reply == .tableCreated(description))
    }
    #expect(shard.machine.catalog.userTables.map(\.name) == (0..<20).map { "t\($0)" }.sorted())
    for i in 0..<20 { #expect(shard.machine.catalog.table(named: "t\(i)")?.id == TableID(UInt32(119 - i))) }
    shard.checkInvariants()
  }
}

@Suite struct PrefetchTests {
  @Test func aCommandWhosePagesWereFetchedMissesNone() throws {
    var shard = Shard()
    let table = try shard.create(simple)
    let value = String(repeating: "x", count: 3000)
    for i in 100..<200 { _ = try shard.put(table, "\(i)", "{\"v\":\"\(value)\"}") }
    shard.disk.cool()
    let operations = stride(from: 100, to: 200, by: 3).map {
      "{\"op\":\"patch\",\"table\":\"simple\",\"key\":\"\($0)\",\"row\":{\"n\":1}}"
    }
    var writer = CommandWriter()
    let catalog = shard.machine.catalog
    try bytes("{\"operations\":[\(operations.joined(separator: ","))]}").withBytes { (json) throws(Refusal) in
      try writer.batch(json: json, catalog: catalog)
    }
    var rounds = 0
    while true {
      let pages = writer.bytes.withBytes { shard.machine.missingPages(for: $0, store: shard.disk.store) }
      if pages.isEmpty { break }
      for page in pages { shard.disk.load(page) }
      rounds += 1
    }
    #expect(rounds >= 2 && rounds <= 6)
    let before = shard.disk.loads
    guard case .batch = shard.apply(writer.bytes) else {
      Issue.record("the batch took place")
      return
    }
    // One more: the store's map of its free pages, which only a change needs.
    #expect(shard.disk.loads <= before + 1)
  }
}
