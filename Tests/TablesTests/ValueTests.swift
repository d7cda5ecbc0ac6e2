import Primitives
import Testing

@testable import Tables

@Suite struct ValueTests {
  private func written(_ type: ColumnType, _ text: String) -> String? {
    var cell: [UInt8] = []
    do throws(Mismatch) {
      try bytes(text).withBytes { (raw) throws(Mismatch) in
        try appendCell(type, written: raw, base64: .standard, to: &cell)
      }
    } catch { return nil }
    var out: [UInt8] = []
    cell.withBytes { appendWritten(type, cell: $0, base64: .standard, to: &out) }
    return String(decoding: out, as: UTF8.self)
  }

  @Test func decimalsAreNormalised() {
    let forms = [
      ("1.50", "1.5"), ("+1.5", "1.5"), ("15e-1", "1.5"), ("-0", "0"), ("0.000", "0"), ("000120", "120"),
      (".5", "0.5"), ("5.", "5"), ("1e3", "1000"), ("-12.3400e2", "-1234"), ("1E-38", "0." + zeros(37) + "1"),
      ("1e37", "1" + zeros(37)), (nines(38), nines(38)), ("0." + nines(38), "0." + nines(38)),
      ("1" + zeros(60) + "e-60", "1"), ("0." + zeros(60) + "1e61", "1"), ("0e999999999", "0"),
    ]
    for (text, expected) in forms { #expect(written(.decimal, text) == expected, "\(text)") }
  }

  @Test func decimalsOverTheirLimitsAreRefused() {
    for text in [
      "", "-", ".", "e5", "1e", "1e+", "1x", " 1", "1 ", "0x1", "NaN", "1e38", nines(39), "1e-39", "1e999999999999",
      "0." + zeros(38) + "1", "1." + nines(38), "--1",
    ] {
      #expect(written(.decimal, text) == nil, "\(text)")
    }
  }

  @Test func timestampsAreReadInAnyZoneAndWrittenInUTC() {
    let forms = [
      ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
      ("2024-02-29T23:59:59.9z", "2024-02-29T23:59:59.900000Z"),
      ("2025-01-01t00:30:00+01:00", "2024-12-31T23:30:00.000000Z"),
      ("2025-01-01T00:30:00.000001-00:30", "2025-01-01T01:00:00.000001Z"),
      ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
      ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
      ("1969-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"),
      ("1900-03-01T00:00:00Z", "1900-03-01T00:00:00.000000Z"),
    ]
    for (text, expected) in forms { #expect(written(.timestamp, text) == expected, "\(text)") }
  }

  @Test func impossibleTimestampsAreRefused() {
    for text in [
      "", "2025-01-01", "2025-01-01T00:00:00", "2025-01-01 00:00:00Z", "2025-13-01T00:00:00Z", "2025-02-29T00:00:00Z",
      "1900-02-29T00:00:00Z", "2025-01-01T24:00:00Z", "2025-01-01T00:60:00Z", "2025-01-01T00:00:60Z",
      "2025-01-01T00:00:00.Z", "2025-01-01T00:00:00.1234567Z", "2025-01-01T00:00:00+24:00", "2025-01-01T00:00:00Zx",
      "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "+025-01-01T00:00:00Z", "2025-00-01T00:00:00Z",
      "2025-01-00T00:00:00Z",
    ] {
      #expect(written(.timestamp, text) == nil, "\(text)")
    }
  }

  @Test func datesAndDaysAreInverse() {
    for days in stride(from: Int64(-719_528), through: 2_932_896, by: 97) {
      let date = Moment.date(days: days)
      #expect(Moment.days(year: date.year, month: date.month, day: date.day) == days)
    }
  }

  @Test func uuidsAreReadInAnyCaseAndWrittenInLower() {
    #expect(
      written(.uuid, "123E4567-E89B-12d3-A456-426614174000") == "123e4567-e89b-12d3-a456-426614174000")
    for text in [
      "", "123e4567e89b12d3a456426614174000", "123e4567-e89b-12d3-a456-42661417400g",
      "{123e4567-e89b-12d3-a456-426614174000}",
    ] {
      #expect(written(.uuid, text) == nil)
    }
  }

  @Test func base64IsReadAsItIsWritten() {
    for text in ["", "AA==", "AAA=", "AAAA", "+/8=", "Zm9vYmFy"] { #expect(written(.bytes, text) == text) }
    for text in ["A", "AA", "AB==", "AA=", "AA===", "====", "AAB=", "-_8=", "AA==AA==", "A A=", "=AAA"] {
      #expect(written(.bytes, text) == nil, "\(text)")
    }
    var random = SeededRandom(seed: 1)
    for count in 0..<100 {
      let value = (0..<count).map { _ in UInt8(random.below(256)) }
      for alphabet in [Base64Alphabet.standard, .url] {
        var text: [UInt8] = []
        value.withBytes { appendBase64($0, alphabet, to: &text) }
        var back: [UInt8] = []
        text.withBytes { raw in do throws(Mismatch) { try appendDecodedBase64(raw, alphabet, to: &back) } catch {} }
        #expect(back == value)
      }
    }
  }

  @Test func everyValueSurvivesJSONAndItsCell() throws {
    var random = SeededRandom(seed: 2)
    for type in ColumnType.allCases {
      for _ in 0..<300 {
        let value = randomValue(type, &random)
        if value == .json(bytes("null")) { continue }
        var json: [UInt8] = []
        value.appendJSON(to: &json)
        #expect(try json.withBytes { (raw) throws(CellFault) in try Value(type, json: raw) } == value)
        var cell: [UInt8] = []
        value.appendCell(to: &cell)
        #expect(cell.withBytes { isValidCell(type, $0) })
        #expect(cell.withBytes { Value(type, cell: $0) } == value)
      }
    }
  }

  private func zeros(_ count: Int) -> String { String(repeating: "0", count: count) }
  private func nines(_ count: Int) -> String { String(repeating: "9", count: count) }
}
