import Foundation
import Tables

/// The file that is imported: opened, looked into, and read from the right place.
struct ImportSource {
  /// Nil for standard input.
  let path: String?
  /// Bytes; nil for a pipe.
  let size: UInt64?
  private let format: RecordReader.Format
  private let descriptor: Int32
  private(set) var reader: RecordReader
  private(set) var place = PrefixTracker.Place(offset: 0, line: 1)

  init(path name: String, format: RecordReader.Format?) throws(CommandError) {
    let isPipe = name == "-"
    path = isPipe ? nil : name
    self.format = format ?? (name.lowercased().hasSuffix(".csv") ? .csv : .ndjson)
    descriptor = isPipe ? 0 : open(name, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw .usage("\(name) cannot be read: \(String(cString: strerror(errno)))") }
    var status = stat()
    let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    guard isFile || status.st_mode & S_IFMT != S_IFDIR else { throw .usage("\(name) is a directory") }
    size = isFile && !isPipe ? UInt64(status.st_size) : nil
    reader = RecordReader(descriptor: descriptor, format: self.format)
  }

  /// A regular file can be read again.
  var statePath: String? { size == nil ? nil : path.map(ImportState.path) }

  // MARK: interrupted imports

  func initialState(table: String) -> ImportState? {
    guard let size else { return nil }
    let count = Int(min(size, UInt64(ImportState.headBytesMax)))
    return ImportState(
      table: table, place: place, acknowledged: 0, rejected: 0, complete: false, head: hashHead(count), headBytes: count
    )
  }

  private func hashHead(_ count: Int) -> UInt64 {
    var head = [UInt8](repeating: 0, count: count)
    let got = head.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, $0.count, 0) }
    return ImportState.headHash(Array(head.prefix(max(got, 0))))
  }

  /// What an earlier import of this file recorded; nil: there is nothing to continue, the import begins at the start.
  func earlierState(table: String) throws(CommandError) -> ImportState? {
    guard let statePath, let size else { throw .usage("only a file can be continued with --resume") }
    guard let state = try ImportState.read(statePath) else { return nil }
    guard state.table == table else {
      throw .usage("\(statePath) belongs to an import into `\(state.table)`", next: "Remove it to begin anew.")
    }
    guard state.place.offset <= size, state.headBytes <= size, state.head == hashHead(state.headBytes) else {
      throw .usage("the file has changed since it was imported", next: "Remove \(statePath) to begin anew.")
    }
    return state
  }

  mutating func seek(to place: PrefixTracker.Place) throws(CommandError) {
    guard lseek(descriptor, off_t(place.offset), SEEK_SET) >= 0 else { throw .usage("the input cannot be read again") }
    self.place = place
    reader = RecordReader(descriptor: descriptor, format: format, offset: place.offset, line: place.line)
  }

  // MARK: the beginning of the file

  /// The names of the columns of a CSV file; nil for NDJSON. Afterwards the reader stands at the first row.
  mutating func readHeader() throws(CommandError) -> (names: [String], bytes: [UInt8])? {
    guard format == .csv else { return nil }
    guard let record = try reader.next() else { throw .usage("the file is empty", next: "CSV begins with a header.") }
    place = .init(offset: record.end, line: reader.line)
    return (try CSV.header(record), record.bytes)
  }

  /// Looks at the first rows; reading starts anew afterwards.
  mutating func inferDescription(table: String, key: [String]) throws(CommandError) -> TableShape {
    guard size != nil else {
      throw .usage("the columns of a pipe cannot be looked at first", next: "Describe the table with --schema FILE.")
    }
    var inference = ColumnInference()
    let header = try readHeader()
    for _ in 0..<ColumnInference.rowsMax {
      guard let record = try reader.next() else { break }
      if let header {
        if let fields = try? CSV.parse(record.bytes) { inference.add(header: header.names, fields: fields) }
      } else if case .object(let members)? = try? JSONValue.parse(record.bytes) {
        inference.add(members)
      }
    }
    try seek(to: .init(offset: 0, line: 1))
    return try inference.description(table: table, key: key)
  }
}

extension CSV {
  /// The first line of a file: names of columns, each once. A byte order mark is passed over.
  static func header(_ record: SourceRecord) throws(CommandError) -> [String] {
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    let bytes = record.bytes.starts(with: mark) ? Array(record.bytes.dropFirst(3)) : record.bytes
    let names: [String]
    do throws(Fault) {
      names = try parse(bytes).map { $0.text ?? "" }
    } catch { throw .usage("the header of the CSV file cannot be read: \(error.text)") }
    guard !names.contains(""), Set(names).count == names.count else {
      throw .usage("the CSV file's first line is no header", next: "It names each column once, separated by commas.")
    }
    return names
  }
}
