import Testing

@testable import Tables

@Suite struct RefusalTests {
  @Test func everyCodeHasItsStatus() {
    let expected: [String: Int] = [
      "invalid-json": 400, "invalid-key": 400, "invalid-row": 400, "invalid-argument": 400, "unknown-column": 400,
      "type-mismatch": 400, "table-not-found": 404, "row-not-found": 404, "too-large": 413, "table-exists": 409,
      "condition-failed": 412, "forbidden": 403, "not-supported": 501, "conflict": 409, "internal": 500,
      "snapshot-too-old": 410,
    ]
    for code in Refusal.Code.allCases { #expect(expected[code.name] == code.status) }
    #expect(expected.count == Refusal.Code.allCases.count)
  }
}
