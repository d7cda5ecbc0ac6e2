import Glibc

/// Memory for pages: of huge pages where the kernel has them, and there from the start, so that no access faults later.
package enum ResidentMemory {
  /// MADV_HUGEPAGE and MADV_POPULATE_WRITE; a kernel that refuses one costs speed, nothing else.
  private static let hugePages: Int32 = 14
  private static let populate: Int32 = 23

  /// Bytes of any content, aligned to `alignment`, a power of two.
  package static func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
    var memory: UnsafeMutableRawPointer?
    guard posix_memalign(&memory, max(alignment, 4096), byteCount) == 0, let memory else {
      preconditionFailure("the machine has \(byteCount) bytes of memory for pages: set `memory` lower")
    }
    _ = madvise(memory, byteCount, hugePages)
    _ = madvise(memory, byteCount, populate)
    return memory
  }

  package static func deallocate(_ memory: UnsafeMutableRawPointer) { free(memory) }
}
