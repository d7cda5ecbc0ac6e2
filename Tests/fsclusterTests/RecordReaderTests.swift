import Foundation
import Testing

@testable import fscluster

/// A file for one test.
func withFile<T>(_ bytes: [UInt8], _ body: (String) throws -> T) throws -> T {
  let path = NSTemporaryDirectory() + "fscluster-test-" + UUID().uuidString
  try Data(bytes).write(to: URL(fileURLWithPath: path))
  defer { unlink(path) }
  return try body(path)
}

func records(_ text: String, _ format: RecordReader.Format) throws -> [SourceRecord] {
  try withFile(Array(text.utf8)) { path in
    let descriptor = open(path, O_RDONLY)
    defer { close(descriptor) }
    var reader = RecordReader(descriptor: descriptor, format: format)
    var all: [SourceRecord] = []
    while let record = try reader.next() { all.append(record) }
    return all
  }
}

@Suite struct RecordReaderTests {
  private func texts(_ records: [SourceRecord]) -> [String] {
    records.map { String(decoding: $0.bytes, as: UTF8.self) }
  }

  @Test func linesHaveNumbersAndOffsets() throws {
    let all = try records("{\"a\":1}\n{\"a\":2}\r\n\n{\"a\":3}", .ndjson)
    #expect(texts(all) == ["{\"a\":1}", "{\"a\":2}", "{\"a\":3}"])
    #expect(all.map(\.line) == [1, 2, 4])
    #expect(all.map(\.end) == [8, 17, 25])
  }

  @Test func quotedLineEndsBelongToTheRecord() throws {
    let all = try records("a,b\n1,\"x\ny\"\n2,z\n", .csv)
    #expect(texts(all) == ["a,b", "1,\"x\ny\"", "2,z"])
    #expect(all.map(\.line) == [1, 2, 4])
  }

  @Test func aQuoteThatIsNeverClosedCostsOneLine() throws {
    let all = try records("a\n\"open\nb\nc\n", .csv)
    #expect(texts(all) == ["a", "\"open", "b", "c"])
    #expect(all.map(\.line) == [1, 2, 3, 4])
  }

  @Test func aQuoteMeansNothingBetweenLinesOfJSON() throws {
    #expect(try records("\"a\n\"b\n", .ndjson).count == 2)
  }

  @Test func aLineOverTheLimitIsCutAndTheNextIsRead() throws {
    let long = String(repeating: "x", count: RecordReader.recordBytesMax * 2)
    let all = try records("first\n\(long)\nlast\n", .ndjson)
    #expect(all.map(\.isTooLong) == [false, true, false])
    #expect(all.map(\.line) == [1, 2, 3])
    #expect(texts([all[2]]) == ["last"])
  }

  @Test func readingGoesOnFromAPlace() throws {
    try withFile(Array("one\ntwo\nthree\n".utf8)) { path in
      let descriptor = open(path, O_RDONLY)
      defer { close(descriptor) }
      lseek(descriptor, 4, SEEK_SET)
      var reader = RecordReader(descriptor: descriptor, format: .ndjson, offset: 4, line: 2)
      let record = try reader.next()
      #expect(record == SourceRecord(line: 2, end: 8, bytes: Array("two".utf8)))
    }
  }
}
