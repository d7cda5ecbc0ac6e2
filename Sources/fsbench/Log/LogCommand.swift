import ArgumentParser
import Foundation
import Journal
import Primitives
import Ring

/// `fsbench log`: the journal's durable appends. One at a time beside fio's durable 4 KiB write, and with 64 waiting,
/// where group commit has to show: many records for one write of the device.
struct LogCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "log", abstract: "Durable appends of 100 bytes, one at a time and with 64 waiting.",
    discussion: """
      log/append-1/fio is the time of one append with nothing else waiting, beside fio's sequential 4 KiB write \
      (O_DIRECT, O_DSYNC, one in flight). log/append-64 is the rate with 64 waiting, beside the rate of one at a time.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var repetition: RoundsOptions
  @Option(help: ArgumentHelp("Where the files are made and removed.", valueName: "dir")) var directory = "."
  @Option(help: ArgumentHelp("Length of one measurement.", valueName: "seconds")) var seconds = 2.0
  @Option(help: ArgumentHelp("Size of one of the log's six segments.", valueName: "MiB")) var segment: UInt64 = 32

  static let payloadBytes = 100

  func validate() throws {
    guard seconds >= 0.1, seconds <= 60 else { throw ValidationError("--seconds is between 0.1 and 60.") }
    guard (2...1024).contains(segment) else { throw ValidationError("--segment is between 2 and 1024.") }
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let machine = Machine()
      let scratch = try Scratch(under: directory)
      let comparison = try LogComparison(
        directory: scratch.path, segmentBytes: segment << 20, fio: try Fio(), seconds: seconds)
      for _ in 0..<repetition.rounds { try comparison.round(machine) }
      try Report(options: report, prefix: "log/", machine: machine)
        .print(comparison.figures, remarks: comparison.remarks)
    }
  }
}

/// Results of all rounds: one append at a time, fio, 64 waiting, in turn.
final class LogComparison {
  private struct Appends {
    var seconds: Double
    var count: Int
    var latencies: Latencies
    var recordsPerWrite: Double

    var perSecond: Double { Double(count) / seconds }
  }

  private let driver: LogDriver
  private let fio: Fio
  private let fioFile: String
  private let seconds: Double
  private var single: [Appends] = []
  private var many: [Appends] = []
  private var reference: [Fio.Result] = []

  init(directory: String, segmentBytes: UInt64, fio: Fio, seconds: Double) throws(BenchError) {
    self.fio = fio
    self.seconds = seconds
    fioFile = "\(directory)/fio"
    let path = fioFile
    try BenchError.system { () throws(SystemError) in
      let file = try File(path, [.write, .create])
      try file.preallocate(8 * segmentBytes)
      try file.zeroFill(from: 0, count: 8 * segmentBytes)
      try file.synchronize()
    }
    driver = try LogDriver(directory: directory, segmentBytes: segmentBytes)
    try driver.warmUp()
  }

  func round(_ machine: Machine) throws(BenchError) {
    single.append(try machine.measure { () throws(BenchError) in try appends(waiting: 1) })
    reference.append(
      try machine.measure { () throws(BenchError) in
        try fio.run(.sequentialWrite, file: fioFile, depth: 1, seconds: seconds)
      })
    many.append(try machine.measure { () throws(BenchError) in try appends(waiting: 64) })
  }

  /// A closed loop: as soon as an append is durable the next one is handed over.
  private func appends(waiting: UInt64) throws(BenchError) -> Appends {
    driver.readClock()
    let (before, fresh, start, first) = (driver.statistics, driver.fresh, driver.now, driver.persisted)
    let end = start + Nanoseconds(UInt64(seconds * 1e9))
    var latencies = Latencies()
    var durable = first
    var turnedAt = start
    while driver.now < end || driver.persisted < driver.appended {
      while driver.now < end, driver.appended - driver.persisted < waiting {
        driver.append([UInt8](repeating: 7, count: LogCommand.payloadBytes))
      }
      try driver.turn()
      if driver.persisted > durable { latencies.add((driver.now - turnedAt).rawValue) }
      (durable, turnedAt) = (driver.persisted, driver.now)
    }
    precondition(driver.fresh == fresh, "no segment is made while appends are measured")
    let after = driver.statistics
    let (count, blocks) = (Int(driver.persisted - first), after.blocksWritten - before.blocksWritten)
    return Appends(
      seconds: Double((driver.now - start).rawValue) / 1e9, count: count, latencies: latencies,
      recordsPerWrite: Double(count) / Double(max(1, blocks)))
  }

  var figures: [Figure] {
    let time = single.map { $0.seconds / Double($0.count) }.median
    let rates = (single.map(\.perSecond).median, many.map(\.perSecond).median)
    return [
      Figure(
        name: "log/append-1/fio", value: time, unit: .seconds,
        reference: .init(name: "fio", value: reference.map(\.meanLatency).median)),
      Figure(
        name: "log/append-64", value: rates.1, unit: .perSecond, reference: .init(name: "append-1", value: rates.0)),
    ]
  }

  var remarks: [String] {
    func micros(_ values: [Double]) -> String { String(format: "%.0f µs", values.median * 1e6) }
    let records = many.map(\.recordsPerWrite).median
    return [
      "one at a time: P50 \(micros(single.map { $0.latencies.percentile(0.5) })), "
        + "P99 \(micros(single.map { $0.latencies.percentile(0.99) })); "
        + "fio: P50 \(micros(reference.map(\.p50))), P99 \(micros(reference.map(\.p99)))",
      "64 waiting: \(String(format: "%.1f", records)) records in a write of the device",
    ]
  }
}
