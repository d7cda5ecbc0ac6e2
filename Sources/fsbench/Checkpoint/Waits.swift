import Primitives

/// How long requests waited, by the moment at which they arrived: of each millisecond the one that waited longest.
struct Waits {
  struct Wait: Equatable {
    var arrived: Instant
    var answered: Instant
    var length: Nanoseconds { answered - arrived }
  }

  private static let slot: UInt64 = 1_000_000
  private let start: Instant
  private var longest: [Wait?] = []

  /// - Parameter start: no request arrives before.
  init(start: Instant) { self.start = start }

  mutating func add(_ wait: Wait) {
    let slot = Int((wait.arrived - start).rawValue / Waits.slot)
    while longest.count <= slot { longest.append(nil) }
    if let known = longest[slot], known.length >= wait.length { return }
    longest[slot] = wait
  }

  /// The longest wait that lasted while a checkpoint did, and the longest of all others; nil where there was none.
  func longest(_ checkpoints: [CheckpointTimeline.Span]) -> (during: Nanoseconds?, outside: Nanoseconds?) {
    var result: (during: Nanoseconds?, outside: Nanoseconds?)
    for case let wait? in longest {
      if checkpoints.contains(where: { wait.arrived <= $0.finished && wait.answered >= $0.begun }) {
        result.during = max(result.during ?? .zero, wait.length)
      } else {
        result.outside = max(result.outside ?? .zero, wait.length)
      }
    }
    return result
  }
}
