import Primitives
import Testing

@testable import Tables

@Suite struct CommandTests {
  private func command(_ body: (inout CommandWriter) throws(Refusal) -> Void) throws -> [UInt8] {
    var writer = CommandWriter()
    try body(&writer)
    return writer.bytes
  }

  @Test func commandsHaveTheirGoldenBytes() throws {
    let table = try makeTable(simple)
    let key = "0800" + "20" + "00000064" + "610001"
    let put = try command { (writer) throws(Refusal) in
      try bytes("a").withBytes { (path) throws(Refusal) in
        try bytes("{\"v\":\"x\",\"n\":1}").withBytes { (json) throws(Refusal) in
          try writer.put(table, path: path, json: json, condition: .ifMatch(Timestamp(0x1234)))
        }
      }
    }
    #expect(
      hex(put) == "0101" + "01" + "01" + "01000000" + "3412000000000000" + key + "0e000000" + "000100"
        + "0100000000000000" + "0100" + "78")
    let patch = try command { (writer) throws(Refusal) in
      try bytes("a").withBytes { (path) throws(Refusal) in
        try bytes("{\"n\":null,\"v\":\"x\"}").withBytes { (json) throws(Refusal) in
          try writer.patch(table, path: path, json: json, condition: .ifNoneMatch)
        }
      }
    }
    #expect(
      hex(patch) == "0101" + "02" + "02" + "01000000" + key + "0d000000" + "0200" + "030000" + "020001" + "01000000"
        + "78")
    let delete = try command { (writer) throws(Refusal) in
      try bytes("a").withBytes { (path) throws(Refusal) in try writer.delete(table, path: path) }
    }
    #expect(hex(delete) == "0101" + "03" + "00" + "01000000" + key + "00000000")
    #expect(hex(try command { (writer) throws(Refusal) in writer.dropTable(TableID(100)) }) == "0104" + "64000000")
    #expect(
      hex(try command { (writer) throws(Refusal) in writer.purge(TableID(100), rows: 16) }) == "0105" + "64000000"
        + "1000")
    #expect(
      hex(try command { (writer) throws(Refusal) in try writer.revoke(Revocation(.token, "ab")) })
        == "0106" + "01" + "0000000000000080" + "026162")
    #expect(
      hex(try command { (writer) throws(Refusal) in writer.advance(elapsed: 7, retention: 256) })
        == "0107" + "07000000" + "00010000")
    #expect(
      try command { (writer) throws(Refusal) in writer.createTable(table.description) }
        == [1, 3] + table.description.encoded())
  }

  @Test func aBatchHasItsGoldenBytes() throws {
    var shard = Shard()
    _ = try shard.create(simple)
    let catalog = shard.machine.catalog
    let batch = try command { (writer) throws(Refusal) in
      try bytes(
        """
        {"operations":[{"op":"check","table":"simple","key":"a","if_none_match":true},
          {"row":{"v":""},"key":"a","table":"simple","op":"put"}]}
        """
      ).withBytes { (json) throws(Refusal) in try writer.batch(json: json, catalog: catalog) }
    }
    let key = "0800" + "20" + "00000064" + "610001"
    #expect(
      hex(batch) == "0102" + "0200" + "0402" + "01000000" + key + "00000000" + "0100" + "01000000" + key + "0d000000"
        + "000101" + "0000000000000000" + "0000")
  }

  @Test func aBatchWithEscapesSaysTheSame() throws {
    var shard = Shard()
    _ = try shard.create(simple)
    let catalog = shard.machine.catalog
    func batch(_ json: String) throws -> [UInt8] {
      try command { (writer) throws(Refusal) in
        try bytes(json).withBytes { (raw) throws(Refusal) in try writer.batch(json: raw, catalog: catalog) }
      }
    }
    let plain = try batch(#"{"operations":[{"op":"put","table":"simple","key":"a","row":{"v":"x"}}]}"#)
    for escaped in [
      #"{"operations":[{"\u006fp":"put","t\u0061ble":"simple","ke\u0079":"a","r\u006fw":{"v":"x"}}]}"#,
      #"{"operations":[{"op":"p\u0075t","table":"simpl\u0065","key":"\u0061","row":{"\u0076":"\u0078"}}]}"#,
      #"{ "operations" : [ { "op" : "put" , "table" : "simple" , "key" : "a" , "row" : {"v":"x"} } ] }"#,
    ] {
      #expect(try batch(escaped) == plain)
    }
  }

  @Test func operationsOfABatchBelongEachToTheirOwnTable() throws {
    var shard = Shard()
    _ = try shard.create(simple)
    _ = try shard.create(#"{"name":"other","columns":[{"name":"k","type":"text"}],"primary_key":["k"]}"#)
    let catalog = shard.machine.catalog
    let names = ["simple", "other", "other", "simple"]
    let operations = names.map { #"{"op":"delete","table":"\#($0)","key":"a"}"# }.joined(separator: ",")
    let batch = try command { (writer) throws(Refusal) in
      try bytes("{\"operations\":[\(operations)]}").withBytes { (raw) throws(Refusal) in
        try writer.batch(json: raw, catalog: catalog)
      }
    }
    let deletes = ["64", "65", "65", "64"].map {
      "0300" + "01000000" + "0800" + "20" + "000000\($0)" + "610001" + "00000000"
    }
    #expect(hex(batch) == "0102" + "0400" + deletes.joined())
  }

  @Test func repliesHaveTheirGoldenBytes() throws {
    let v = Timestamp(0x0102)
    let version = "0201000000000000"
    let none = "0000000000000000"
    #expect(hex(Reply.row(.created(v)).encoded()) == "0101" + "01" + version)
    #expect(hex(Reply.row(.replaced(v)).encoded()) == "0101" + "02" + version)
    #expect(hex(Reply.row(.patched(v)).encoded()) == "0101" + "03" + version)
    #expect(hex(Reply.row(.deleted(v)).encoded()) == "0101" + "04" + version)
    #expect(hex(Reply.row(.checked(nil)).encoded()) == "0101" + "05" + none)
    #expect(hex(Reply.row(.rowNotFound).encoded()) == "0101" + "06")
    #expect(hex(Reply.row(.conditionFailed(current: v)).encoded()) == "0101" + "07" + version)
    #expect(hex(Reply.row(.tableNotFound).encoded()) == "0101" + "08")
    #expect(hex(Reply.row(.schemaChanged).encoded()) == "0101" + "09")
    #expect(hex(Reply.row(.reserved).encoded()) == "0101" + "0a")
    #expect(hex(Reply.row(.rowTooLarge(258)).encoded()) == "0101" + "0b" + version)
    #expect(hex(Reply.row(.malformed).encoded()) == "0101" + "0c")
    #expect(hex(Reply.batch([.created(v), .checked(nil)]).encoded()) == "0102" + "02" + "01" + version + "05" + none)
    #expect(hex(Reply.batchFailed(operation: 300, .rowNotFound).encoded()) == "0103" + "ac02" + "06")
    #expect(hex(Reply.tableExists.encoded()) == "0105")
    #expect(hex(Reply.tableDropped(TableID(100)).encoded()) == "0106" + "64000000")
    #expect(hex(Reply.tableNotFound.encoded()) == "0107")
    #expect(hex(Reply.tooManyTables.encoded()) == "0108")
    #expect(hex(Reply.purged(rows: 3, isFinished: true).encoded()) == "0109" + "0301")
    #expect(hex(Reply.revoked.encoded()) == "010a")
    #expect(hex(Reply.advanced(isFinished: true).encoded()) == "010c01")
    #expect(hex(Reply.malformed.encoded()) == "010b")
    let created = Reply.tableCreated(try makeTable(simple).description)
    #expect(created.encoded() == [1, 4] + (try makeTable(simple)).description.encoded())
  }

  @Test func repliesAreReadAsTheyWereWritten() throws {
    let v = Timestamp(7)
    let replies: [Reply] = [
      .row(.created(v)), .row(.checked(v)), .row(.checked(nil)), .row(.conditionFailed(current: nil)),
      .row(.rowTooLarge(9)), .row(.reserved), .row(.malformed), .batch([]),
      .batch([.deleted(v), .patched(v), .replaced(v)]),
      .batchFailed(operation: 9, .schemaChanged), .tableCreated(try makeTable(everything).description), .tableExists,
      .tableDropped(TableID(5)), .tableNotFound, .tooManyTables, .purged(rows: 0, isFinished: false), .revoked,
      .advanced(isFinished: false), .advanced(isFinished: true),
      .malformed,
    ]
    for reply in replies {
      let encoded = reply.encoded()
      let back = try decode(encoded) { (reader) throws(DecodeError) in try Reply(from: &reader) }
      #expect(back == reply)
      for end in encoded.indices {
        #expect(throws: DecodeError.self) {
          try decode(Array(encoded[..<end])) { (reader) throws(DecodeError) in try Reply(from: &reader) }
        }
      }
    }
  }

  @Test func everyReplyThatRefusesSaysWhatToDo() throws {
    let v = Timestamp(7)
    let codes: [(Reply, Refusal.Code?)] = [
      (.row(.created(v)), nil), (.row(.replaced(v)), nil), (.row(.patched(v)), nil), (.row(.deleted(v)), nil),
      (.row(.checked(nil)), nil), (.batch([.created(v)]), nil), (.tableDropped(TableID(100)), nil), (.revoked, nil),
      (.tableCreated(try makeTable(simple).description), nil), (.purged(rows: 1, isFinished: false), nil),
      (.row(.rowNotFound), .rowNotFound), (.row(.conditionFailed(current: v)), .conditionFailed),
      (.row(.conditionFailed(current: nil)), .conditionFailed), (.row(.tableNotFound), .tableNotFound),
      (.row(.schemaChanged), .conflict), (.row(.reserved), .forbidden), (.row(.rowTooLarge(1)), .tooLarge),
      (.row(.malformed), .internal), (.batchFailed(operation: 3, .rowNotFound), .rowNotFound),
      (.tableExists, .tableExists), (.tableNotFound, .tableNotFound), (.tooManyTables, .tooLarge),
      (.malformed, .internal),
    ]
    for (reply, code) in codes {
      let refusal = reply.refusal(table: "t")
      #expect(refusal?.code == code)
      #expect(refusal == nil || (refusal?.detail.count ?? 0) > 20)
      #expect(refusal == nil || refusal?.table == "t")
      #expect((refusal?.code == .tooLarge) == (refusal?.limit != nil))
    }
    #expect(Reply.batchFailed(operation: 3, .rowNotFound).refusal(table: nil)?.operation == 3)
    for kind in OperationKind.allCases {
      let advice = RowOutcome.rowNotFound.refusal(table: "t", kind: kind)?.detail.contains("create it")
      #expect(advice == (kind == .patch), "only who changes a row has use for it")
    }
    #expect(RowOutcome.conditionFailed(current: v).currentVersion == v)
    #expect(RowOutcome.conditionFailed(current: nil).currentVersion == nil)
    #expect(RowOutcome.created(v).currentVersion == nil)
  }

  @Test func mutatedCommandsAreRefusedAlikeAndNeverTrap() throws {
    var shard = Shard()
    let table = try shard.create(everything)
    var commands: [[UInt8]] = []
    for (path, json) in [
      ("k,1", "{\"b\":true,\"must\":\"x\",\"d\":\"1.25\",\"j\":[1]}"), ("k,1", "{\"b\":true,\"must\":\"\"}"),
    ] {
      commands.append(
        try command { (writer) throws(Refusal) in
          try bytes(path).withBytes { (path) throws(Refusal) in
            try bytes(json).withBytes { (json) throws(Refusal) in try writer.put(table, path: path, json: json) }
          }
        })
      commands.append(
        try command { (writer) throws(Refusal) in
          try bytes(path).withBytes { (path) throws(Refusal) in
            try bytes(json).withBytes { (json) throws(Refusal) in try writer.patch(table, path: path, json: json) }
          }
        })
    }
    let description = table.description
    commands.append(try command { (writer) throws(Refusal) in writer.createTable(description) })
    commands.append(try command { (writer) throws(Refusal) in try writer.revoke(Revocation(.token, "s")) })
    commands.append(try command { (writer) throws(Refusal) in writer.purge(TableID(100)) })
    commands.append(try command { (writer) throws(Refusal) in writer.advance(elapsed: 7, retention: 9) })
    var random = SeededRandom(seed: 17)
    for round in 0..<1500 {
      var mutated = commands[round % commands.count]
      for _ in 0...random.below(2) { mutated[Int(random.below(UInt64(mutated.count)))] = UInt8(random.below(256)) }
      if random.chance(1, outOf: 4) { mutated.removeLast(Int(random.below(UInt64(mutated.count)))) }
      _ = shard.apply(mutated)
    }
    shard.checkInvariants()
    for table in shard.machine.catalog.allTables { _ = try shard.scan(table, [:]) }
  }

  @Test func etagsAreDigitsWithOrWithoutQuotes() {
    func version(_ text: String) -> UInt64? { bytes(text).withBytes { Condition.version(etag: $0) }?.rawValue }
    #expect(version("12") == 12)
    #expect(version("\"12\"") == 12)
    #expect(version("0") == 0)
    #expect(version("18446744073709551615") == .max)
    for text in ["", "\"", "\"\"", "012", "-1", "W/\"1\"", "*", "1 ", "18446744073709551616", "1,2"] {
      #expect(version(text) == nil, "\(text)")
    }
  }
}
