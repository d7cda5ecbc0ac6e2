import CURing
import Glibc
import Primitives

/// Memory for pages: one range of addresses, of huge pages where the kernel has them, handed out from its beginning.
///
/// A kernel clears a huge page when it is touched first, which takes as long as hundreds of rows. So the next `bytesAhead` are
/// cleared before they are wanted, by the kernel's own workers: the ring carries the order, and nobody waits for its end. What
/// is wanted sooner is cleared at its first touch; a kernel that refuses any of it costs speed, nothing else.
///
/// On a machine of several nodes of memory it is taken from the one that is asked for, as long as that has any: without a word from
/// the one near the processor that makes it. The thread is not kept there: who wants that keeps the process there.
package final class ResidentMemory: @unchecked Sendable {
  /// So much of what was not handed out yet is resident or on its way.
  package static let bytesAhead = 16 << 20
  private static let hugePageBytes = 2 << 20

  /// MADV_HUGEPAGE and MADV_POPULATE_WRITE.
  private static let hugePages: Int32 = 14
  private static let populate: Int32 = 23

  private let mapping: UnsafeMutableRawPointer
  private let mappedBytes: Int
  private let start: UnsafeMutableRawPointer
  private let byteCount: Int
  private var handedOut = 0
  private var ordered = 0
  /// Of its own, so that its completions disturb nobody. Nil where the kernel has none.
  private let ring: Ring?

  /// `byteCount` bytes at most are going to be used. For one thread, that which makes it.
  package init(byteCount: Int, node: Int = MemoryNodes.current) {
    precondition(byteCount > 0, "memory has bytes")
    self.byteCount = byteCount
    mappedBytes = byteCount + Self.hugePageBytes
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    guard let mapping = mmap(nil, mappedBytes, PROT_READ | PROT_WRITE, flags, -1, 0), mapping != MAP_FAILED else {
      preconditionFailure("the machine has \(byteCount) bytes of memory for pages: set `memory` lower")
    }
    self.mapping = mapping
    start = mapping.alignedUp(toMultipleOf: Self.hugePageBytes)
    _ = madvise(start, byteCount, Self.hugePages)
    MemoryNodes.prefer(node, for: UnsafeMutableRawBufferPointer(start: start, count: byteCount))
    do throws(RingRefusal) { ring = try Ring(entries: 8) } catch { ring = nil }
    orderAhead()
  }

  deinit { munmap(mapping, mappedBytes) }

  /// The next bytes, of any content.
  package func take(_ count: Int) -> UnsafeMutableRawPointer {
    precondition(count > 0 && count <= byteCount - handedOut, "no more memory is used than was reserved")
    defer { handedOut += count }
    orderAhead(of: count)
    return start + handedOut
  }

  /// What was taken so far.
  package var handedOutBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: start, count: handedOut) }

  private func orderAhead(of count: Int = 0) {
    guard let ring else { return }
    let end = min(byteCount, handedOut + count + Self.bytesAhead)
    guard ordered < end else { return }
    while ordered < end {
      let part = min(Self.hugePageBytes, end - ordered)
      ring.advise(start + ordered, part, Self.populate, token: Ring.ownToken)
      ordered += part
    }
    _ = ring.wait(until: .zero)
  }
}
