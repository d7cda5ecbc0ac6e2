import Foundation
import Primitives

// The one clock of the test: all its threads share it, and it never goes back.

enum Clock {
  static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_BOOTTIME, &time)
    return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
  }

  static func sleep(_ time: Nanoseconds) {
    let end = now() + time
    while true {
      let left = end - now()
      if left == .zero { return }
      var rest = timespec(tv_sec: Int(left.rawValue / 1_000_000_000), tv_nsec: Int(left.rawValue % 1_000_000_000))
      nanosleep(&rest, nil)
    }
  }
}

extension Nanoseconds {
  var seconds: Double { Double(rawValue) / 1e9 }
}

extension SeededRandom {
  /// Uniform between two numbers of milliseconds.
  mutating func milliseconds(_ range: ClosedRange<UInt64>) -> Nanoseconds {
    .milliseconds(range.lowerBound + below(range.upperBound - range.lowerBound + 1))
  }
}
