import Primitives

/// Durations in buckets that grow by the square root of two: log-linear with two steps an octave, from 1 µs to about 64 s.
/// Every bucket is off by at most 41 %, which is what a graph can show; recording costs a few instructions.
package struct Histogram: Sendable {
  /// Upper bounds in nanoseconds: 1 µs, 1.5 µs, 2 µs, 3 µs, 4 µs, …
  package static let bucketCount = 53
  private var counts = InlineArray<53, UInt64>(repeating: 0)
  package private(set) var count: UInt64 = 0
  /// Nanoseconds.
  package private(set) var sum: UInt64 = 0

  package init() {}

  package static func upperBound(_ bucket: Int) -> UInt64 {
    let octave: UInt64 = 1000 << UInt64(bucket / 2)
    return bucket % 2 == 0 ? octave : octave + octave / 2
  }

  static func bucket(_ nanoseconds: UInt64) -> Int {
    if nanoseconds <= 1000 { return 0 }
    if nanoseconds > upperBound(bucketCount - 1) { return bucketCount }
    let ratio = (nanoseconds - 1) / 1000
    let octave = 63 - ratio.leadingZeroBitCount
    let floor: UInt64 = 1000 << UInt64(octave)
    return 2 * octave + (nanoseconds <= floor + floor / 2 ? 1 : 2)
  }

  package mutating func record(_ duration: Nanoseconds) {
    count += 1
    sum &+= duration.rawValue
    let bucket = Self.bucket(duration.rawValue)
    if bucket < Self.bucketCount { counts[bucket] += 1 }
  }

  /// How many are at or below the bound of each bucket, in order.
  package func forEachCumulative(_ body: (_ bound: UInt64, _ count: UInt64) -> Void) {
    var total: UInt64 = 0
    for bucket in 0..<Self.bucketCount {
      total += counts[bucket]
      body(Self.upperBound(bucket), total)
    }
  }
}
