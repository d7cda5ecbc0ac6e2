/// Times of operations as a histogram: each is counted in a bucket, none is kept, so that a run may last. Count, mean
/// and maximum are exact. A percentile is never below the time that it stands for, and at most 1/128 above it.
///
///     0 … 255 ns     a bucket for each
///     256 … 511 ns   128 buckets of 2 ns
///     512 … 1023 ns  128 buckets of 4 ns, and so on for each doubling
struct Latencies {
  private static let perDoubling = 128
  private static let buckets = 58 * perDoubling

  private var counts = [UInt64](repeating: 0, count: buckets)
  private(set) var count = 0
  /// Nanoseconds.
  private var sum: UInt64 = 0
  private var highest: UInt64 = 0

  mutating func add(_ nanoseconds: UInt64) {
    counts[Latencies.bucket(of: nanoseconds)] += 1
    count += 1
    sum &+= nanoseconds
    highest = max(highest, nanoseconds)
  }

  /// Seconds.
  var mean: Double { count == 0 ? 0 : Double(sum) / Double(count) / 1e9 }

  /// Seconds.
  var maximum: Double { Double(highest) / 1e9 }

  /// Seconds; of no times, zero. The smallest time that `share` of all times do not exceed (nearest rank).
  func percentile(_ share: Double) -> Double {
    let rank = min(UInt64(count), max(1, UInt64((share * Double(count)).rounded(.up))))
    var seen: UInt64 = 0
    for (bucket, inBucket) in counts.enumerated() {
      seen += inBucket
      if seen >= rank, inBucket > 0 { return Double(min(highest, Latencies.highest(of: bucket))) / 1e9 }
    }
    return 0
  }

  private static func bucket(of value: UInt64) -> Int {
    guard value >= 128 else { return Int(value) }
    let shift = 56 - value.leadingZeroBitCount
    return shift * perDoubling + Int(value >> UInt64(shift))
  }

  private static func highest(of bucket: Int) -> UInt64 {
    guard bucket >= perDoubling else { return UInt64(bucket) }
    let shift = UInt64(bucket / perDoubling - 1)
    let head = UInt64(bucket % perDoubling + perDoubling)
    return (head + 1) &<< shift &- 1
  }
}
