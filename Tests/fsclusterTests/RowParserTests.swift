import Testing

@testable import fscluster

@Suite struct RowParserTests {
  private let table = TableShape(
    name: "t",
    columns: [
      .init(name: "id", type: "int64"), .init(name: "name", type: "text"),
      .init(name: "size", type: "float64", nullable: true), .init(name: "ok", type: "bool", nullable: true),
      .init(name: "note", type: "text", nullable: true), .init(name: "raw", type: "bytes", nullable: true),
    ], primaryKey: ["id"])

  private func row(
    _ text: String, header: [String]? = nil, key: [String] = ["id"]
  ) throws -> (path: String, json: String, body: String) {
    var table = table
    table.primaryKey = key
    let parser = try RowParser(table: table, header: header)
    let row = try parser.parse(SourceRecord(line: 3, end: 9, bytes: Array(text.utf8)))
    func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    return (string(row.pathKey), string(row.jsonKey), string(row.body))
  }

  @Test func aLineOfJSONIsSentAsItIs() throws {
    let row = try row(#"{"id": 7, "name": "x" }"#)
    #expect(row == ("7", "7", #"{"id": 7, "name": "x" }"#))
  }

  @Test func keysAreEncodedForThePath() throws {
    let row = try row(#"{"id":7,"name":"g++ a/b,ü"}"#, key: ["name", "id"])
    #expect(row.path == "g%2B%2B%20a%2Fb%2C%C3%BC,7")
    #expect(row.json == #"["g++ a/b,ü",7]"#)
  }

  @Test func bytesInKeysAreBase64URL() throws {
    #expect(try row(#"{"raw":"+/8="}"#, key: ["raw"]).path == "-_8")
  }

  @Test(arguments: ["{", "[1]", "7", #"{"name":"x"}"#, #"{"id":null}"#, #"{"id":{}}"#, #"{"id":1,"id":2}"#])
  func otherLinesAreRefused(text: String) {
    #expect(throws: RowFault.self) { try row(text) }
  }

  @Test func fieldsBecomeValuesOfTheirColumns() throws {
    let row = try row("7,x,1.5,true,\"\"", header: ["id", "name", "size", "ok", "note"])
    #expect(row.body == #"{"id":7,"name":"x","size":1.5,"ok":true,"note":""}"#)
  }

  @Test func emptyFieldsAreLeftOutWhereNullIsAllowed() throws {
    let row = try row("7,,,,", header: ["id", "name", "size", "ok", "note"])
    #expect(row.body == #"{"id":7,"name":""}"#)
  }

  @Test(arguments: ["x,n,1,true", "7,n,abc,true", "7,n,1,maybe", "7,n,1", "7,n,1,true,5"])
  func fieldsOfTheWrongKindAreRefused(text: String) {
    #expect(throws: RowFault.self) { try row(text, header: ["id", "name", "size", "ok"]) }
  }

  @Test func aHeaderWithAnUnknownColumnIsRefused() {
    #expect(throws: CommandError.self) { try RowParser(table: table, header: ["id", "nonsense"]) }
  }
}
