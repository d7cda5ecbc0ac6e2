import CURing
import Glibc
import Primitives

extension Ring {
  /// Submits what is there, waits for at least one completion or for `deadline` (nil: as long as it takes; a passed moment:
  /// not at all), and returns all completions that are there, in order. Empty after the deadline or a signal. The buffer is
  /// valid until the next call of `wait`; its size is bounded by four times the ring's entries, the rest comes next time.
  /// For at most `polling` it looks for completions before it sleeps, and lets others run in between.
  package func wait(until deadline: Instant?, polling: Nanoseconds = .zero) -> UnsafeBufferPointer<Completion> {
    if !held.isEmpty {
      enter(until: .zero)
    } else if polling == .zero {
      enter(until: deadline)
    } else {
      poll(for: polling, until: deadline)
    }
    var count = takeHeld()
    count += harvest(into: completions + count, limit: completionsMax - count)
    return UnsafeBufferPointer(start: completions, count: count)
  }

  /// Submits, looks for completions without sleeping, and sleeps when none came. The first look is the system call that
  /// submits: a busy loop makes no other.
  private func poll(for time: Nanoseconds, until deadline: Instant?) {
    enter(until: .zero)
    if io_uring_cq_ready(ring) > 0 { return }
    let start = bootTime()
    let end = min(start + time, deadline ?? .never)
    var now = start
    while !hasCompletions, now < end {
      sched_yield()
      now = bootTime()
    }
    polled = polled + (now - start)
    enter(until: hasCompletions ? .zero : deadline)
  }

  private var hasCompletions: Bool {
    io_uring_cq_ready(ring) > 0 || ring.pointee.sq.kflags.pointee & Ring.kernelHasMore != 0
  }

  private func enter(until deadline: Instant?) {
    var code: Int32
    if let deadline {
      let rest = deadline - bootTime()
      if rest == .zero {
        code = io_uring_submit_and_get_events(ring)
      } else {
        var time = __kernel_timespec(
          tv_sec: Int64(clamping: rest.rawValue / 1_000_000_000), tv_nsec: Int64(rest.rawValue % 1_000_000_000))
        var first: UnsafeMutablePointer<io_uring_cqe>?
        code = io_uring_submit_and_wait_timeout(ring, &first, 1, &time, nil)
      }
    } else {
      code = io_uring_submit_and_wait(ring, 1)
    }
    let expected = code >= 0 || code == -ETIME || code == -EINTR || code == -EBUSY || code == -EAGAIN
    precondition(expected, "the kernel lets the thread that made the ring wait on it")
  }

  /// Copies completions that are in the queue; the ring's own are left out.
  private func harvest(into target: UnsafeMutablePointer<Completion>, limit: Int) -> Int {
    guard limit > 0 else { return 0 }
    let found = Int(io_uring_peek_batch_cqe(ring, harvested, UInt32(limit)))
    var count = 0
    for i in 0..<found {
      guard let source = harvested[i], source.pointee.user_data != Ring.ownToken else { continue }
      target[count] = Completion(
        token: source.pointee.user_data, result: source.pointee.res, flags: source.pointee.flags)
      count += 1
    }
    io_uring_cq_advance(ring, UInt32(found))
    return count
  }

  /// Both queues are full: makes room by taking completions before their turn. Bounded by the operations in flight.
  func holdCompletions() {
    let code = io_uring_get_events(ring)
    precondition(code >= 0 || code == -EINTR || code == -EAGAIN, "the kernel hands out completions")
    let count = harvest(into: completions, limit: completionsMax)
    held.append(contentsOf: UnsafeBufferPointer(start: completions, count: count))
  }

  private func takeHeld() -> Int {
    if held.isEmpty { return 0 }
    let count = min(held.count, completionsMax)
    for i in 0..<count { completions[i] = held[i] }
    held.removeFirst(count)
    return count
  }
}
