import Glibc

/// A trap in a node is a failed check as well, and must name its seed: that is said before the runtime's own handler,
/// which prints where it happened and ends the process.
enum Traps {
  /// What to say, ready before it is needed: a signal handler may not allocate.
  nonisolated(unsafe) private static let line = UnsafeMutableRawBufferPointer.allocate(byteCount: 128, alignment: 1)
  nonisolated(unsafe) private static var count = 0
  /// The handlers of SIGILL and SIGTRAP before. On the heap: as a variable of its own Swift 6.3 gives a `sigaction` 148 bytes,
  /// the system writes 152, and what stood behind it was overwritten.
  nonisolated(unsafe) private static let previous = UnsafeMutablePointer<sigaction>.allocate(capacity: 2)

  static func watch() {
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in Traps.tell() }
    sigaction(SIGILL, &action, previous)
    sigaction(SIGTRAP, &action, previous + 1)
  }

  static func running(_ seed: UInt64) {
    let text = Array("seed \(seed) trapped; replay: simulate --seed \(seed) --trace\n".utf8)
    count = min(text.count, line.count)
    line.copyBytes(from: text.prefix(count))
  }

  /// Returns to the instruction that trapped, which then traps into the handler that was there before.
  private static func tell() {
    _ = write(STDERR_FILENO, line.baseAddress, count)
    sigaction(SIGILL, previous, nil)
    sigaction(SIGTRAP, previous + 1, nil)
  }
}
