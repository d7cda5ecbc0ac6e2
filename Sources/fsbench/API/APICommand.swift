import ArgumentParser
import Foundation

/// `fsbench api`: one row of a running cluster read by h2load, beside nghttpd answering the same bytes from a file, and the
/// same row written.
struct APICommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "api", abstract: "Reads and writes of one row of a running cluster, beside nghttpd.",
    discussion: """
      The leader is driven directly. Writes put the row as it is. api/read/CxM/nghttpd is the rate of reads beside \
      nghttpd's, api/read/CxM/latency the mean time; api/write/CxM and its latency stand by themselves. Whole clusters \
      beside etcd: Cluster/compare-etcd.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var repetition: RoundsOptions
  @OptionGroup var target: TargetOptions
  @Option(help: ArgumentHelp("Length of one measurement.", valueName: "seconds")) var seconds = 2.0
  @Option(help: ArgumentHelp("Connections x streams, separated by commas.", valueName: "list"))
  var shapes = "1x1,16x1,16x16,32x32"

  private var parsedShapes: [Shape] { Shape.list(shapes) ?? [] }

  func validate() throws {
    guard seconds >= 0.1, seconds <= 30 else { throw ValidationError("--seconds is between 0.1 and 30.") }
    guard Shape.list(shapes) != nil else { throw ValidationError("--shapes is a list such as 1x1,16x16.") }
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let machine = Machine()
      let comparison = try APIComparison(Target(target), seconds: seconds, machine: machine)
      for _ in 0..<repetition.rounds {
        for shape in parsedShapes { try comparison.round(shape) }
      }
      try Report(options: report, prefix: "api/", machine: machine).print(
        parsedShapes.flatMap(comparison.figures), remarks: [])
    }
  }
}

/// Results of all rounds.
final class APIComparison {
  private struct Round {
    var read: H2load.Result
    var reference: H2load.Result
    var write: H2load.Result
  }

  private let h2load: H2load
  private let nghttpd: Nghttpd
  private let scratch: Scratch
  private let read: H2load.Request
  private let write: H2load.Request
  private let seconds: Double
  private let machine: Machine
  private var rounds: [Shape: [Round]] = [:]

  init(_ target: Target, seconds: Double, machine: Machine) throws(BenchError) {
    self.seconds = seconds
    self.machine = machine
    h2load = try H2load()
    scratch = try Scratch(under: NSTemporaryDirectory())
    nghttpd = try Nghttpd(answering: target.row, isSecure: target.leader.isSecure, scratch: scratch)
    read = target.read
    write = target.write(bodyFile: "\(scratch.path)/row")
  }

  func round(_ shape: Shape) throws(BenchError) {
    let round = Round(
      read: try measure(read, shape), reference: try measure(H2load.Request(uri: nghttpd.uri), shape),
      write: try measure(write, shape))
    rounds[shape, default: []].append(round)
  }

  private func measure(_ request: H2load.Request, _ shape: Shape) throws(BenchError) -> H2load.Result {
    try machine.measure { () throws(BenchError) in try h2load.run(request, shape, seconds: seconds) }
  }

  func figures(_ shape: Shape) -> [Figure] {
    let all = rounds[shape] ?? []
    func median(_ value: (Round) -> Double) -> Double { all.map(value).median }
    let reference = Figure.Reference(name: "nghttpd", value: median { $0.reference.perSecond })
    return [
      Figure(
        name: "api/read/\(shape)/nghttpd", value: median { $0.read.perSecond }, unit: .perSecond, reference: reference),
      Figure(name: "api/read/\(shape)/latency", value: median { $0.read.meanLatency }, unit: .seconds),
      Figure(name: "api/write/\(shape)", value: median { $0.write.perSecond }, unit: .perSecond),
      Figure(name: "api/write/\(shape)/latency", value: median { $0.write.meanLatency }, unit: .seconds),
    ]
  }
}
