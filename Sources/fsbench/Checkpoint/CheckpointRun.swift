import Foundation
import Primitives
import Transport

/// Writes at a steady rate, and what the leader's checkpoints did to them.
struct CheckpointRun {
  struct Settings {
    var shape: Shape
    var rows: UInt64
    var seed: UInt64
    var perSecond: Double
    var seconds: Double
    var fillSecondsMax: Double
  }

  /// The bars: so much longer may a wait be while there are checkpoints, and so many of them there have to be.
  static let stallMax = 0.010
  static let checkpointsMin = 20.0

  let address: FileStoreAddress
  let tls: TLSContext?
  let settings: Settings

  func fill() throws(BenchError) {
    let system = try address.open()
    let (call, groups) = system.filling(settings.rows)
    var plan = LoadPlan(shape: Shape(connections: 4, streams: 1), amount: .requests(groups.count))
    plan.secondsMax = settings.fillSecondsMax
    note("filling with \(settings.rows) rows")
    _ = try Load(system.endpoint, tls: tls, plan: plan).run(call, .sequence(0))
  }

  func run() throws(BenchError) -> CheckpointResult {
    let system = try address.open()
    try system.checkHolds(settings.rows)
    let watch = CheckpointWatch(address)
    let outcome = Result { () throws(BenchError) in try measure(system) }
    let timeline = try watch.stop()
    return try CheckpointResult(try outcome.get(), timeline)
  }

  private func measure(_ system: FileStoreSystem) throws(BenchError) -> CheckpointMeasurement {
    let load = try Load(system.endpoint, tls: tls, plan: plan)
    let (counters, before) = (try system.counters(.write), CheckpointCounters(try system.metrics()))
    var waits = Waits(start: load.now)
    load.observe = { arrived, answered in waits.add(.init(arrived: arrived, answered: answered)) }
    let items = Items.random(SeededRandom(seed: settings.seed), count: settings.rows)
    let result = try load.run(system.call(.write), items)
    if let fault = Counter.fault(counters, try system.counters(.write), requests: result.requests) {
      throw .failed(fault)
    }
    return CheckpointMeasurement(
      load: result, waits: waits, before: before, after: CheckpointCounters(try system.metrics()))
  }

  private var plan: LoadPlan {
    var plan = LoadPlan(
      shape: settings.shape, amount: .seconds(settings.seconds), perSecond: settings.perSecond)
    plan.secondsMax = settings.seconds + 60
    return plan
  }
}

/// What the leader has counted so far.
struct CheckpointCounters {
  var checkpoints: Double
  /// Bytes of pages and of log.
  var written: Double
  /// Turns of the loop in which checkpoints began, in seconds.
  var beginning: Double

  init(_ page: MetricsPage) {
    checkpoints = page.total("filestore_checkpoints_total")
    let pages = page.total("filestore_pages_written_total")
    written = pages * Double(16 << 10) + page.total("filestore_journal_bytes_written_total")
    beginning = page.total("filestore_checkpoint_begin_seconds_sum")
  }
}

/// A run, as it was seen by those who waited and by the leader.
struct CheckpointMeasurement {
  var load: LoadResult
  var waits: Waits
  var before: CheckpointCounters
  var after: CheckpointCounters
}

/// The figures of a run.
struct CheckpointResult {
  private let load: LoadResult
  private let during: Double
  private let outside: Double
  private let checkpoints: Double
  private let amplification: Double
  private let beginning: Double
  let uncertainty: Double

  /// - Throws: when there is nothing to compare: no wait while a checkpoint lasted, or none while none did.
  init(_ run: CheckpointMeasurement, _ timeline: CheckpointTimeline) throws(BenchError) {
    let longest = run.waits.longest(timeline.spans)
    checkpoints = run.after.checkpoints - run.before.checkpoints
    guard let during = longest.during, checkpoints > 0 else { throw .failed("no checkpoint ended during the run") }
    guard let outside = longest.outside else { throw .failed("checkpoints left no time between them") }
    load = run.load
    self.during = Double(during.rawValue) / 1e9
    self.outside = Double(outside.rawValue) / 1e9
    amplification = (run.after.written - run.before.written) / (Double(load.requests) * Double(Key.rowByteCount))
    beginning = (run.after.beginning - run.before.beginning) / checkpoints
    uncertainty = timeline.uncertainty
  }

  var figures: [Figure] {
    func bar(_ value: Double) -> Figure.Reference { .init(name: "bar", value: value) }
    return [
      Figure(name: "checkpoint/rate", value: load.perSecond, unit: .perSecond),
      Figure(
        name: "checkpoint/count", value: checkpoints, unit: .number, reference: bar(CheckpointRun.checkpointsMin)),
      Figure(name: "checkpoint/wait/during", value: during, unit: .seconds),
      Figure(name: "checkpoint/wait/outside", value: outside, unit: .seconds),
      Figure(
        name: "checkpoint/stall", value: max(0, during - outside), unit: .seconds,
        reference: bar(CheckpointRun.stallMax)),
      Figure(name: "checkpoint/wait/p99.9", value: load.latencies.percentile(0.999), unit: .seconds),
      Figure(name: "checkpoint/begin", value: beginning, unit: .seconds),
      Figure(name: "checkpoint/write-amplification", value: amplification, unit: .number),
    ]
  }
}
