import FileStoreClient
import Foundation
import Primitives

/// All kinds of requests at once, for minutes, on nodes with little memory: rows of 100 bytes to 1 MiB are written, deleted,
/// read and scanned, tables come and go, connections too. The rows are several times what memory holds, so pages come and go
/// as well; their number has a bound, so what they take on the disk has to become level.
///
/// **Bars.** No node ever uses more memory than 1.05 times the budget that it names itself. Neither memory nor disk grow in
/// the last third of the time. After the load each node has the descriptors that it had before. Each request is answered,
/// rightly, by nodes that were never started anew.
struct MixedScenario {
  static let name = "mixed"
  static let drivers = 3
  static let visitors = 6
  static let diskLimit: UInt64 = 2 << 30
  static let settings = ["memory: 64MiB", "connections: 128", "disk-limit: 2GiB"]

  static let budgetMax = 1.05
  static let growthMax = 1.05
  /// Beyond those of an idle node: each client has one connection to it at most.
  static let socketsMax = drivers + visitors + Stranger.connections + 2
  private static let settleWithin = Nanoseconds.seconds(15)
  private static let fillWithin = Nanoseconds.seconds(300)
  /// Shorter runs have not become level.
  private static let comparedFrom = 5

  let cluster: LocalCluster
  let report: Report
  let minutes: Int
  let seed: UInt64

  func run() throws(ChaosError) {
    try createTable()
    let budgets = try readBudgets()
    Clock.sleep(.seconds(3))
    let before = try samples()
    let crew = MixedCrew()
    let traces: [String: ResourceTrace]
    do throws(ChaosError) { traces = try load(crew) } catch {
      tell(crew.finish())
      throw error
    }
    let tally = crew.finish()
    addMemory(traces, budgets)
    addDisk(traces)
    try addDescriptors(traces, before)
    addRequests(tally)
  }

  // MARK: load

  private func createTable() throws(ChaosError) {
    var request = ClientRequest(.post, "/v1/tables", body: Array(MixedRows.description.utf8), mayRepeat: true)
    request.headers = [Header("content-type", "application/json")]
    let client = try cluster.client()
    let result = Result { () throws(ClientError) in try client.send(request) }
    guard case .success(let response) = result, response.isSuccess else {
      throw ChaosError(message: "the table cannot be made: \(result)")
    }
  }

  private func load(_ crew: MixedCrew) throws(ChaosError) -> [String: ResourceTrace] {
    say("filling \(Self.drivers * MixedRows.keyCount) rows")
    for number in 0..<Self.drivers {
      let (cluster, seed) = (cluster, seed)
      crew.add { (crew, tally) throws(ChaosError) in
        let driver = try MixedDriver(cluster, number, crew, seed: seed)
        defer { tally = driver.tally }
        try driver.run()
      }
    }
    let begun = Clock.now()
    guard crew.open(after: Self.drivers, limit: Self.fillWithin) else {
      throw ChaosError(message: "the rows are not written after \(Self.fillWithin.seconds) s")
    }
    report.tell("filled in \(Int((Clock.now() - begun).seconds)) s")
    addGuests(crew)
    return try watch(crew)
  }

  private func addGuests(_ crew: MixedCrew) {
    let (cluster, seed) = (cluster, seed)
    for number in 0..<Self.visitors {
      crew.add { (crew, tally) throws(ChaosError) in
        try Visitor(cluster: cluster, number: number, seed: seed).work(crew, &tally)
      }
    }
    crew.add { (crew, _) throws(ChaosError) in Stranger(cluster: cluster, seed: seed).work(crew) }
    crew.add { (crew, tally) throws(ChaosError) in try TableMaker(cluster: cluster).work(crew, &tally) }
  }

  /// A sample of each node every second.
  private func watch(_ crew: MixedCrew) throws(ChaosError) -> [String: ResourceTrace] {
    var traces: [String: ResourceTrace] = [:]
    let begun = Clock.now()
    var answered = crew.answered
    for second in 1...UInt64(minutes * 60) {
      Clock.sleep(begun + .seconds(second) - Clock.now())
      let now = try samples()
      for (node, sample) in now { traces[node, default: ResourceTrace()].add(sample) }
      guard second % 60 == 0 else { continue }
      report.tell("minute \(second / 60): \((crew.answered - answered) / 60) answers/s")
      for node in LocalCluster.nodes { report.tell("  \(node) \(now[node]?.text ?? "")") }
      answered = crew.answered
    }
    return traces
  }

  private func samples() throws(ChaosError) -> [String: ProcessSample] {
    let samples = cluster.samples()
    for node in LocalCluster.nodes where samples[node] == nil {
      throw ChaosError(message: "\(node) does not run any more")
    }
    return samples
  }

  // MARK: figures

  /// What each node says that it may use, in bytes.
  private func readBudgets() throws(ChaosError) -> [String: Double] {
    var budgets: [String: Double] = [:]
    for (number, node) in LocalCluster.nodes.enumerated() {
      var request = ClientRequest(.get, "/metrics")
      request.endpoint = 0
      let client = try cluster.client(first: number)
      let result = Result { () throws(ClientError) in try client.send(request) }
      guard case .success(let response) = result else {
        throw ChaosError(message: "\(node) gives no metrics: \(result)")
      }
      let line = String(decoding: response.body, as: UTF8.self).split(separator: "\n")
        .first { $0.hasPrefix("filestore_memory_budget_bytes ") }
      guard let budget = line?.split(separator: " ").last.flatMap({ Double($0) }), budget > 0 else {
        throw ChaosError(message: "\(node) names no budget")
      }
      budgets[node] = budget
    }
    return budgets
  }

  private func addMemory(_ traces: [String: ResourceTrace], _ budgets: [String: Double]) {
    for (node, trace) in traces.sorted(by: { $0.key < $1.key }) {
      let (peak, budget) = (Double(trace.peakBytes), budgets[node] ?? 0)
      report.tell("\(node): \(Int(peak) >> 20) MiB at most, of \(Int(budget) >> 20) MiB")
      report.add("\(Self.name)/\(node)/memory-of-budget", peak / budget, "ratio", .atMost(Self.budgetMax))
    }
    addGrowth("memory", traces) { $0.residentBytes }
  }

  private func addDisk(_ traces: [String: ResourceTrace]) {
    let most = traces.values.map(\.diskBytesMax).max() ?? 0
    report.add("\(Self.name)/disk-of-limit", Double(most) / Double(Self.diskLimit), "ratio", .atMost(1))
    addGrowth("log", traces) { $0.logBytes }
    addGrowth("pages", traces) { $0.pageBytes }
  }

  private func addGrowth(_ what: String, _ traces: [String: ResourceTrace], _ value: (ProcessSample) -> UInt64) {
    let worst = traces.values.map { $0.growth(value) }.max() ?? 0
    let bar = minutes < Self.comparedFrom ? Figure.Bar.none : .atMost(Self.growthMax)
    report.add("\(Self.name)/growth/\(what)", worst, "ratio", bar)
  }

  /// Sockets, and files but for segments of the log, of which there are more or fewer at any time.
  private func addDescriptors(
    _ traces: [String: ResourceTrace], _ before: [String: ProcessSample]
  ) throws(ChaosError) {
    let begun = Clock.now()
    var after = try samples()
    func more(_ value: (ProcessSample) -> Int) -> Int {
      after.map { value($0.value) - (before[$0.key].map(value) ?? 0) }.max() ?? 0
    }
    while Clock.now() - begun < Self.settleWithin, more(\.sockets) > 0 || more(\.files) > 0 {
      Clock.sleep(.milliseconds(200))
      after = try samples()
    }
    let most = traces.map { $0.value.socketsMax - (before[$0.key]?.sockets ?? 0) }.max() ?? 0
    report.add("\(Self.name)/sockets-max", Double(most), "sockets", .atMost(Double(Self.socketsMax)))
    report.add("\(Self.name)/sockets-left", Double(more(\.sockets)), "sockets", .atMost(0))
    report.add("\(Self.name)/files-left", Double(more(\.files)), "files", .atMost(0))
  }

  private func addRequests(_ tally: MixedTally) {
    tell(tally)
    let answers = tally.answered.values.reduce(0, +)
    report.add("\(Self.name)/answered", Double(answers), "requests", .atLeast(Double(minutes * 60)))
    report.add("\(Self.name)/refused", Double(tally.refused.values.reduce(0, +) - tally.unanswered), "requests")
    report.add(
      "\(Self.name)/unanswered", Double(tally.sent - tally.ended + tally.unanswered + tally.unknown),
      "requests", .atMost(0))
    report.add("\(Self.name)/wrong", Double(tally.wrong.count), "answers", .atMost(0))
  }

  private func tell(_ tally: MixedTally) {
    let counts = tally.answered.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
    report.tell("answered: \(counts.joined(separator: ", "))")
    for (text, count) in tally.refused.sorted(by: { $0.value > $1.value }).prefix(8) {
      report.tell("  \(count) × \(text)")
    }
    for text in tally.wrong.prefix(10) { report.tell("  wrong: \(text)") }
  }
}
