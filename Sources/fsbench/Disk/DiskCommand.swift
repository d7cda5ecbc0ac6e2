import ArgumentParser
import Ring

/// `fsbench disk`: 4 KiB reads and durable writes through the ring, beside fio. What our edge adds to the device.
struct DiskCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "disk", abstract: "4 KiB reads (O_DIRECT) and writes (O_DIRECT, O_DSYNC), beside fio.",
    discussion: "disk/…/4k is the rate with 32 in flight, disk/…/4k/latency the mean time with one in flight.")

  @OptionGroup var report: ReportOptions
  @OptionGroup var repetition: RoundsOptions
  @Option(help: ArgumentHelp("Where the file is made and removed.", valueName: "dir")) var directory = "."
  @Option(help: ArgumentHelp("Length of one measurement.", valueName: "seconds")) var seconds = 2.0
  @Option(help: ArgumentHelp("Size of the file.", valueName: "MiB")) var size: UInt64 = 256

  static let rateDepth = 32

  func validate() throws {
    guard seconds >= 0.1, seconds <= 60 else { throw ValidationError("--seconds is between 0.1 and 60.") }
    guard (1...65_536).contains(size) else { throw ValidationError("--size is between 1 and 65536.") }
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let (machine, fio) = (Machine(), try Fio())
      let scratch = try Scratch(under: directory)
      let file = "\(scratch.path)/file"
      try Self.makeFile(file, bytes: size << 20)
      let comparison = DiskComparison(file: file, fio: fio, machine: machine, seconds: seconds)
      var figures: [Figure] = []
      for direction in [DiskProbe.Direction.read, .write] {
        figures += try comparison.figures(direction, rounds: repetition.rounds)
      }
      try Report(options: report, prefix: "disk/", machine: machine).print(figures, remarks: [])
    }
  }

  /// Written once, so that what is measured changes no metadata.
  private static func makeFile(_ path: String, bytes: UInt64) throws(BenchError) {
    try BenchError.system { () throws(SystemError) in
      let file = try File(path, [.write, .create, .exclusive])
      try file.preallocate(bytes)
      try file.zeroFill(from: 0, count: bytes)
      try file.synchronize()
    }
  }
}

/// Ours and fio's in turn.
struct DiskComparison {
  let file: String
  let fio: Fio
  let machine: Machine
  let seconds: Double

  func figures(_ direction: DiskProbe.Direction, rounds: Int) throws(BenchError) -> [Figure] {
    let name = "disk/\(direction.rawValue)/4k"
    let many = try measure(direction, depth: DiskCommand.rateDepth, rounds: rounds)
    let single = try measure(direction, depth: 1, rounds: rounds)
    return [
      figure(name, .perSecond, many) { $0.perSecond },
      figure("\(name)/latency", .seconds, single) { $0.meanLatency },
    ]
  }

  private struct Side {
    var perSecond: Double
    var meanLatency: Double
  }

  private func figure(
    _ name: String, _ unit: Figure.Unit, _ rounds: [(ours: Side, fio: Side)], _ value: (Side) -> Double
  ) -> Figure {
    Figure(
      name: name, value: rounds.map { value($0.ours) }.median, unit: unit,
      reference: .init(name: "fio", value: rounds.map { value($0.fio) }.median))
  }

  private func measure(
    _ direction: DiskProbe.Direction, depth: Int, rounds: Int
  ) throws(BenchError) -> [(ours: Side, fio: Side)] {
    let probe = try DiskProbe(path: file, direction: direction, depth: depth)
    let pattern: Fio.Pattern = direction == .read ? .randomRead : .randomWrite
    var results: [(ours: Side, fio: Side)] = []
    for _ in 0..<rounds {
      let ours = try machine.measure { () throws(BenchError) in try probe.run(seconds: seconds) }
      let reference = try machine.measure { () throws(BenchError) in
        try fio.run(pattern, file: file, depth: depth, seconds: seconds)
      }
      results.append(
        (
          Side(perSecond: ours.perSecond, meanLatency: ours.latencies.mean),
          Side(perSecond: reference.perSecond, meanLatency: reference.meanLatency)
        ))
    }
    return results
  }
}
