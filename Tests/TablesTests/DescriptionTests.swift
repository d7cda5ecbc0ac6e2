import Primitives
import Testing

@testable import Tables

@Suite struct DescriptionTests {
  @Test func descriptionsArePrintedAsTheyAreRead() throws {
    let json = """
      {"name":"packages","columns":[{"name":"name","type":"text"},{"name":"size","type":"int64","nullable":true,\
      "default":0},{"name":"extra","type":"json","nullable":true,"default":{"a":[1]}}],"primary_key":["name"],\
      "partition":"range","shards":1,"replicas":3}
      """
    let description = try TableDescription.parse(bytes(json))
    var out: [UInt8] = []
    description.appendJSON(to: &out)
    #expect(text(out) == json)
    let least = try TableDescription.parse(
      bytes("{\"primary_key\":[\"a\"],\"columns\":[{\"type\":\"uuid\",\"name\":\"a\"}],\"name\":\"t\"}"))
    #expect(least.shards == 1)
    #expect(least.replicas == 3)
  }

  @Test func descriptionsHaveTheirGoldenBytes() throws {
    let table = try makeTable(simple)
    #expect(
      hex(table.description.encoded())
        == "01" + "64000000" + "06" + hex(bytes("simple")) + "01000000" + "0400" + "00" + "01000000" + "03000000" + "03"
        + "0100" + "016b" + "05" + "00" + "0200" + "0176" + "05" + "00" + "0300" + "016e" + "02" + "01" + "01" + "0100")
  }

  @Test func everyTruncationOfADescriptionIsRefused() throws {
    let description = try makeTable(everything).description
    let encoded = description.encoded()
    func read(_ bytes: [UInt8]) throws(DecodeError) -> TableDescription {
      try decode(bytes) { (reader) throws(DecodeError) in try TableDescription(from: &reader) }
    }
    #expect(try read(encoded) == description)
    for end in encoded.indices { #expect(throws: DecodeError.self) { try read(Array(encoded[..<end])) } }
    var random = SeededRandom(seed: 1)
    for _ in 0..<1000 {
      var other = encoded
      other[Int(random.below(UInt64(other.count)))] = UInt8(random.below(256))
      do throws(DecodeError) { _ = Table(try read(other)) } catch {}
    }
  }

  @Test func wrongDescriptionsAreRefused() {
    func check(_ json: String, _ code: Refusal.Code, column: String? = nil, limit: Int? = nil) {
      let error = refusal { () throws(Refusal) in _ = try TableDescription.parse(bytes(json)) }
      #expect(error?.code == code, "\(json)")
      #expect(error?.column == column, "\(json)")
      #expect(error?.limit == limit, "\(json)")
      #expect(error?.detail.isEmpty == false)
    }
    func table(_ columns: String, key: String = "[\"a\"]", rest: String = "", name: String = "t") -> String {
      "{\"name\":\"\(name)\",\"columns\":[\(columns)],\"primary_key\":\(key)\(rest)}"
    }
    let a = "{\"name\":\"a\",\"type\":\"text\"}"
    check("{", .invalidJSON)
    check("[]", .invalidArgument)
    check("{}", .invalidArgument)
    check("{\"name\":\"t\",\"columns\":[\(a)]}", .invalidArgument)
    check("{\"name\":\"t\",\"primary_key\":[\"a\"]}", .invalidArgument)
    for name in ["", "A", "1a", "a-b", "ä", "fs_x", String(repeating: "a", count: 64)] {
      check(table(a, name: name), .invalidArgument)
    }
    check(table(""), .invalidArgument)
    check(table("1"), .invalidArgument)
    check(table("{\"name\":\"a\"}"), .invalidArgument, column: "a")
    check(table("{\"type\":\"text\"}"), .invalidArgument)
    check(table("{\"name\":\"fs_a\",\"type\":\"text\"}"), .invalidArgument)
    check(table("{\"name\":\"a\",\"type\":\"string\"}"), .invalidArgument, column: "a")
    check(table("{\"name\":\"a\",\"type\":\"text\",\"unique\":true}"), .invalidArgument, column: "a")
    check(table("{\"name\":\"a\",\"type\":\"text\",\"nullable\":1}"), .invalidArgument, column: "a")
    check(table("\(a),\(a)"), .invalidArgument, column: "a")
    check(table("{\"name\":\"a\",\"type\":\"json\"}"), .invalidArgument, column: "a")
    check(table("{\"name\":\"a\",\"type\":\"float64\"}"), .invalidArgument, column: "a")
    check(table("{\"name\":\"a\",\"type\":\"text\",\"nullable\":true}"), .invalidArgument, column: "a")
    check(table(a, key: "[]"), .invalidArgument)
    check(table(a, key: "\"a\""), .invalidArgument)
    check(table(a, key: "[\"a\",\"a\"]"), .invalidArgument, column: "a")
    check(table(a, key: "[\"b\"]"), .unknownColumn, column: "b")
    check(table("\(a),{\"name\":\"b\",\"type\":\"int64\",\"default\":1}"), .invalidArgument, column: "b")
    check(
      table("\(a),{\"name\":\"b\",\"type\":\"int64\",\"nullable\":true,\"default\":\"1\"}"), .typeMismatch, column: "b")
    check(
      table("\(a),{\"name\":\"b\",\"type\":\"timestamp\",\"nullable\":true,\"default\":\"now\"}"), .typeMismatch,
      column: "b")
    check(table(a, rest: ",\"partition\":\"hash\""), .notSupported)
    check(table(a, rest: ",\"partition\":\"x\""), .invalidArgument)
    check(table(a, rest: ",\"shards\":2"), .notSupported)
    check(table(a, rest: ",\"shards\":0"), .invalidArgument)
    check(table(a, rest: ",\"shards\":\"1\""), .invalidArgument)
    check(table(a, rest: ",\"replicas\":5"), .notSupported)
    check(table(a, rest: ",\"replicas\":1.5"), .invalidArgument)
    check(table(a, rest: ",\"ttl\":5"), .invalidArgument)
    let many = (0...1000).map { "{\"name\":\"c\($0)\",\"type\":\"text\"}" }.joined(separator: ",")
    check(table(many, key: "[\"c0\"]"), .tooLarge, limit: 1000)
    let big = String(repeating: "x", count: TableLimits.descriptionBytesMax)
    check(
      table("\(a),{\"name\":\"b\",\"type\":\"text\",\"nullable\":true,\"default\":\"\(big)\"}"), .tooLarge,
      limit: TableLimits.descriptionBytesMax)
    // One byte in the definition, six in the JSON.
    let escaped = String(repeating: "\\u0001", count: TableLimits.descriptionJSONBytesMax / 6)
    check(
      table("\(a),{\"name\":\"b\",\"type\":\"text\",\"nullable\":true,\"default\":\"\(escaped)\"}"), .tooLarge,
      limit: TableLimits.descriptionJSONBytesMax)
  }

  @Test func systemTablesHaveTheirFixedDescriptions() {
    #expect(SystemTables.all.map(\.id.rawValue) == [1, 2, 3, 4])
    #expect(SystemTables.all.map(\.name) == ["fs_tables", "fs_settings", "fs_dropped", "fs_revoked"])
    let all = SystemTables.all.flatMap { $0.description.encoded() }
    #expect(all.withUnsafeBytes { stableHash($0) } == systemTablesHash)
  }
}

private let systemTablesHash: UInt64 = 17_319_479_931_724_036_325
