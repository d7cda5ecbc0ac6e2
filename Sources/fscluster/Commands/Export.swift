import ArgumentParser
import FileStoreClient
import Foundation
import Tables

/// `fscluster export TABLE FILE|-`: all rows of a table into a file, in the order of their keys.
struct Export: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Export all rows of a table, in the order of their keys.",
    discussion: """
      The rows are read in pages. A page shows one moment, the whole does not: rows that change meanwhile may be those \
      of before or after.
      """)

  @Argument(help: "The table.") var table: String
  @Argument(help: "The file; - writes to standard output.") var file: String
  @Option(help: "csv or ndjson; otherwise the file's name tells (.csv), or it is ndjson.")
  var format: RecordReader.Format?
  @Option(help: ArgumentHelp("Rows in a page, at most 10000.", valueName: "number")) var page = 5000
  @Flag(help: "Print the result as JSON on standard error when rows go to standard output.") var json = false
  @OptionGroup var connection: ConnectionOptions

  func validate() throws {
    guard (1...10_000).contains(page) else { throw ValidationError("--page is between 1 and 10000.") }
  }

  private struct Summary: Codable {
    var table: String
    var rows: Int
    var seconds: Double
  }

  func run() throws(CommandError) {
    try TableShape.checkName(table)
    let cluster = try Cluster(connection.clientConfiguration())
    let path = "/v1/tables/\(table)"
    let description = try TableShape.parse(
      cluster.send(ClientRequest(.get, path)).body, source: "the answer to GET \(path)")
    let format = format ?? (file.lowercased().hasSuffix(".csv") ? .csv : .ndjson)
    let output = try ExportFile(file)
    var progress = Progress(title: "exporting \(table)", unit: "rows")
    if format == .csv { try output.write(CSV.headerLine(description)) }
    var rows = 0
    var cursor: String?
    repeat {
      let response = try cluster.send(pageRequest(cursor))
      if let fault = response.streamError { throw .failed("the scan broke off: \(fault)", next: "Try again.") }
      let lines = response.body.split(separator: 0x0A)
      try output.write(format == .csv ? CSV.lines(lines, description) : response.body)
      rows += lines.count
      cursor = response.cursor
      progress.update(count: rows, share: nil)
    } while cursor != nil
    progress.clear()
    try output.finish()
    tell(Summary(table: table, rows: rows, seconds: progress.elapsed))
  }

  private func pageRequest(_ cursor: String?) -> ClientRequest {
    var path: [UInt8] = Array("/v1/tables/\(table)/rows?limit=\(page)".utf8)
    if let cursor {
      path += Array("&cursor=".utf8)
      KeyPath.appendEncoded(cursor, to: &path)
    }
    var request = ClientRequest(.get, String(decoding: path, as: UTF8.self))
    request.headers = [Header("accept", "application/x-ndjson")]
    request.timeoutMilliseconds = 60_000
    return request
  }

  private func tell(_ summary: Summary) {
    let text =
      json
      ? Console.json(summary)
      : "\(table): \(Humane.count(summary.rows, "row")) exported in \(Humane.seconds(summary.seconds))"
    if file == "-" { Console.note(text) } else { Console.out(text) }
  }
}

/// The file that an export writes: complete or not there under its name.
struct ExportFile {
  private let path: String?
  private let temporary: String
  private let descriptor: Int32

  init(_ name: String) throws(CommandError) {
    path = name == "-" ? nil : name
    temporary = name + ".partial"
    descriptor = name == "-" ? 1 : open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw .usage("\(temporary) cannot be written: \(String(cString: strerror(errno)))") }
  }

  func write(_ bytes: [UInt8]) throws(CommandError) {
    if path == nil, Console.capture != nil { return Console.write(bytes, to: 1) }
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { buffer in
        buffer.baseAddress.map { Glibc.write(descriptor, $0 + done, buffer.count - done) } ?? 0
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw .failed("the output cannot be written: \(String(cString: strerror(errno)))") }
      done += count
    }
  }

  func finish() throws(CommandError) {
    guard let path else { return }
    guard fsync(descriptor) == 0, rename(temporary, path) == 0 else {
      throw .failed("\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
  }
}

extension CSV {
  static func headerLine(_ table: TableShape) -> [UInt8] {
    var out: [UInt8] = []
    for (position, column) in table.columns.enumerated() {
      if position > 0 { out.append(UInt8(ascii: ",")) }
      append(column.name, to: &out)
    }
    return out + [0x0A]
  }

  /// Rows that came as JSON objects, in the order of the table's columns.
  static func lines(_ rows: [ArraySlice<UInt8>], _ table: TableShape) throws(CommandError) -> [UInt8] {
    var out: [UInt8] = []
    for row in rows {
      guard case .object(let members)? = try? JSONValue.parse(Array(row)) else {
        throw .failed("the server sent a row that is no JSON object", next: "Is the server of another version?")
      }
      for (position, column) in table.columns.enumerated() {
        if position > 0 { out.append(UInt8(ascii: ",")) }
        append(members.first { $0.name == column.name }.flatMap { text($0.value) }, to: &out)
      }
      out.append(0x0A)
    }
    return out
  }

  private static func text(_ value: JSONValue) -> String? {
    switch value {
    case .null: nil
    case .string(let text): text
    default: String(decoding: value.bytes, as: UTF8.self)
    }
  }
}
