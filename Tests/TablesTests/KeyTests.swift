import Primitives
import Testing

@testable import Tables

@Suite struct KeyTests {
  private func table(_ types: [String]) throws -> Table {
    let columns = types.enumerated().map { "{\"name\":\"k\($0)\",\"type\":\"\($1)\"}" }.joined(separator: ",")
    let names = types.indices.map { "\"k\($0)\"" }.joined(separator: ",")
    return try makeTable("{\"name\":\"t\",\"columns\":[\(columns)],\"primary_key\":[\(names)]}")
  }

  @Test func keysHaveTheirGoldenBytes() throws {
    #expect(hex(try pathKey(table(["bool"]), "true")) == "01")
    #expect(hex(try pathKey(table(["int64"]), "-1")) == "7fffffffffffffff")
    #expect(hex(try pathKey(table(["int64"]), "258")) == "8000000000000102")
    #expect(hex(try pathKey(table(["text"]), "a%00b")) == "6100ff620001")
    #expect(hex(try pathKey(table(["text"]), "")) == "0001")
    #expect(hex(try pathKey(table(["bytes"]), "AP8")) == "00ffff0001")
    #expect(hex(try pathKey(table(["decimal"]), "12.5")) == "03421964")
    #expect(hex(try pathKey(table(["decimal"]), "-12.5")) == "01bde69b")
    #expect(hex(try pathKey(table(["decimal"]), "0.00")) == "02")
    #expect(hex(try pathKey(table(["timestamp"]), "1970-01-01T00:00:00.000001Z")) == "8000000000000001")
    #expect(
      hex(try pathKey(table(["uuid"]), "123e4567-e89b-12d3-a456-426614174000")) == "123e4567e89b12d3a456426614174000")
    #expect(hex(try pathKey(table(["text", "int64"]), "a,1")) == "610001" + "8000000000000001")
  }

  @Test func aPlusStandsForItself() throws {
    let table = try table(["text"])
    #expect(try pathKey(table, "g++") == pathKey(table, "g%2B%2B"))
    #expect(try pathKey(table, "g++") == jsonKey(table, "\"g++\""))
  }

  @Test func pathsAreWrittenAsTheyAreRead() throws {
    let table = try table(["text", "bytes", "decimal", "timestamp"])
    let key = table.key([
      .string("a,b/ü+%"), .bytes([0xFB, 0xFF, 0]), try .decimal(#require(Decimal("-0.5"))),
      .timestamp(Moment(microseconds: 1)),
    ])
    var path: [UInt8] = []
    key.withBytes { table.appendPath(key: $0, to: &path) }
    #expect(text(path) == "a%2Cb%2F%C3%BC+%25,-_8A,-0.5,1970-01-01T00:00:00.000001Z")
    #expect(try pathKey(table, text(path)) == key)
  }

  @Test(arguments: ["bool", "int64", "decimal", "text", "bytes", "timestamp", "uuid"])
  func byteOrderIsValueOrder(_ type: String) throws {
    let table = try table([type])
    var random = SeededRandom(seed: 7)
    let columnType = try #require(ColumnType(name: type))
    var values: [Value] = []
    for _ in 0..<100 { values.append(randomValue(columnType, &random)) }
    let keys = values.map { table.key([$0]) }
    for i in values.indices {
      #expect(table.values(key: keys[i]) == [values[i]])
      for j in 0..<i {
        let byBytes = keys[i].withBytes { a in keys[j].withBytes { a.order($0).signum() } }
        if byBytes != order(values[i], values[j]) { Issue.record("\(values[i]) and \(values[j])") }
      }
    }
  }

  @Test func compositeKeysSortByTheirComponentsInTurn() throws {
    let table = try table(["text", "decimal", "bytes"])
    var random = SeededRandom(seed: 8)
    let rows = (0..<80).map { _ in
      [randomValue(.text, &random), randomValue(.decimal, &random), randomValue(.bytes, &random)]
    }
    let keys = rows.map { table.key($0) }
    for i in rows.indices {
      for j in 0..<i {
        let expected = zip(rows[i], rows[j]).lazy.map { order($0, $1) }.first { $0 != 0 } ?? 0
        let byBytes = keys[i].withBytes { a in keys[j].withBytes { a.order($0).signum() } }
        if byBytes != expected { Issue.record("\(rows[i]) and \(rows[j])") }
      }
      var path: [UInt8] = []
      var json: [UInt8] = []
      keys[i].withBytes {
        table.appendPath(key: $0, to: &path)
        table.appendJSON(key: $0, to: &json)
      }
      #expect(try pathKey(table, text(path)) == keys[i])
      #expect(try jsonKey(table, text(json)) == keys[i])
    }
  }

  @Test func everyTruncationAndMutationOfAKeyIsFoundOrIsAnotherKey() throws {
    let table = try table(["text", "decimal", "int64", "bool"])
    var random = SeededRandom(seed: 9)
    for _ in 0..<500 {
      var key = table.key([
        randomValue(.text, &random), randomValue(.decimal, &random), randomValue(.int64, &random),
        randomValue(.bool, &random),
      ])
      for end in key.indices { #expect(key[..<end].withUnsafeBytes { !table.isValidKey($0) }) }
      key[Int(random.below(UInt64(key.count)))] = UInt8(random.below(256))
      guard key.withBytes({ table.isValidKey($0) }) else { continue }
      #expect(table.key(key.withBytes { table.values(key: $0) }) == key)
    }
  }

  @Test func wrongKeysAreRefused() throws {
    let pair = try table(["text", "int64"])
    for path in ["a", "a,1,2", "a,x", "a,1.0", "%zz,1", "%f,1", "%ff,1", "a,9223372036854775808"] {
      #expect(refusal { () throws(Refusal) in _ = try pathKey(pair, path) }?.code == .invalidKey, "\(path)")
    }
    for json in ["[\"a\"]", "[\"a\",1,2]", "\"a\"", "[\"a\",\"1\"]", "[null,1]", "{}"] {
      #expect(refusal { () throws(Refusal) in _ = try jsonKey(pair, json) }?.code == .invalidKey, "\(json)")
    }
    #expect(refusal { () throws(Refusal) in _ = try jsonKey(pair, "[\"a\",1") }?.code == .invalidKey)
    #expect(refusal { () throws(Refusal) in _ = try jsonKey(pair, "[\"a") }?.code == .invalidJSON)
    let uuid = try table(["uuid"])
    #expect(refusal { () throws(Refusal) in _ = try pathKey(uuid, "123e4567") }?.code == .invalidKey)
    let blob = try table(["bytes"])
    #expect(refusal { () throws(Refusal) in _ = try pathKey(blob, "a") }?.code == .invalidKey)
    let flag = try table(["bool"])
    #expect(refusal { () throws(Refusal) in _ = try pathKey(flag, "1") }?.code == .invalidKey)
  }

  @Test func aKeyOverItsLimitIsTooLarge() throws {
    let table = try table(["text"])
    #expect(try pathKey(table, String(repeating: "a", count: 4094)).count == 4096)
    let error = refusal { () throws(Refusal) in _ = try pathKey(table, String(repeating: "a", count: 4095)) }
    #expect(error?.code == .tooLarge)
    #expect(error?.limit == 4096)
  }
}

/// Values that are likely to collide, to be prefixes of each other, or to be extreme.
func randomValue(_ type: ColumnType, _ random: inout SeededRandom) -> Value {
  switch type {
  case .bool: return .bool(random.chance(1, outOf: 2))
  case .int64:
    return .int64([Int64.min, -1, 0, 1, .max, Int64(bitPattern: random.next())][Int(random.below(6))])
  case .float64:
    let value = Double(bitPattern: random.next())
    return .float64(value.isFinite ? value : 0.5)
  case .decimal: return .decimal(randomDecimal(&random))
  case .text:
    let letters = ["\0", "\u{1}", "a", "b", "ÿ", "\u{FFFF}", "😀", "\""]
    return .string((0..<random.below(4)).map { _ in letters[Int(random.below(8))] }.joined())
  case .bytes: return .bytes((0..<random.below(4)).map { _ in [0, 1, 2, 254, 255][Int(random.below(5))] })
  case .timestamp:
    let span = UInt64(Moment.latest.microseconds - Moment.earliest.microseconds)
    return .timestamp(Moment(microseconds: Moment.earliest.microseconds + Int64(random.below(span))))
  case .uuid: return .uuid((0..<16).map { _ in UInt8(random.below(256)) })
  case .json: return .json(randomJSON(&random, depth: 0).bytes)
  }
}

func randomDecimal(_ random: inout SeededRandom) -> Decimal {
  while true {
    let digits = (0...random.below(random.chance(1, outOf: 4) ? 38 : 3)).map { _ in
      String([0, 0, 1, 9, 5][Int(random.below(5))])
    }
    let sign = random.chance(1, outOf: 2) ? "-" : ""
    let exponent = Int(random.below(random.chance(1, outOf: 4) ? 70 : 6)) - (random.chance(1, outOf: 2) ? 35 : 3)
    if let value = Decimal(sign + digits.joined() + "e\(exponent)") { return value }
  }
}

/// -1, 0, 1: the plain order of values.
func order(_ a: Value, _ b: Value) -> Int {
  func compare<T: Comparable>(_ a: T, _ b: T) -> Int { a < b ? -1 : a == b ? 0 : 1 }
  func compare(_ a: [UInt8], _ b: [UInt8]) -> Int {
    a == b ? 0 : a.lexicographicallyPrecedes(b) ? -1 : 1
  }
  switch (a, b) {
  case (.bool(let x), .bool(let y)): return compare(x ? 1 : 0, y ? 1 : 0)
  case (.int64(let x), .int64(let y)): return compare(x, y)
  case (.text(let x), .text(let y)), (.bytes(let x), .bytes(let y)), (.uuid(let x), .uuid(let y)):
    return compare(x, y)
  case (.timestamp(let x), .timestamp(let y)): return compare(x, y)
  case (.decimal(let x), .decimal(let y)): return compareDecimals(x, y)
  default: preconditionFailure("two values of one key type")
  }
}

/// By digits: aligned at the point, sign first. Slow and plain.
func compareDecimals(_ x: Decimal, _ y: Decimal) -> Int {
  func wide(_ value: Decimal) -> [Int8] {
    var digits = Array(String(value.coefficient.magnitude).utf8).map { Int8($0 - 48) }
    digits += Array(repeating: 0, count: 38 - Int(value.scale))
    return Array(repeating: 0, count: 80 - digits.count) + digits
  }
  let (a, b) = (wide(x), wide(y))
  let magnitude = a == b ? 0 : a.lexicographicallyPrecedes(b) ? -1 : 1
  switch (x.coefficient < 0, y.coefficient < 0) {
  case (true, true): return -magnitude
  case (false, false): return magnitude
  case (true, false): return -1
  case (false, true): return 1
  }
}
