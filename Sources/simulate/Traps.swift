import Glibc

/// A trap in a node is a failed check as well, and must name its seed: that is said before the runtime's own handler,
/// which prints where it happened and ends the process.
enum Traps {
  /// What to say, ready before it is needed: a signal handler may not allocate.
  nonisolated(unsafe) private static let line = UnsafeMutableRawBufferPointer.allocate(byteCount: 128, alignment: 1)
  nonisolated(unsafe) private static var count = 0
  nonisolated(unsafe) private static var previous: (ill: sigaction, trap: sigaction) = (sigaction(), sigaction())

  static func watch() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in Traps.tell() }
    sigaction(SIGILL, &action, &previous.ill)
    sigaction(SIGTRAP, &action, &previous.trap)
  }

  static func running(_ seed: UInt64) {
    let text = Array("seed \(seed) trapped; replay: simulate --seed \(seed) --trace\n".utf8)
    count = min(text.count, line.count)
    line.copyBytes(from: text.prefix(count))
  }

  /// Returns to the instruction that trapped, which then traps into the handler that was there before.
  private static func tell() {
    _ = write(STDERR_FILENO, line.baseAddress, count)
    sigaction(SIGILL, &previous.ill, nil)
    sigaction(SIGTRAP, &previous.trap, nil)
  }
}
