import Foundation

/// One run of h2load with a fixed number of requests, each of which has to be answered with 2xx.
struct H2load {
  struct Request {
    var uri: String
    var headers: [String] = []
    /// The file of the body; with it h2load sends POST, or what the headers say.
    var body: String?
  }

  struct Result {
    var perSecond: Double
    /// Seconds.
    var meanLatency: Double
  }

  static let requestsMax = 2_000_000
  private let program: Program

  init() throws(BenchError) { program = try Program("h2load", package: "nghttp2-client") }

  /// About `seconds` of requests: how many, a short run tells.
  func run(_ request: Request, _ shape: Shape, seconds: Double) throws(BenchError) -> Result {
    let first = try run(request, shape, count: max(100, 10 * shape.inFlight))
    let count = Int(min(Double(H2load.requestsMax), first.perSecond * seconds))
    return try run(request, shape, count: max(count, shape.inFlight))
  }

  private func run(_ request: Request, _ shape: Shape, count: Int) throws(BenchError) -> Result {
    var arguments = ["-n", "\(count)", "-c", "\(shape.connections)", "-m", "\(shape.streams)", "-t", "1"]
    for header in request.headers { arguments += ["-H", header] }
    if let body = request.body { arguments += ["-d", body] }
    let output = String(decoding: try program.output(arguments + [request.uri]), as: UTF8.self)
    return try H2load.parse(output, count: count)
  }

  /// Of h2load's report the lines `finished in …, N req/s, …`, `status codes: N 2xx, …`, `time for request: min max mean …`.
  static func parse(_ output: String, count: Int) throws(BenchError) -> Result {
    func words(_ start: String) -> [Substring] {
      let line = output.split(separator: "\n").first { $0.hasPrefix(start) } ?? ""
      return line.dropFirst(start.count).split { $0 == " " || $0 == "," }
    }
    let (finished, codes, times) = (words("finished in"), words("status codes:"), words("time for request:"))
    guard finished.count > 1, let rate = Double(finished[1]), times.count > 2, let mean = seconds(times[2]) else {
      throw .failed("h2load's output is not understood:\n\(output)")
    }
    guard codes.first == "\(count)" else { throw .failed("not all of \(count) requests were answered 2xx:\n\(output)") }
    return Result(perSecond: rate, meanLatency: mean)
  }

  /// `245us`, `2.09ms`, `1.20s`.
  private static func seconds(_ text: Substring) -> Double? {
    for (suffix, size) in [("us", 1e-6), ("ms", 1e-3), ("s", 1.0)] where text.hasSuffix(suffix) {
      return Double(text.dropLast(suffix.count)).map { $0 * size }
    }
    return nil
  }
}
