import Primitives
import Testing

@testable import Tables

@Suite struct RowTests {
  @Test func rowsHaveTheirGoldenBytes() throws {
    let table = try makeTable(simple)
    // flags, schema, null bits (n is null), n, end of v, v
    #expect(hex(try encodeRow(table, "a", "{\"v\":\"xyz\"}")) == "000101" + "0000000000000000" + "0300" + "78797a")
    #expect(hex(try encodeRow(table, "a", "{\"v\":\"\",\"n\":-2}")) == "000100" + "feffffffffffffff" + "0000")
    let plain = try makeTable(
      "{\"name\":\"p\",\"columns\":[{\"name\":\"k\",\"type\":\"text\"},{\"name\":\"v\",\"type\":\"text\"}],\"primary_key\":[\"k\"]}"
    )
    #expect(hex(try encodeRow(plain, "a", "{\"v\":\"x\"}")) == "0001" + "0100" + "78")
  }

  @Test func aRowOfEveryTypeHasItsGoldenBytes() throws {
    let table = try makeTable(everything)
    let row = try encodeRow(
      table, "k,1",
      """
      {"b":true,"i":1,"f":0.5,"d":"-1.5","t":"T","y":"AP8=","m":"1970-01-01T00:00:00.000002Z",
       "u":"123e4567-e89b-12d3-a456-426614174000","j":{"a": [1, 2]},"must":"M"}
      """)
    let fixed =
      "01" + "0100000000000000" + "000000000000e03f" + "f1ffffffffffffffffffffffffffffff01"
      + "0200000000000000" + "123e4567e89b12d3a456426614174000"
    #expect(
      hex(row) == "000100" + fixed + "0100" + "0300" + "0e00" + "0f00" + "54" + "00ff" + hex(bytes("{\"a\":[1,2]}"))
        + "4d")
  }

  @Test func aSchemaVersionAbove255TakesFourBytes() throws {
    var description = try makeTable(simple).description
    description.schema = 0x0102
    let table = Table(description)
    let row = try encodeRow(table, "a", "{\"v\":\"x\",\"n\":1}")
    #expect(hex(row) == "02" + "02010000" + "00" + "0100000000000000" + "0100" + "78")
    #expect(row.withBytes { RowView($0, table).isValid() })
    let other = try makeTable(simple)
    #expect(!row.withBytes { RowView($0, other).isValid() })
    #expect(table.values(row: row) == [.string("x"), .int64(1)])
  }

  @Test func nullBitsOfNoColumnAreRefused() throws {
    let table = try makeTable(simple)
    var row = try encodeRow(table, "a", "{\"v\":\"x\",\"n\":1}")
    row[2] |= 2
    #expect(!row.withBytes { RowView($0, table).isValid() })
  }

  @Test func wideOffsetsBeginAbove65535Bytes() throws {
    let table = try makeTable(simple)
    for (count, flag) in [(65_535, 0), (65_536, 1)] {
      let value = String(repeating: "a", count: count)
      let row = try encodeRow(table, "a", "{\"v\":\"\(value)\"}")
      #expect(Int(row[0]) == flag)
      #expect(row.withBytes { RowView($0, table).isValid() })
      #expect(table.values(row: row) == [.string(value), .null])
    }
  }

  @Test func whatIsPrintedIsWhatWasRead() throws {
    let table = try makeTable(everything)
    let json = """
      {"k1":"k","k2":1,"b":true,"i":1,"f":0.5,"d":"-1.5","t":"T\\n\\u0001\\"","y":"AP8=","m":"1970-01-01T00:00:00.000002Z",\
      "u":"123e4567-e89b-12d3-a456-426614174000","j":{"a":[1,null]},"must":"M"}
      """
    let row = try encodeRow(table, "k,1", json)
    #expect(printRow(table, try pathKey(table, "k,1"), row) == json)
    #expect(printRow(table, try pathKey(table, "k,1"), row, [11, 1, 3]) == "{\"must\":\"M\",\"k2\":1,\"i\":1}")
  }

  @Test func missingNullableColumnsTakeTheirDefaults() throws {
    let table = try makeTable(everything)
    let row = try encodeRow(table, "k,1", "{\"b\":false,\"must\":\"\"}")
    #expect(
      printRow(table, try pathKey(table, "k,1"), row) == """
        {"k1":"k","k2":1,"b":false,"i":7,"f":null,"d":null,"t":"def","y":null,"m":null,"u":null,"j":null,"must":""}
        """)
    let cleared = try encodeRow(table, "k,1", "{\"b\":false,\"must\":\"\",\"i\":null,\"t\":null,\"j\":null}")
    #expect(
      table.values(row: cleared) == [.bool(false), .null, .null, .null, .null, .null, .null, .null, .null, .string("")])
  }

  @Test func wrongRowsAreRefusedByName() throws {
    let table = try makeTable(everything)
    func check(_ json: String, _ code: Refusal.Code, _ column: String? = nil) {
      let error = refusal { () throws(Refusal) in _ = try encodeRow(table, "k,1", json) }
      #expect(error?.code == code, "\(json)")
      #expect(error?.column == column, "\(json)")
      #expect(error?.table == "everything")
      #expect(error?.detail.isEmpty == false)
    }
    let rest = "\"b\":true,\"must\":\"\""
    check("{\"b\":true}", .invalidRow, "must")
    check("{\"must\":\"\"}", .invalidRow, "b")
    check("{\"b\":null,\"must\":\"\"}", .invalidRow, "b")
    check("{\(rest),\"k1\":null}", .invalidRow, "k1")
    check("{\(rest),\"zz\":1}", .unknownColumn, "zz")
    check("{\(rest),\"\":1}", .unknownColumn, "")
    check("{\(rest),\"k1\":\"other\"}", .invalidKey, "k1")
    check("{\(rest),\"k2\":2}", .invalidKey, "k2")
    check("{\(rest),\"k2\":\"1\"}", .typeMismatch, "k2")
    for (column, value) in [
      ("i", "1.5"), ("i", "1e3"), ("i", "\"1\""), ("i", "9223372036854775808"), ("i", "true"), ("f", "\"1\""),
      ("f", "1e999"),
      ("d", "1.5"), ("d", "\"x\""), ("d", "\"\(String(repeating: "9", count: 39))\""), ("t", "1"), ("t", "{}"),
      ("y", "\"*\""), ("y", "\"AA\""), ("m", "\"2025\""), ("m", "0"), ("u", "\"x\""), ("u", "[]"),
    ] {
      check("{\(rest),\"\(column)\":\(value)}", .typeMismatch, column)
    }
    check("{\"must\":\"\",\"b\":1}", .typeMismatch, "b")
    check("{\(rest),\"i\":1,\"i\":1}", .invalidJSON)
    check("{\(rest),\"i\":1,\"\\u0069\":1}", .invalidJSON)
    check("{\(rest),\"j\":{\"a\":1,\"a\":2}}", .invalidJSON)
    check("{\(rest),\"i\":NaN}", .invalidJSON)
    check("{\(rest),\"i\":01}", .invalidJSON)
    check("{\(rest)", .invalidJSON)
    check("{\(rest)} x", .invalidJSON)
    check("", .invalidJSON)
    check("[]", .invalidRow)
    check("null", .invalidRow)
  }

  @Test func keyColumnsInTheBodyMayRepeatTheKey() throws {
    let table = try makeTable(everything)
    let row = try encodeRow(table, "k,1", "{\"k2\":1,\"b\":true,\"k\\u0031\":\"k\",\"must\":\"\"}")
    #expect(row == (try encodeRow(table, "k,1", "{\"b\":true,\"must\":\"\"}")))
  }

  @Test func aRowOverItsLimitIsTooLarge() throws {
    let table = try makeTable(simple)
    let most = TableLimits.rowBytesMax - 15
    #expect(
      try encodeRow(table, "a", "{\"v\":\"\(String(repeating: "a", count: most))\"}").count == TableLimits.rowBytesMax)
    let error = refusal { () throws(Refusal) in
      _ = try encodeRow(table, "a", "{\"v\":\"\(String(repeating: "a", count: most + 1))\"}")
    }
    #expect(error?.code == .tooLarge)
    #expect(error?.limit == TableLimits.rowBytesMax)
  }

  @Test func randomRowsSurvive() throws {
    let table = try makeTable(everything)
    var random = SeededRandom(seed: 11)
    for _ in 0..<100 {
      var values: [Value] = []
      for plan in table.plans where !plan.isKey {
        let value = randomValue(plan.type, &random)
        let isNull = plan.nullBit != nil && random.chance(1, outOf: 3)
        values.append(isNull || value == .json(bytes("null")) ? .null : value)
      }
      let row = table.row(values)
      #expect(table.values(row: row) == values)
      #expect(row.withBytes { RowView($0, table).isValid() })
      let key = table.key([randomValue(.text, &random), randomValue(.int64, &random)])
      var path: [UInt8] = []
      key.withBytes { table.appendPath(key: $0, to: &path) }
      #expect(try encodeRow(table, text(path), printRow(table, key, row)) == row)
    }
  }

  @Test func damagedRowsAreFoundOrAreOtherRows() throws {
    let table = try makeTable(everything)
    var random = SeededRandom(seed: 12)
    let good = try encodeRow(table, "k,1", "{\"b\":false,\"must\":\"abc\",\"j\":[1],\"d\":\"1.5\",\"y\":\"AAAA\"}")
    for end in good.indices { #expect(!good[..<end].withUnsafeBytes { RowView($0, table).isValid() }) }
    for _ in 0..<1500 {
      var row = good
      for _ in 0...random.below(2) { row[Int(random.below(UInt64(row.count)))] = UInt8(random.below(256)) }
      guard row.withBytes({ RowView($0, table).isValid() }) else { continue }
      _ = printRow(table, try pathKey(table, "k,1"), row)
      #expect(table.row(table.values(row: row)) == row)
    }
  }

  @Test func columnsAreFoundInAnyOrderAmongAThousand() throws {
    let columns = (0..<1000).map { "{\"name\":\"c\($0)\",\"type\":\"int64\"}" }.joined(separator: ",")
    let table = try makeTable("{\"name\":\"wide\",\"columns\":[\(columns)],\"primary_key\":[\"c0\"]}")
    let forward = (0..<1000).map { "\"c\($0)\":\($0)" }
    let row = try encodeRow(table, "0", "{\(forward.joined(separator: ","))}")
    #expect(row == (try encodeRow(table, "0", "{\(forward.reversed().joined(separator: ","))}")))
    #expect(printRow(table, try pathKey(table, "0"), row) == "{\(forward.joined(separator: ","))}")
  }

  @Test func jsonMutationsOfARowNeverTrap() throws {
    let table = try makeTable(everything)
    var random = SeededRandom(seed: 13)
    let source = bytes(
      "{\"b\":false,\"must\":\"abc\",\"j\":[1,{\"a\":\"\\u00e9\"}],\"d\":\"1.5\",\"y\":\"AAAA\",\"m\":\"2025-01-01T00:00:00Z\",\"f\":1.5e3,\"i\":-12,"
        + "\"u\":\"123e4567-e89b-12d3-a456-426614174000\"}")
    for _ in 0..<2500 {
      var json = source
      for _ in 0...random.below(3) {
        json[Int(random.below(UInt64(json.count)))] = source[Int(random.below(UInt64(source.count)))]
      }
      if random.chance(1, outOf: 4) { json.removeLast(Int(random.below(UInt64(json.count)))) }
      if random.chance(1, outOf: 8) { json[Int(random.below(UInt64(json.count)))] = UInt8(random.below(256)) }
      do throws(Refusal) {
        let row = try encodeRow(table, "k,1", String(decoding: json, as: UTF8.self))
        #expect(row.withBytes { RowView($0, table).isValid() })
      } catch { #expect(!error.detail.isEmpty) }
    }
  }
}
