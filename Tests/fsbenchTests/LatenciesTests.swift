import Primitives
import Testing

@testable import fsbench

@Suite struct LatenciesTests {
  private func latencies(_ times: [UInt64]) -> Latencies {
    var latencies = Latencies()
    for time in times { latencies.add(time) }
    return latencies
  }

  /// Of a sorted array: the smallest time that `share` of all do not exceed.
  private func exact(_ times: [UInt64], _ share: Double) -> UInt64 {
    times.sorted()[max(0, Int((share * Double(times.count)).rounded(.up)) - 1)]
  }

  @Test(arguments: [1, 2, 3, 10, 1000, 4321])
  func percentilesAreThoseOfASortedArray(count: Int) {
    var random = SeededRandom(seed: UInt64(count))
    // From nanoseconds to minutes, each order of magnitude as often.
    let times = (0..<count).map { _ in random.below(1 << random.below(38)) }
    let latencies = latencies(times)
    for share in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
      let exact = Double(exact(times, share)) / 1e9
      let found = latencies.percentile(share)
      #expect(found >= exact && found <= exact * (1 + 1.0 / 128), "P\(share * 100): \(found), exactly \(exact)")
    }
  }

  @Test func meanAndMaximumAreExact() {
    let latencies = latencies([1_000_003, 5, 2_000_000_001])
    #expect(latencies.count == 3)
    #expect(latencies.maximum == 2.000_000_001)
    #expect(latencies.percentile(1) == 2.000_000_001)
    #expect(abs(latencies.mean - 2_001_000_009.0 / 3 / 1e9) < 1e-12)
  }

  @Test func shortTimesAreExact() {
    for time in UInt64(0)..<256 { #expect(latencies([time, 1 << 40]).percentile(0.5) == Double(time) / 1e9) }
  }

  @Test func anyTimeHasItsPlace() {
    #expect(latencies([.max]).percentile(0.5) == Double(UInt64.max) / 1e9)
    for shift in UInt64(0)..<64 {
      for time in [(1 << shift) - 1, 1 << shift, (1 << shift) + 1] as [UInt64] {
        #expect(latencies([time]).percentile(0.5) == Double(time) / 1e9)
      }
    }
  }

  @Test func withoutTimesAllIsZero() {
    #expect([Latencies().mean, Latencies().maximum, Latencies().percentile(0.99)] == [0, 0, 0])
  }
}
