import Checkers
import FileStoreClient
import Foundation
import Primitives

/// What a scenario's end is judged by, when the nodes are up again and nobody writes.
struct Examination {
  var acknowledged = 0
  var notExecuted = 0
  var unknown = 0
  /// Of the unknown ones, those that turned out to be executed.
  var unknownFound = 0
  var hotOperations = 0
  var hotKeys = 0
  /// Until all three nodes had the same applied index and state hash; nil: not in time.
  var equalAfter: Nanoseconds?
  var comparisons = 0
  var lost = 0
  var violations: [Violation] = []

  static let equalWithin = Nanoseconds.seconds(15)

  init(_ cluster: LocalCluster, scenario: String, log: Log, view: ClusterView) throws(ChaosError) {
    say("reading everything back")
    let client = try cluster.client()
    examineReplicas(view)
    try examineRows(log.rows, scenario, client)
    examineHistory(log.operations, client)
    violations += log.surprises.prefix(10).map { Violation(rule: "ExpectedAnswers", detail: $0) }
    violations += view.violations
  }

  private mutating func examineReplicas(_ view: ClusterView) {
    var last = "no node answered"
    equalAfter = view.wait(Self.equalWithin) { answer in
      last = answer.summary
      return answer.areEqual
    }
    comparisons = view.equality.comparisons
    if equalAfter == nil {
      violations.append(
        Violation(rule: "ReplicasBecomeEqual", detail: "not within \(Self.equalWithin.seconds) s: \(last)"))
    }
  }

  // MARK: rows with one writer

  /// Every acknowledged row is there with its value; none that was refused is there, and none that nobody wrote.
  private mutating func examineRows(_ records: [RowRecord], _ scenario: String, _ client: Client) throws(ChaosError) {
    let found = try Self.scan(prefix: scenario + "-", client)
    var ledger = AckedLedger()
    var versions: [String: Timestamp] = [:]
    var issued: Set<String> = []
    for record in records {
      let key = RowWriter.key(scenario, record.value)
      issued.insert(key)
      switch record.outcome {
      case .acknowledged(let version):
        acknowledged += 1
        versions[key] = version
        if let violation = ledger.acknowledge(key, .init(value: record.value, version: version)) {
          violations.append(violation)
        }
      case .notExecuted:
        notExecuted += 1
        if found[key] != nil { violations.append(Self.violation("RefusedIsNotExecuted", key, "is there")) }
      case .unknown:
        unknown += 1
        if found[key] != nil { unknownFound += 1 }
      }
    }
    // A scan tells no versions. A key has one value ever, so the acknowledged version stands in for it.
    let missing = ledger.checkAll(limit: .max) { key in
      found[key].map { AckedLedger.Row(value: $0, version: versions[key] ?? .zero) }
    }
    lost = missing.count
    violations += missing.prefix(10)
    examineStrangers(found, issued, scenario)
  }

  private mutating func examineStrangers(_ found: [String: UInt64], _ issued: Set<String>, _ scenario: String) {
    let hot = scenario + "-hot-"
    for (key, value) in found.sorted(by: { $0.key < $1.key }) where !key.hasPrefix(hot) {
      if !issued.contains(key) { violations.append(Self.violation("OnlyWrittenRows", key, "was never written")) }
      if RowWriter.key(scenario, value) != key {
        violations.append(
          Self.violation("OnlyWrittenRows", key, "has value \(value), which another key was given"))
      }
    }
  }

  private static func violation(_ rule: String, _ key: String, _ text: String) -> Violation {
    Violation(rule: rule, detail: "key \"\(key)\" \(text)")
  }

  static func scan(prefix: String, _ client: Client) throws(ChaosError) -> [String: UInt64] {
    var found: [String: UInt64] = [:]
    var cursor: String?
    repeat {
      let path =
        "/v1/tables/\(ChaosTable.name)/rows?columns=id,value&limit=10000&prefix=\(prefix)"
        + (cursor.map { "&cursor=" + $0 } ?? "")
      let page: RowText.Page? = try? RowText.page(client.send(ClientRequest(.get, path)).body)
      guard let page else { throw ChaosError(message: "the rows cannot be read back") }
      for row in page.rows { found[row.id] = row.value }
      cursor = page.cursor
    } while cursor != nil
    return found
  }

  // MARK: keys with many writers

  /// The last read of each key belongs to the history: an acknowledged write that vanished later is found by it.
  private mutating func examineHistory(_ operations: [Checkers.Operation], _ client: Client) {
    let keys = Set(operations.map(\.key)).sorted()
    var reader = SharerSession(client: client, number: 1_000_000, crew: nil)
    for key in keys { reader.get(key) }
    hotOperations = operations.count
    hotKeys = keys.count
    switch checkLinearizability(operations + reader.log.operations) {
    case .linearizable: break
    case .refused(let why): violations.append(Violation(rule: "Linearizability", detail: why.description))
    case .undecided(let key, let steps):
      violations.append(
        Violation(rule: "Linearizability", detail: "undecided after \(steps) steps at key \"\(key)\": a longer search"))
    }
  }
}
