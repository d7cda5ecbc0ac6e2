import FileStoreClient
import Foundation
import Primitives
import Tables
import Testing

@testable import fscluster

/// A table in memory behind the client's door. Of the requests in flight it answers one a turn, by seed.
private final class FakeCluster: ImportClient {
  private var random: SeededRandom
  private var open: [(request: ClientRequest, completion: (Result<ClientResponse, ClientError>) -> Void)] = []
  /// Bodies by key, as they stand in the path or in the batch.
  private(set) var rows: [String: String] = [:]
  private(set) var inFlightMax = 0
  /// Answers with `unauthenticated` from this request on.
  var failsAfter = Int.max
  private var answered = 0

  init(seed: UInt64) { random = SeededRandom(seed: seed) }

  func submit(_ request: ClientRequest, _ completion: @escaping (Result<ClientResponse, ClientError>) -> Void) {
    open.append((request, completion))
    inFlightMax = max(inFlightMax, open.count)
  }

  func turn() throws(ClientError) {
    guard !open.isEmpty else { return }
    let (request, completion) = open.remove(at: Int(random.below(UInt64(open.count))))
    answered += 1
    if answered > failsAfter { return completion(.success(problem(401, "unauthenticated"))) }
    completion(.success(request.method == .put ? put(request) : batch(request)))
  }

  private func put(_ request: ClientRequest) -> ClientResponse {
    let body = String(decoding: request.body, as: UTF8.self)
    if body.contains("bad") { return problem(400, "type-mismatch") }
    rows[request.path.split(separator: "/").last.map(String.init) ?? ""] = body
    var response = ClientResponse(status: 201)
    response.etag = "\"\(answered)\""
    return response
  }

  private func batch(_ request: ClientRequest) -> ClientResponse {
    guard case .object(let members)? = try? JSONValue.parse(request.body),
      case .array(let operations) = members[0].value
    else { return problem(400, "invalid-json") }
    let rows = operations.map { operation -> (key: String, body: String) in
      guard case .object(let fields) = operation else { return ("", "bad") }
      func text(_ name: String) -> String {
        String(decoding: fields.first { $0.name == name }?.value.bytes ?? [], as: UTF8.self)
      }
      return (text("key"), text("row"))
    }
    if let bad = rows.firstIndex(where: { $0.body.contains("bad") }) {
      return problem(400, "type-mismatch", #","operation":\#(bad)"#)
    }
    for row in rows { self.rows[row.key] = row.body }
    let results = rows.map { _ in #"{"status":201,"etag":"\#(answered)"}"# }.joined(separator: ",")
    return ClientResponse(status: 200, body: Array(#"{"results":[\#(results)]}"#.utf8))
  }

  private func problem(_ status: Int, _ code: String, _ more: String = "") -> ClientResponse {
    ClientResponse(status: status, body: Array(#"{"code":"\#(code)","retry":"never","detail":"no"\#(more)}"#.utf8))
  }
}

@Suite struct ImporterTests {
  private let table = TableShape(
    name: "t", columns: [.init(name: "id", type: "int64"), .init(name: "v", type: "text", nullable: true)],
    primaryKey: ["id"])

  private struct Outcome {
    var cluster: FakeCluster
    var summary: ImportSummary
    var acked: [String]
    var rejected: [String]
    var error: CommandError?
  }

  private func run(
    _ lines: [String], writers: Int = 4, batch: Int = 1, seed: UInt64 = 1, failsAfter: Int = .max
  ) throws -> Outcome {
    try withFile(Array((lines.joined(separator: "\n") + "\n").utf8)) { path in
      let acked = path + ".acked"
      let rejects = path + ".rejects"
      defer {
        unlink(acked)
        unlink(rejects)
      }
      let source = try ImportSource(path: path, format: nil)
      let cluster = FakeCluster(seed: seed)
      cluster.failsAfter = failsAfter
      let outputs = try ImportOutputs(
        rejects: rejects, acked: acked, header: nil, statePath: nil, state: nil, append: false)
      let importer = Importer(
        client: cluster, settings: ImportSettings(table: "t", writers: writers, batch: batch, fileBytes: source.size),
        parser: try RowParser(table: table, header: nil), reader: source.reader, start: source.place, outputs: outputs,
        summary: ImportSummary(table: "t"))
      var failure: CommandError?
      do throws(CommandError) { try importer.run() } catch { failure = error }
      func read(_ path: String) throws -> [String] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map(String.init)
      }
      return Outcome(
        cluster: cluster, summary: importer.summary, acked: try read(acked), rejected: try read(rejects), error: failure
      )
    }
  }

  @Test(arguments: [1, 7]) func everyRowIsAcknowledgedOnce(batch: Int) throws {
    let outcome = try run((1...100).map { #"{"id":\#($0)}"# }, batch: batch)
    #expect(outcome.error == nil)
    #expect(outcome.summary.acknowledged == 100)
    #expect(outcome.cluster.rows.count == 100)
    #expect(outcome.acked.count == 100)
    #expect(Set(outcome.acked).count == 100)
    #expect(outcome.acked.contains { $0.hasPrefix(#"{"key":17,"line":17,"etag":""#) })
  }

  @Test func asManyRequestsAreInFlightAsThereAreWriters() throws {
    #expect(try run((1...100).map { #"{"id":\#($0)}"# }, writers: 5).cluster.inFlightMax == 5)
  }

  @Test(arguments: [1, 3, 10]) func badLinesAreLeftOutAndTheRestIsImported(batch: Int) throws {
    let lines = (1...20).map { $0 % 5 == 0 ? #"{"id":\#($0),"v":"bad"}"# : #"{"id":\#($0)}"# } + ["nonsense"]
    let outcome = try run(lines, batch: batch)
    #expect(outcome.error == nil)
    #expect(outcome.summary.rejected == 5)
    #expect(outcome.summary.acknowledged == 16)
    #expect(
      Set(outcome.rejected) == Set(lines.enumerated().filter { $0.offset % 5 == 4 || $0.offset == 20 }.map(\.element)))
  }

  @Test(arguments: 1...20) func rowsOfOneKeyTakeEffectInTheFilesOrder(seed: Int) throws {
    let lines = (1...60).map { #"{"id":\#($0 % 3),"v":"\#($0)"}"# }
    for batch in [1, 4] {
      let outcome = try run(lines, batch: batch, seed: UInt64(seed))
      #expect(outcome.summary.acknowledged == 60)
      let last = outcome.cluster.rows.mapValues { $0.split(separator: "\"").dropLast().last.map(String.init) ?? "" }
      #expect(last == ["0": "60", "1": "58", "2": "59"])
    }
  }

  @Test func aRefusalThatConcernsEveryRowEndsTheImport() throws {
    let outcome = try run((1...100).map { #"{"id":\#($0)}"# }, failsAfter: 30)
    #expect(outcome.error?.outcome == .failed)
    #expect(outcome.summary.acknowledged == 30)
    #expect(outcome.acked.count == 30)
    #expect(outcome.rejected.isEmpty)
  }
}
