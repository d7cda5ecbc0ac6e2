import CFuzzer
import Glibc

@testable import Tables
@testable import fscluster

extension FuzzTarget {
  /// Files for `fscluster import`: a line `csv` or `ndjson`, then the file.
  static let importedFile = FuzzTarget(
    "imported-file", memory: MemoryBound(base: 8 << 20, perInputByte: 512)
  ) { input in
    var input = input
    let format: RecordReader.Format = input.line() == utf8("csv") ? .csv : .ndjson
    let file = FileInMemory(input.rest())
    let records = file.records(format, offset: 0, line: 1)
    checkPlaces(records, file, format)
    checkRows(records, format)
  }

  /// Records stand in the file where they say, and an import that goes on behind one finds the others.
  private static func checkPlaces(_ records: [SourceRecord], _ file: FileInMemory, _ format: RecordReader.Format) {
    var last: UInt64 = 0
    for (number, record) in records.enumerated() {
      require(record.end > last && record.end <= UInt64(file.bytes.count), "records follow each other in the file")
      let end = Int(record.end)
      let stands = (0...2).contains { ending in
        let start = end - ending - record.bytes.count
        return start >= 0 && file.bytes[start..<end - ending].elementsEqual(record.bytes)
      }
      require(stands, "a record is what stands in the file, but for its line end")
      last = record.end
      guard number == records.count / 2 else { continue }
      let rest = file.records(format, offset: record.end, line: file.line(at: end))
      require(rest == Array(records[(number + 1)...]), "an import goes on where it was")
    }
  }

  private static let shape = TableShape(
    name: "t",
    columns: [
      .init(name: "k", type: "text"), .init(name: "n", type: "int64"), .init(name: "b", type: "bool", nullable: true),
      .init(name: "j", type: "json", nullable: true), .init(name: "y", type: "bytes", nullable: true),
    ], primaryKey: ["k", "n"])

  private static func checkRows(_ records: [SourceRecord], _ format: RecordReader.Format) {
    var header: [String]?
    var rows = records[...]
    if format == .csv {
      guard let first = rows.popFirst(), let names = try? CSV.parse(first.bytes) else { return }
      header = names.map { $0.text ?? "" }
    }
    do throws(CommandError) {
      let parser = try RowParser(table: shape, header: header)
      for record in rows { check(record, parser, format) }
    } catch { require(!error.message.isEmpty, "a refusal says what is wrong") }
  }

  private static func check(_ record: SourceRecord, _ parser: RowParser, _ format: RecordReader.Format) {
    if format == .csv { checkCSV(record.bytes) }
    do throws(RowFault) {
      let row = try parser.parse(record)
      checkJSON(row.body)
      checkJSON(row.jsonKey)
      require(!row.pathKey.contains { $0 <= 0x20 || $0 >= 0x7F }, "a path is printable")
    } catch { require(!error.text.isEmpty, "a refusal says what is wrong") }
  }

  /// Fields are read as they were written.
  private static func checkCSV(_ record: [UInt8]) {
    guard let fields = try? CSV.parse(record) else { return }
    let texts = fields.map { $0.bytes.isEmpty && !$0.isQuoted ? nil : $0.text }
    guard !fields.contains(where: { $0.text == nil }) else { return }
    var line: [UInt8] = []
    for (number, text) in texts.enumerated() {
      if number > 0 { line.append(44) }
      CSV.append(text, to: &line)
    }
    let again = (try? CSV.parse(line)) ?? []
    require(
      again.map { $0.bytes.isEmpty && !$0.isQuoted ? nil : $0.text } == texts, "fields are read as they were written")
  }
}

/// A file that a descriptor can be had of.
private final class FileInMemory {
  let bytes: [UInt8]
  private let descriptor: Int32

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    descriptor = memfd_create("import", 0)
    require(write(descriptor, bytes, bytes.count) == bytes.count, "a file in memory takes bytes")
  }

  deinit { close(descriptor) }

  func records(_ format: RecordReader.Format, offset: UInt64, line: Int) -> [SourceRecord] {
    lseek(descriptor, off_t(offset), SEEK_SET)
    var reader = RecordReader(descriptor: descriptor, format: format, offset: offset, line: line)
    var records: [SourceRecord] = []
    do throws(CommandError) {
      while let record = try reader.next() { records.append(record) }
    } catch { fatalError("a file in memory is read: \(error)") }
    return records
  }

  func line(at offset: Int) -> Int { 1 + bytes[..<offset].count { $0 == 10 } }
}
