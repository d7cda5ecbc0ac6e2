import Testing

@testable import fscluster

@Suite struct CSVTests {
  private func parse(_ text: String) throws -> [String] {
    try CSV.parse(Array(text.utf8)).map { ($0.isQuoted ? "q:" : "") + ($0.text ?? "?") }
  }

  @Test func fieldsArePlainOrQuoted() throws {
    #expect(try parse("a,b,c") == ["a", "b", "c"])
    #expect(try parse("\"a,b\",\"say \"\"hi\"\"\",") == ["q:a,b", "q:say \"hi\"", ""])
    #expect(try parse("") == [""])
    #expect(try parse(",") == ["", ""])
    #expect(try parse("\"\"") == ["q:"])
  }

  @Test func misplacedQuotesAreNamed() {
    #expect(throws: CSV.Fault.strayQuote(field: 2)) { try CSV.parse(Array("a,b\"c".utf8)) }
    #expect(throws: CSV.Fault.strayQuote(field: 1)) { try CSV.parse(Array("\"a\"b".utf8)) }
    #expect(throws: CSV.Fault.endsInQuotes(field: 2)) { try CSV.parse(Array("a,\"b".utf8)) }
  }

  @Test(arguments: ["plain", "", "a,b", "say \"hi\"", "two\nlines", " spaces "])
  func whatIsWrittenIsReadBack(text: String) throws {
    var out: [UInt8] = []
    CSV.append(text, to: &out)
    #expect(try CSV.parse(out).map(\.text) == [text])
  }

  @Test func nullIsAnEmptyFieldWithoutQuotes() {
    var out: [UInt8] = []
    CSV.append(nil, to: &out)
    #expect(out.isEmpty)
    CSV.append("", to: &out)
    #expect(out == Array("\"\"".utf8))
  }
}
