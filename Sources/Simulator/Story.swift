import Primitives

/// What happened in a run: a hash of everything, and on request the text.
///
/// The hash is the same for the same seed in debug and release, on every machine: it is fed with times, kinds and
/// numbers, never with addresses or hash values of the process.
struct Story {
  private(set) var hash: UInt64 = 0x5eed
  private(set) var lines: [String] = []
  let isTold: Bool

  init(isTold: Bool) { self.isTold = isTold }

  mutating func feed(_ a: UInt64, _ b: UInt64 = 0) {
    hash = foldedMultiply(hash ^ a &+ 0x9e37_79b9_7f4a_7c15, b ^ 0x8bb8_4b93_962e_acc9)
  }

  mutating func tell(_ time: Instant, _ text: @autoclosure () -> String) {
    guard isTold else { return }
    lines.append("\(time) \(text())")
  }
}
