/// Times of operations, for mean and percentiles. In nanoseconds; memory for a few seconds of the fastest disk.
struct Latencies {
  private var samples: [UInt32] = []
  private(set) var sum: UInt64 = 0
  private(set) var count = 0
  static let samplesMax = 4_000_000

  init() { samples.reserveCapacity(1 << 18) }

  mutating func add(_ nanoseconds: UInt64) {
    sum += nanoseconds
    count += 1
    if samples.count < Latencies.samplesMax { samples.append(UInt32(clamping: nanoseconds)) }
  }

  /// Seconds.
  var mean: Double { count == 0 ? 0 : Double(sum) / Double(count) / 1e9 }

  /// Seconds; of no samples, zero.
  func percentile(_ share: Double) -> Double {
    guard !samples.isEmpty else { return 0 }
    let ordered = samples.sorted()
    return Double(ordered[min(ordered.count - 1, Int(Double(ordered.count) * share))]) / 1e9
  }
}
