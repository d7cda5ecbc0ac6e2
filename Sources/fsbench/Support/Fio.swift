import Foundation

/// The reference for the disk: fio, run on a file that is already written, with the same pattern as ours.
struct Fio {
  enum Pattern: String { case randomRead = "randread", randomWrite = "randwrite", sequentialWrite = "write" }

  struct Result {
    var perSecond: Double
    /// Seconds from submission to completion.
    var meanLatency: Double
    var p50: Double
    var p99: Double
  }

  private let program: Program

  init() throws(BenchError) { program = try Program("fio", package: "fio") }
  init(_ program: Program) { self.program = program }

  /// Operations past the page cache, through io_uring; writes are durable each (O_DSYNC).
  func run(
    _ pattern: Pattern, file: String, blockBytes: Int = 4096, depth: Int, seconds: Double
  ) throws(BenchError) -> Result {
    var arguments = [
      "--name=fsbench", "--filename=\(file)", "--rw=\(pattern.rawValue)", "--bs=\(blockBytes)", "--direct=1",
      "--ioengine=io_uring", "--iodepth=\(depth)", "--time_based", "--runtime=\(Int(seconds * 1000))ms",
      "--norandommap", "--randrepeat=0", "--fallocate=none", "--overwrite=1", "--lat_percentiles=1",
      "--output-format=json",
    ]
    if pattern != .randomRead { arguments.append("--sync=dsync") }
    return try decode(try program.output(arguments), pattern)
  }

  private struct Output: Decodable {
    struct Job: Decodable {
      var error: Int
      var read: Side
      var write: Side
    }
    struct Side: Decodable {
      var iops: Double
      var latency: Latency
      enum CodingKeys: String, CodingKey {
        case iops
        case latency = "lat_ns"
      }
    }
    struct Latency: Decodable {
      var mean: Double
      var percentile: [String: Double]?
    }
    var jobs: [Job]
  }

  private func decode(_ data: Data, _ pattern: Pattern) throws(BenchError) -> Result {
    let output: Output
    do { output = try JSONDecoder().decode(Output.self, from: data) } catch {
      throw .failed("fio's output is not understood: \(error)")
    }
    guard let job = output.jobs.first, job.error == 0 else { throw .failed("fio reports an error") }
    let side = pattern == .randomRead ? job.read : job.write
    func percentile(_ name: String) -> Double { (side.latency.percentile?[name] ?? 0) / 1e9 }
    return Result(
      perSecond: side.iops, meanLatency: side.latency.mean / 1e9, p50: percentile("50.000000"),
      p99: percentile("99.000000"))
  }
}
