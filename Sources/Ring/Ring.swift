import CURing
import Glibc
import Primitives

/// The only code that enters the kernel: one io_uring for one thread.
///
/// **What it is for.** A core's thread gives its operations to the ring and gets their completions back:
///
///     let ring = try Ring()
///     ring.accept(on: listener.descriptor, token: 1)
///     while true {
///       for completion in ring.wait(until: deadline) { … }     // one system call a turn, submissions included
///     }
///
/// `wait` may be told to poll for a short time before it sleeps (`polling:`): waking a sleeping core costs more than a turn.
///
/// **How it works.** An operation fills a submission entry; nothing enters the kernel before `wait`, `submit`, or a full
/// submission queue. Each operation carries a 64-bit `token` that comes back with its completion: an index into the
/// caller's own tables, so the ring keeps no table. Results are the kernel's: a count or a descriptor, or `-errno`.
///
/// **Ownership of buffers.** A pointer handed to an operation belongs to the kernel from the call until the completion with
/// its token has been returned by `wait` (for a multishot: the one without `isMore`). Until then the caller neither moves,
/// changes, reads nor frees it, also after `cancel`: a cancelled operation completes too (with `-ECANCELED`, or with its
/// result when it was faster). Closing a descriptor does not end its operations: cancel them by `cancelAll(on:)`,
/// await them, then close.
///
/// **Invariants.** A ring is used by the thread that made it, and by no other (the kernel refuses others). Every submitted
/// operation completes exactly once, except multishots. `Ring.ownToken` belongs to the ring: such completions are not shown.
///
/// **What it does not do.** No retries, no buffers, no timers' wheel: one deadline is given to `wait`. The fallback for kernels
/// that refuse io_uring is not here: `init` says what to change.
package final class Ring {
  /// The token of operations whose completion nobody wants to see.
  @usableFromInline package static let ownToken = UInt64.max

  let ring: UnsafeMutablePointer<io_uring>
  /// IORING_RECVSEND_POLL_FIRST, which Swift does not import. Kernels before 5.19 refuse it.
  static let pollFirst: UInt16 = 1
  /// IORING_SQ_CQ_OVERFLOW and IORING_SQ_TASKRUN, likewise: there is something that only the kernel can hand out.
  static let kernelHasMore: UInt32 = 1 << 1 | 1 << 2

  /// Times of `timeout` operations; the kernel reads them when the entry is submitted, so as many as entries suffice.
  let times: UnsafeMutablePointer<__kernel_timespec>
  let entries: Int
  @exclusivity(unchecked) var nextTime = 0
  let harvested: UnsafeMutablePointer<UnsafeMutablePointer<io_uring_cqe>?>
  let completions: UnsafeMutablePointer<Completion>
  let completionsMax: Int
  /// Completions that had to be taken out of turn, because the queues were full, and those of injected faults.
  @exclusivity(unchecked) var held: [Completion] = []
  /// Tests and `faults:` put failures in the way of operations here. Nil in production.
  @exclusivity(unchecked) package var faults: (any FaultLayer)?
  /// One accept completes many times (Linux 5.19); otherwise each accept completes once, without `isMore`.
  package let acceptsMany: Bool
  /// Made with DEFER_TASKRUN and SINGLE_ISSUER (Linux 6.1): completions are run only inside `wait`.
  package let isDeferred: Bool
  /// Time that `wait` has polled.
  @exclusivity(unchecked) package var polled = Nanoseconds.zero

  /// Makes a ring for this thread. `entries` is the size of the submission queue; the completion queue holds four times as many.
  package init(entries: Int = 1024) throws(RingRefusal) {
    precondition(entries >= 8 && entries <= 16384, "a ring has between 8 and 16384 entries")
    self.entries = entries
    completionsMax = entries * 4
    ring = .allocate(capacity: 1)
    let made = Ring.setUp(ring, entries: entries)
    guard made.code == 0 else {
      ring.deallocate()
      throw RingRefusal(code: -made.code)
    }
    isDeferred = made.deferred
    acceptsMany = made.deferred
    times = .allocate(capacity: entries)
    times.initialize(repeating: __kernel_timespec(), count: entries)
    harvested = .allocate(capacity: completionsMax)
    harvested.initialize(repeating: nil, count: completionsMax)
    completions = .allocate(capacity: completionsMax)
    completions.initialize(repeating: Completion(token: 0, result: 0, flags: 0), count: completionsMax)
    useBootClock()
  }

  deinit {
    io_uring_queue_exit(ring)
    ring.deallocate()
    times.deallocate()
    harvested.deallocate()
    completions.deallocate()
  }

  /// Best flags first; an older kernel says EINVAL to those that it does not know.
  private static func setUp(
    _ ring: UnsafeMutablePointer<io_uring>, entries: Int
  ) -> (code: Int32, deferred: Bool) {
    let common = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP
    let choices = [
      // 1 << 12: SINGLE_ISSUER, 1 << 9: TASKRUN_FLAG
      (common | 1 << 12 | 1 << 9 | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL, true),
      (common | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SUBMIT_ALL, false),
      (common, false),
    ]
    var code: Int32 = -EINVAL
    for (flags, deferred) in choices {
      ring.initialize(to: io_uring())
      var parameters = io_uring_params()
      parameters.flags = flags
      parameters.cq_entries = UInt32(entries * 4)
      code = io_uring_queue_init_params(UInt32(entries), ring, &parameters)
      if code == 0 { return (0, deferred) }
      if code != -EINVAL { break }
    }
    return (code, false)
  }

  /// Lets the deadline of `wait` count the time of a suspended machine too (Linux 6.12; before, it does not count it).
  private func useBootClock() {
    var request: (clock: UInt32, UInt32, UInt32, UInt32) = (UInt32(CLOCK_BOOTTIME), 0, 0, 0)
    let registerClock: UInt32 = 29
    _ = withUnsafeBytes(of: &request) {
      io_uring_register(UInt32(ring.pointee.ring_fd), registerClock, $0.baseAddress, 0)
    }
  }

  /// The moment, by CLOCK_BOOTTIME.
  package func now() -> Instant { bootTime() }
}

/// The moment, by CLOCK_BOOTTIME: counts also while the machine sleeps, never jumps.
package func bootTime() -> Instant {
  var time = timespec()
  clock_gettime(CLOCK_BOOTTIME, &time)
  return Instant(nanoseconds: UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec))
}

/// The wall clock in nanoseconds since 1970, for people and for expiry dates; never for order.
package func wallTime() -> UInt64 {
  var time = timespec()
  clock_gettime(CLOCK_REALTIME, &time)
  return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// An operation has ended, or a multishot has something new.
@usableFromInline package struct Completion: Equatable, Sendable {
  /// What the caller gave with the operation.
  @usableFromInline package let token: UInt64
  /// A count of bytes, a descriptor, 0; or `-errno`.
  @usableFromInline package let result: Int32
  @usableFromInline package let flags: UInt32

  @inlinable package init(token: UInt64, result: Int32, flags: UInt32) {
    self.token = token
    self.result = result
    self.flags = flags
  }

  /// A multishot operation goes on: more completions with this token will come. False: submit it again if wanted.
  @inlinable package var isMore: Bool { flags & 2 != 0 }
  @inlinable package var isFailure: Bool { result < 0 }
  /// The errno of a failure, 0 otherwise.
  @inlinable package var code: Int32 { result < 0 ? -result : 0 }
}
