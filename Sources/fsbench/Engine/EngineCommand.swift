import ArgumentParser
import Glibc

/// `fsbench engine`: the Store's trees in memory beside LMDB, one thread, the same rows in the same order.
struct EngineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "engine", abstract: "Insert, read and scan rows in memory, beside LMDB.",
    discussion: """
      Random keys of 16 bytes, values of 100 bytes, one thread, rates by its processor time. LMDB without sync, \
      1000 rows a transaction.
      """)

  @OptionGroup var report: ReportOptions
  @Option(help: ArgumentHelp("How many rows, as 2500, 500K or 10M.", valueName: "count"))
  var rows = RowCount(1_000_000)
  @Option(
    help: ArgumentHelp("Where LMDB's file is made and removed (default: /dev/shm, in memory).", valueName: "dir"))
  var directory: String?

  func validate() throws {
    guard (1000...100_000_000).contains(rows.value) else { throw ValidationError("--rows is between 1000 and 100M.") }
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let machine = Machine()
      let library = try LMDBLibrary()
      let place = directory ?? (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : ".")
      var comparison = EngineComparison(rows: Rows(count: rows.value, seed: 16), machine: machine)
      for _ in 0..<report.rounds {
        try comparison.round(library: library, place: place)
      }
      try Report(options: report, prefix: "engine/", machine: machine).print(
        comparison.figures, remarks: ["\(rows.defaultValueDescription) rows; LMDB in \(place)"])
    }
  }
}

/// Rates of all rounds.
struct EngineComparison {
  enum Task: String, CaseIterable { case insert, read, scan }

  let rows: Rows
  let machine: Machine
  private var ours: [Task: [Double]] = [:]
  private var theirs: [Task: [Double]] = [:]

  init(rows: Rows, machine: Machine) {
    self.rows = rows
    self.machine = machine
  }

  /// Each engine is made anew; a repeat after stolen time too.
  mutating func round(library: LMDBLibrary, place: String) throws(BenchError) {
    let count = rows.count
    let mine = try machine.measure { () throws(BenchError) in try measure(try StoreEngine(rows: count)) }
    let others = try machine.measure { () throws(BenchError) in
      try measure(try LMDBEngine(library: library, under: place, rows: count))
    }
    for (task, rate) in mine { ours[task, default: []].append(rate) }
    for (task, rate) in others { theirs[task, default: []].append(rate) }
  }

  private func measure(_ engine: some RowEngine) throws(BenchError) -> [Task: Double] {
    let expected = expectedSum
    let insert = try seconds { () throws(BenchError) in try engine.insert(rows) }
    let read = try seconds { () throws(BenchError) in
      guard try engine.read(rows) == expected else { throw .failed("\(type(of: engine)) read other bytes") }
    }
    let scan = try seconds { () throws(BenchError) in
      let found = try engine.scan()
      guard found == (rows.count, expected) else { throw .failed("\(type(of: engine)) scanned \(found.rows) rows") }
    }
    return [.insert: insert, .read: read, .scan: scan].mapValues { Double(rows.count) / $0 }
  }

  private var expectedSum: UInt64 {
    guard let base = rows.value.baseAddress else { return 0 }
    return touch(base, Rows.valueBytes) &* UInt64(rows.count)
  }

  /// Of this thread's processor time: what else the machine does changes it least, and nothing here waits.
  private func seconds(_ body: () throws(BenchError) -> Void) throws(BenchError) -> Double {
    let start = EngineComparison.processorTime()
    try body()
    return EngineComparison.processorTime() - start
  }

  private static func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  var figures: [Figure] {
    Task.allCases.map { task in
      Figure(
        name: "engine/\(task.rawValue)/lmdb", value: (ours[task] ?? []).median, unit: .perSecond,
        reference: .init(name: "lmdb", value: (theirs[task] ?? []).median))
    }
  }
}
