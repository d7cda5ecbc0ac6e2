import Foundation
import Primitives
import Ring

/// Seconds since it was made: by the clock on the wall, as a start waits for its disk too, and of the processor.
private struct Watch {
  private let began = bootTime()
  private let processorBegan = Watch.processorTime()

  var seconds: Double { Double((bootTime() - began).rawValue) / 1e9 }
  var processorSeconds: Double { Watch.processorTime() - processorBegan }

  private static func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
}

/// Results of all rounds: the large log, the small rows, LMDB, the large store, in turn.
final class RecoveryComparison {
  private struct Start {
    var openSeconds: Double
    var applySeconds: Double
    var processorSeconds: Double
    /// The process's peak, and what of it is pages.
    var memoryBytes: UInt64
    var pageBytes: Int
    var seconds: Double { openSeconds + applySeconds }
  }

  /// Seconds since the start.
  private struct Serving {
    var opened: Double
    var listens: Double
    var answered: Double
    var processorSeconds: Double
  }

  private static let largeRowBytes = 1024
  /// Log behind the large store's checkpoint.
  private static let smallLogMiB = 10

  private let logName: String
  private let storeName: String
  private let rows: Rows
  private let large: KilledNode
  private let small: KilledNode
  private let stored: KilledNode
  private var largeStarts: [Start] = []
  private var smallStarts: [Start] = []
  private var servings: [Serving] = []
  private var reference: [Double] = []

  init(logMiB: UInt64, rows count: Int, storeMiB: Int, directory: String) throws(BenchError) {
    logName = "recovery/log-" + Self.size(Int(logMiB))
    storeName = "recovery/store-" + Self.size(storeMiB)
    let many = Rows(count: Int(logMiB) << 10, seed: 17, isText: true)
    large = try KilledNode(
      under: directory, rows: many, valueBytes: Self.largeRowBytes - Rows.keyBytes, logBytes: logMiB << 20)
    rows = Rows(count: count, seed: 18, isText: true)
    // A row's command and its share of an entry take less than 100 bytes beside the row.
    small = try KilledNode(
      under: directory, rows: rows, valueBytes: Rows.valueBytes, logBytes: UInt64(count) * 256 + 1 << 20)
    precondition(small.rows == count, "the log has room for all rows")
    let few = Rows(count: Self.smallLogMiB << 10, seed: 19, isText: true)
    stored = try KilledNode(
      under: directory, stored: storeMiB << 10, rows: few, valueBytes: Self.largeRowBytes - Rows.keyBytes,
      logBytes: UInt64(Self.smallLogMiB) << 20)
    // A node that is killed had grown its page file for the pages of all its rows.
    for killed in [large, small] { _ = try start(killed) }
  }

  private static func size(_ mebibytes: Int) -> String {
    mebibytes % 1024 == 0 ? "\(mebibytes / 1024)GiB" : "\(mebibytes)MiB"
  }

  /// A node that was started and stopped before its checkpoint leaves what it found: so each round finds the same.
  func round(_ machine: Machine, _ library: LMDBLibrary, _ place: String) throws(BenchError) {
    largeStarts.append(try machine.measure { () throws(BenchError) in try start(large) })
    smallStarts.append(try machine.measure { () throws(BenchError) in try start(small) })
    reference.append(
      try machine.measure { () throws(BenchError) in
        let engine = try LMDBEngine(library: library, under: place, rows: rows.count)
        let watch = Watch()
        try engine.insert(rows)
        return watch.seconds
      })
    servings.append(try machine.measure { () throws(BenchError) in try serve() })
  }

  /// By the clock on the wall, with the wait for the election, as a client of the cluster sees it.
  private func serve() throws(BenchError) -> Serving {
    let watch = Watch()
    let node = try RecoveringNode(stored, skipsWaits: false)
    let opened = watch.seconds
    try node.begin()
    let listens = watch.seconds
    try node.readStoredRow(stored.storedRows / 2)
    return Serving(
      opened: opened, listens: listens, answered: watch.seconds, processorSeconds: watch.processorSeconds)
  }

  private func start(_ killed: KilledNode) throws(BenchError) -> Start {
    PeakMemory.reset()
    let opening = Watch()
    let node = try RecoveringNode(killed, skipsWaits: true)
    var start = Start(
      openSeconds: opening.seconds, applySeconds: 0, processorSeconds: opening.processorSeconds, memoryBytes: 0,
      pageBytes: 0)
    try node.begin()
    let applying = Watch()
    try node.apply()
    start.applySeconds = applying.seconds
    start.processorSeconds += applying.processorSeconds
    (start.memoryBytes, start.pageBytes) = (PeakMemory.bytes, node.pageBytes)
    return start
  }

  var figures: [Figure] {
    let count = Double(rows.count)
    return [
      Figure(name: logName, value: largeStarts.map(\.seconds).median, unit: .seconds),
      Figure(
        name: "recovery/rows-100/lmdb", value: smallStarts.map { count / $0.seconds }.median, unit: .perSecond,
        reference: .init(name: "lmdb", value: reference.map { count / $0 }.median)),
      Figure(name: storeName, value: servings.map(\.answered).median, unit: .seconds),
    ]
  }

  var remarks: [String] {
    [
      remark("rows of 1 KiB", large, largeStarts) + memory, remark("rows of 100 bytes", small, smallStarts),
      String(
        format: "%d stored rows of 1 KiB, %d in the log: read in %.3f s, listens after %.3f s, answers after %.3f s, "
          + "%.3f s of processor",
        stored.storedRows, stored.rows, servings.map(\.opened).median, servings.map(\.listens).median,
        servings.map(\.answered).median, servings.map(\.processorSeconds).median),
    ]
  }

  /// Of the first start: later ones find memory that those before them left to the process.
  private var memory: String {
    guard let first = largeStarts.first else { return "" }
    return "; at most \(first.memoryBytes >> 20) MiB of memory, \(first.pageBytes >> 20) MiB of it pages"
  }

  private func remark(_ what: String, _ killed: KilledNode, _ starts: [Start]) -> String {
    "\(killed.rows) \(what), \(killed.logBytes >> 20) MiB of log: "
      + String(
        format: "read and applied in %.2f s, the rest applied in %.2f s, %.2f s of processor",
        starts.map(\.openSeconds).median, starts.map(\.applySeconds).median, starts.map(\.processorSeconds).median)
  }
}
