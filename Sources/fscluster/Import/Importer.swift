import FileStoreClient
import Foundation
import Tables

/// What an import came to.
struct ImportSummary: Codable, Equatable {
  var table: String
  /// Rows acknowledged by this run.
  var acknowledged = 0
  /// Lines that are no rows of this table.
  var rejected = 0
  /// Of earlier runs, with `--resume`.
  var acknowledgedBefore = 0
  var seconds = 0.0
  /// Between two acknowledgements: what a failover looks like from here.
  var longestPauseSeconds = 0.0
}

/// What an import needs of a client; tests put a server of their own in its place.
protocol ImportClient: AnyObject {
  func submit(_ request: ClientRequest, _ completion: @escaping (Result<ClientResponse, ClientError>) -> Void)
  func turn() throws(ClientError)
}

extension Client: ImportClient {}

/// Sends the rows of a file, up to `writers` requests at a time, and keeps account of what is acknowledged.
///
/// **How it works.** One thread: it reads records, parses them, submits requests; their completions come from the same
/// loop. A unit is one row (a PUT) or several (a batch). A row that the server refuses is rejected with its line; an error
/// that time may mend is retried by the client; anything else ends the import, which `--resume` continues.
///
/// **Invariants.** A row counts as acknowledged, and appears in the file of acknowledged rows, only after the server's
/// answer of success. Two rows of the same key are never in flight together: they take effect in the file's order.
final class Importer {
  private let client: any ImportClient
  private let settings: ImportSettings
  private let parser: RowParser
  private var reader: RecordReader
  private var tracker: PrefixTracker
  private var outputs: ImportOutputs
  private var progress: Progress

  private(set) var summary: ImportSummary
  private var inFlight = 0
  private var keysInFlight: Set<[UInt8]> = []
  /// Rows that come before what is still unread: the rest of a refused batch, or one whose key was in flight.
  private var waiting: [Numbered] = []
  /// Rows of a batch that was refused without saying which row is at fault: each goes by itself.
  private var alone: [Numbered] = []
  private var isAtEnd = false
  private var failure: CommandError?
  /// When the last acknowledgement came; at first, when the first request was sent.
  private var heardAt: Double?

  private struct Numbered {
    var number: Int
    var row: ImportRow
  }

  init(
    client: any ImportClient, settings: ImportSettings, parser: RowParser, reader: RecordReader,
    start: PrefixTracker.Place,
    outputs: ImportOutputs, summary: ImportSummary
  ) {
    self.client = client
    self.settings = settings
    self.parser = parser
    self.reader = reader
    self.outputs = outputs
    self.summary = summary
    tracker = PrefixTracker(from: start)
    progress = Progress(title: "importing \(settings.table)", unit: "rows")
  }

  /// Imports to the end of the file, or until something happens that concerns every row.
  func run() throws(CommandError) {
    while true {
      fill()
      if inFlight == 0 { break }
      do throws(ClientError) { try client.turn() } catch { failure = .failed("\(error)") }
      report(final: false)
      if failure != nil, inFlight == 0 { break }
    }
    report(final: true)
    if let failure { throw failure }
  }

  // MARK: sending

  private func fill() {
    while inFlight < settings.writers, failure == nil {
      let unit = nextUnit()
      guard !unit.isEmpty else { return }
      send(unit)
    }
  }

  /// The rows of the next request; empty when there are none, or when the next one has to wait for its key.
  private func nextUnit() -> [Numbered] {
    if let single = alone.popLast() {
      // Its key was free when the batch was made, and is only taken by rows behind it in the file.
      keysInFlight.insert(single.row.pathKey)
      return [single]
    }
    var unit: [Numbered] = []
    var bytes = 0
    while unit.count < settings.batch, let next = nextRow() {
      let size = next.row.body.count + next.row.jsonKey.count + 64
      let isFull = !unit.isEmpty && bytes + size > ImportSettings.batchBytesMax
      if isFull || keysInFlight.contains(next.row.pathKey) {
        waiting.insert(next, at: 0)
        break
      }
      keysInFlight.insert(next.row.pathKey)
      bytes += size
      unit.append(next)
    }
    return unit
  }

  private func nextRow() -> Numbered? {
    if !waiting.isEmpty { return waiting.removeFirst() }
    while !isAtEnd, failure == nil, tracker.waiting < settings.windowRows {
      do throws(CommandError) {
        guard let record = try reader.next() else {
          isAtEnd = true
          return nil
        }
        let number = tracker.begin(behind: .init(offset: record.end, line: reader.line))
        if let row = parse(record, number: number) { return Numbered(number: number, row: row) }
      } catch { failure = error }
    }
    return nil
  }

  private func parse(_ record: SourceRecord, number: Int) -> ImportRow? {
    do throws(RowFault) {
      return try parser.parse(record)
    } catch {
      reject(number, line: record.line, source: record.bytes, reason: error.text)
      return nil
    }
  }

  private func send(_ unit: [Numbered]) {
    inFlight += 1
    if heardAt == nil { heardAt = Monotonic.now() }
    let request = unit.count == 1 ? put(unit[0].row) : batch(unit)
    client.submit(request) { [self] result in
      inFlight -= 1
      for one in unit { keysInFlight.remove(one.row.pathKey) }
      finish(unit, result)
    }
  }

  private func put(_ row: ImportRow) -> ClientRequest {
    let path = "/v1/tables/\(settings.table)/rows/" + String(decoding: row.pathKey, as: UTF8.self)
    return prepared(ClientRequest(.put, path, body: row.body, mayRepeat: true))
  }

  private func batch(_ unit: [Numbered]) -> ClientRequest {
    var body: [UInt8] = Array("{\"operations\":[".utf8)
    for (position, one) in unit.enumerated() {
      if position > 0 { body.append(UInt8(ascii: ",")) }
      body.append(contentsOf: "{\"op\":\"put\",\"table\":\"\(settings.table)\",\"key\":".utf8)
      body.append(contentsOf: one.row.jsonKey)
      body.append(contentsOf: ",\"row\":".utf8)
      body.append(contentsOf: one.row.body)
      body.append(UInt8(ascii: "}"))
    }
    body.append(contentsOf: "]}".utf8)
    return prepared(ClientRequest(.post, "/v1/batch", body: body, mayRepeat: true))
  }

  private func prepared(_ request: ClientRequest) -> ClientRequest {
    var request = request
    request.headers = [Header("content-type", "application/json")]
    request.timeoutMilliseconds = settings.patienceMilliseconds
    return request
  }

  // MARK: answers

  private func finish(_ unit: [Numbered], _ result: Result<ClientResponse, ClientError>) {
    switch result {
    case .success(let response):
      if let problem = response.problem {
        refuse(unit, problem)
      } else {
        acknowledge(unit, response)
      }
    case .failure(let error):
      fail(.failed("\(error)"))
    }
  }

  private func acknowledge(_ unit: [Numbered], _ response: ClientResponse) {
    notePause()
    let etags = unit.count == 1 ? [response.etag] : BatchAnswer.etags(response.body)
    for (position, one) in unit.enumerated() {
      let etag = position < etags.count ? etags[position] : nil
      outputs.acknowledge(key: one.row.jsonKey, line: one.row.line, etag: etag)
      summary.acknowledged += 1
      tracker.finish(one.number)
    }
  }

  private func notePause() {
    let now = Monotonic.now()
    if let heardAt { summary.longestPauseSeconds = max(summary.longestPauseSeconds, now - heardAt) }
    heardAt = now
  }

  /// The server refused: the row, when it can be told which one; otherwise each of the batch by itself.
  private func refuse(_ unit: [Numbered], _ problem: ClientProblem) {
    guard problem.isAboutRow else {
      return fail(CommandError.failed("the server refused: \(problem.detail) (\(problem.code))"))
    }
    if unit.count == 1 {
      return reject(unit[0].number, line: unit[0].row.line, source: unit[0].row.source, reason: problem.detail)
    }
    guard let bad = problem.operation, unit.indices.contains(bad) else {
      alone.append(contentsOf: unit.reversed())
      return
    }
    reject(unit[bad].number, line: unit[bad].row.line, source: unit[bad].row.source, reason: problem.detail)
    var rest = unit
    rest.remove(at: bad)
    waiting.insert(contentsOf: rest, at: 0)
  }

  private func reject(_ number: Int, line: Int, source: [UInt8], reason: String) {
    progress.clear()
    Console.note("line \(line): \(reason)")
    outputs.reject(source)
    summary.rejected += 1
    tracker.finish(number)
  }

  private func fail(_ error: CommandError) {
    if failure == nil { failure = error }
  }

  // MARK: account

  private func report(final: Bool) {
    let share = settings.fileBytes.map { $0 == 0 ? 1 : Double(tracker.done.offset) / Double($0) }
    outputs.flush()
    if final {
      progress.clear()
    } else {
      progress.update(count: summary.acknowledged, share: share)
    }
    summary.seconds = progress.elapsed
    outputs.record(tracker.done, summary, complete: isAtEnd && tracker.waiting == 0, force: final)
    if let error = outputs.failure { fail(error) }
  }
}
