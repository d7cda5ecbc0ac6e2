import CLinux
import Glibc

/// SIGTERM, SIGINT and SIGHUP as bytes on a descriptor that the ring reads.
///
/// Made before any thread is started, because a signal goes to any thread that does not block it. SIGPIPE is ignored for
/// the whole process: an ended connection is an error of `send`.
package struct Signals: ~Copyable {
  package let descriptor: Int32

  /// The size of the buffer for `Ring.read(signals.descriptor, into:, at: nil)`.
  package static let recordBytes = 128  // struct signalfd_siginfo

  package init() throws(SystemError) {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGINT)
    sigaddset(&set, SIGHUP)
    let code = pthread_sigmask(SIG_BLOCK, &set, nil)
    guard code == 0 else { throw SystemError("pthread_sigmask", "signals", code: code) }
    signal(SIGPIPE, SIG_IGN)
    let opened = fs_signalfd(&set)
    guard opened >= 0 else { throw SystemError("signalfd", "signals") }
    descriptor = opened
  }

  deinit { Glibc.close(descriptor) }

  /// SIGHUP, which ends nothing.
  package static let reload = SIGHUP

  /// The number of the signal (SIGTERM 15, SIGINT 2, SIGHUP 1) in a record that was read; nil when it is too short.
  package static func number(in record: UnsafeRawBufferPointer) -> Int32? {
    guard record.count >= recordBytes else { return nil }
    return Int32(bitPattern: record.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
  }
}

/// Wakes a ring from another thread: that thread calls `wake`, this one reads 8 bytes of `descriptor` through its ring.
package struct WakeUp: ~Copyable, Sendable {
  package let descriptor: Int32

  package init() throws(SystemError) {
    let opened = fs_eventfd()
    guard opened >= 0 else { throw SystemError("eventfd", "wake-up") }
    descriptor = opened
  }

  deinit { Glibc.close(descriptor) }

  /// May be called by any thread. Several calls before the read are one.
  package func wake() {
    var one: UInt64 = 1
    _ = Glibc.write(descriptor, &one, 8)
  }
}
