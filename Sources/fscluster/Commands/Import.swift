import ArgumentParser
import FileStoreClient
import Foundation
import Tables

/// `fscluster import TABLE FILE|-`: rows of a file into a table.
struct Import: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Import the rows of a CSV or NDJSON file into a table.",
    discussion: """
      Existing rows of the same keys are replaced. A line that is no row of the table is named with its reason and left \
      out; the rest is imported and the exit code is 1. An interrupted import is continued by --resume: how far it came \
      stands in FILE.fsimport.
      """)

  @Argument(help: "The table.") var table: String
  @Argument(help: "The file; - reads standard input.") var file: String
  @Option(help: "csv or ndjson; otherwise the file's name tells (.csv), or it is ndjson.")
  var format: RecordReader.Format?
  @Flag(help: "Create the table if it does not exist, from --schema or from the first rows.") var create = false
  @Option(help: ArgumentHelp("With --create: key columns, separated by commas.", valueName: "columns")) var key: String?
  @Option(help: ArgumentHelp("With --create: a file with the table's description.", valueName: "file"))
  var schema: String?
  @Option(help: ArgumentHelp("Requests in flight.", valueName: "number")) var writers = 16
  @Option(help: ArgumentHelp("Rows in a request; all or none of them are written.", valueName: "number"))
  var batch = 1
  @Flag(help: "Continue an interrupted import of the same file.") var resume = false
  @Option(help: ArgumentHelp("Write lines that were left out to this file.", valueName: "file")) var rejects: String?
  @Option(help: ArgumentHelp("Write each acknowledged key with its line to this file.", valueName: "file"))
  var acked: String?
  @Flag(help: "Print the result as JSON.") var json = false
  @OptionGroup var connection: PlaceOptions

  func validate() throws {
    guard (1...256).contains(writers) else { throw ValidationError("--writers is between 1 and 256.") }
    guard (1...1000).contains(batch) else { throw ValidationError("--batch is between 1 and 1000.") }
    if resume, file == "-" { throw ValidationError("--resume needs a file; standard input cannot be read again.") }
    if create, key == nil, schema == nil { throw ValidationError("--create needs --key COLUMNS or --schema FILE.") }
    if !create, key != nil || schema != nil { throw ValidationError("--key and --schema belong to --create.") }
    if key != nil, schema != nil { throw ValidationError("--schema names the key; leave --key out.") }
  }

  func run() throws(CommandError) {
    try TableShape.checkName(table)
    let cluster = try Cluster(connection.clientConfiguration())
    var source = try ImportSource(path: file, format: format)
    let earlier = try resume ? source.earlierState(table: table) : nil
    if let earlier, earlier.complete { return try finish(ImportSummary(complete: earlier)) }
    let description = try describe(cluster, &source)
    let header = try source.readHeader()
    let parser = try RowParser(table: description, header: header?.names)
    if let earlier { try source.seek(to: earlier.place) }

    var summary = ImportSummary(table: table)
    summary.acknowledgedBefore = earlier?.acknowledged ?? 0
    summary.rejected = earlier?.rejected ?? 0
    let outputs = try ImportOutputs(
      rejects: rejects, acked: acked, header: header?.bytes, statePath: source.statePath,
      state: source.initialState(table: table), append: earlier != nil)
    let settings = ImportSettings(table: table, writers: writers, batch: batch, fileBytes: source.size)
    let importer = Importer(
      client: cluster.client, settings: settings, parser: parser, reader: source.reader, start: source.place,
      outputs: outputs, summary: summary)
    do throws(CommandError) { try importer.run() } catch { throw interrupted(error, importer.summary, source) }
    try finish(importer.summary)
  }

  private func interrupted(_ error: CommandError, _ summary: ImportSummary, _ source: ImportSource) -> CommandError {
    var error = error
    error.message = "after \(Humane.count(summary.acknowledged, "row")): \(error.message)"
    if source.statePath != nil {
      let advice = "What is acknowledged is kept; continue with --resume."
      error.next = error.next.map { "\($0) \(advice)" } ?? advice
    }
    return error
  }

  /// The table's description; with `--create` it is made first.
  private func describe(_ cluster: Cluster, _ source: inout ImportSource) throws(CommandError) -> TableShape {
    let path = "/v1/tables/\(table)"
    if create { try createTable(cluster, &source) }
    let response = try cluster.answer(ClientRequest(.get, path))
    if let problem = response.problem {
      guard problem.code == "table-not-found" else { throw Cluster.error(problem) }
      throw .usage("there is no table `\(table)`", next: "Add --create --key COLUMN to make it from the first rows.")
    }
    return try TableShape.parse(response.body, source: "the answer to GET \(path)")
  }

  private func createTable(_ cluster: Cluster, _ source: inout ImportSource) throws(CommandError) {
    if try cluster.answer(ClientRequest(.get, "/v1/tables/\(table)")).isSuccess { return }
    let body: [UInt8]
    if let schema {
      guard let bytes = FileManager.default.contents(atPath: schema) else { throw .usage("\(schema) cannot be read") }
      guard try TableShape.parse(Array(bytes), source: schema).name == table else {
        throw .usage("\(schema) describes another table than `\(table)`", next: "Change its name or the command's.")
      }
      body = Array(bytes)
    } else {
      let names = (key ?? "").split(separator: ",").map(String.init)
      body = Array(Console.json(try source.inferDescription(table: table, key: names)).utf8)
    }
    var request = ClientRequest(.post, "/v1/tables", body: body, mayRepeat: true)
    request.headers = [Header("content-type", "application/json")]
    if let problem = try cluster.answer(request).problem, problem.code != "table-exists" {
      throw Cluster.error(problem)
    }
  }

  private func finish(_ summary: ImportSummary) throws(CommandError) {
    if json {
      Console.out(Console.json(summary))
    } else {
      Console.out(summary.line)
    }
    guard summary.rejected > 0 else { return }
    let place = rejects.map { "They stand in \($0): correct them there and import that file." }
    throw .failed(
      "\(Humane.count(summary.rejected, "line")) left out",
      next: place ?? "Correct them and import the file again; --rejects FILE collects them.")
  }
}

extension RecordReader.Format: ExpressibleByArgument {}

extension ImportSummary {
  init(table: String) {
    self.init(table: table, acknowledged: 0)
  }

  /// Of an import that an earlier run finished.
  init(complete state: ImportState) {
    self.init(table: state.table, rejected: state.rejected, acknowledgedBefore: state.acknowledged)
  }

  var line: String {
    let rate = seconds > 0 ? Int(Double(acknowledged) / seconds) : 0
    var text = "\(table): \(Humane.count(acknowledged, "row")) acknowledged in \(Humane.seconds(seconds))"
    text += " (\(Humane.count(rate)) rows/s)"
    if acknowledgedBefore > 0 { text += ", \(Humane.count(acknowledgedBefore)) before" }
    if rejected > 0 { text += ", \(Humane.count(rejected, "line")) left out" }
    return text
  }
}
