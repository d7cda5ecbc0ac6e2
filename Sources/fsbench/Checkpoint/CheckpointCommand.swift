import ArgumentParser
import Foundation

/// `fsbench checkpoint`: a steady rate of writes to random rows of a running cluster, and how much longer they wait while
/// the leader makes a checkpoint.
struct CheckpointCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "checkpoint", abstract: "Waits of writes during checkpoints and between them, of a running cluster.",
    discussion: """
      First all rows are put in, in the order of their keys (unless --filled); then writes to random ones arrive at \
      --rate, whatever the answers do, over TLS 1.3 for https://, keys of 16 bytes and values of 100. A write's wait is \
      counted from its arrival. Meanwhile the leader's metrics tell, 50 times a second, when its checkpoints began and \
      ended: a wait that overlaps a checkpoint counts as one during it. The leader has to stay the same, and its applied \
      commands have to rise by the number of writes; otherwise there are no figures.

      checkpoint/wait/during and …/outside are the longest waits, checkpoint/stall is the difference (its reference is the bar), \
      …/p99.9 is of all. checkpoint/count is of checkpoints that ended. checkpoint/begin is the mean turn of the leader's \
      loop in which one began, checkpoint/write-amplification the bytes of pages and log that the leader wrote for \
      each byte of keys and values. How often there are checkpoints depends on the nodes' memory (one begins when three \
      eighths of it are dirty, or after 64 MiB of log).
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup(title: "Cluster") var cluster: FileStoreOptions
  @Option(help: ArgumentHelp("Writes that arrive each second.", valueName: "count")) var rate = 20_000.0
  @Option(help: ArgumentHelp("How long they arrive.", valueName: "seconds")) var seconds = 300.0
  @Option(help: ArgumentHelp("How many rows there are.", valueName: "count")) var rows = 2_000_000
  @Option(help: ArgumentHelp("Connections x streams: at most so many are in flight.", valueName: "CxS"))
  var shape = "16x32"
  @Option(help: ArgumentHelp("Decides which rows are written.", valueName: "number")) var seed: UInt64 = 1
  @Flag(help: "The rows are there already.") var filled = false
  @Option(help: ArgumentHelp("Filling may take so long.", valueName: "seconds")) var fillSeconds = 300.0

  func validate() throws {
    guard (1...1_000_000).contains(rate) else { throw ValidationError("--rate is between 1 and 1000000.") }
    guard seconds >= 0.1, seconds <= 3600 else { throw ValidationError("--seconds is between 0.1 and 3600.") }
    guard (1...100_000_000).contains(rows) else { throw ValidationError("--rows is between 1 and 100000000.") }
    guard Shape(shape) != nil else { throw ValidationError("--shape is one such as 16x32.") }
    guard fillSeconds >= 1, fillSeconds <= 3600 else {
      throw ValidationError("--fill-seconds is between 1 and 3600.")
    }
  }

  var settings: CheckpointRun.Settings {
    .init(
      shape: Shape(shape) ?? .single, rows: UInt64(rows), seed: seed, perSecond: rate, seconds: seconds,
      fillSecondsMax: fillSeconds)
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let run = CheckpointRun(address: try cluster.place(), tls: try cluster.makeTLS(), settings: settings)
      if !filled { try run.fill() }
      let (machine, ticks) = (Machine(), Ticks.now())
      let result = try run.run()
      let steal = String(format: "%.1f", 100 * Ticks.now().steal(since: ticks))
      let edge = String(format: "%.1f", 1000 * result.uncertainty / 2)
      try Report(options: report, prefix: "checkpoint/", machine: machine).print(
        result.figures,
        remarks: ["the host took \(steal) % of the processors' time; checkpoints are known to within \(edge) ms"])
    }
  }
}
