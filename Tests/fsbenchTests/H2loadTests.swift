import Foundation
import Testing

@testable import fsbench

@Suite struct H2loadTests {
  /// As h2load 1.52 prints it.
  private let output = """
    starting benchmark...
    finished in 1.07ms, 18656.72 req/s, 723.31KB/s
    requests: 20 total, 20 started, 20 done, 20 succeeded, 0 failed, 0 errored, 0 timeout
    status codes: 20 2xx, 0 3xx, 0 4xx, 0 5xx
    time for request:       29us       193us      2.09ms        52us    80.00%
    req/s           :   12172.00    13887.23    13029.61     1212.85   100.00%
    """

  @Test func rateAndMeanAreRead() throws {
    let result = try H2load.parse(output, count: 20)
    #expect(result.perSecond == 18656.72)
    #expect(abs(result.meanLatency - 0.00209) < 1e-12)
  }

  @Test func answersThatAreMissingHaveNoFigures() {
    #expect(throws: BenchError.self) { try H2load.parse(output, count: 21) }
    #expect(throws: BenchError.self) {
      try H2load.parse(output.replacingOccurrences(of: "20 2xx", with: "19 2xx"), count: 20)
    }
    for line in ["finished in", "status codes:", "time for request:"] {
      #expect(throws: BenchError.self) {
        try H2load.parse(output.replacingOccurrences(of: line, with: "x"), count: 20)
      }
    }
  }
}
