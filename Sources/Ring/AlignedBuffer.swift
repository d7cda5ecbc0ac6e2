import Glibc

/// Memory for O_DIRECT: aligned, zeroed, freed with its owner.
package struct AlignedBuffer: ~Copyable, @unchecked Sendable {
  package let bytes: UnsafeMutableRawBufferPointer

  /// `count` is a multiple of `alignment`, a power of two of at least 512.
  package init(count: Int, alignment: Int = 4096) {
    precondition(count > 0 && count % alignment == 0, "a buffer is a whole number of blocks")
    var memory: UnsafeMutableRawPointer?
    let code = posix_memalign(&memory, alignment, count)
    guard code == 0, let memory else { preconditionFailure("there is memory for an I/O buffer") }
    bytes = UnsafeMutableRawBufferPointer(start: memory, count: count)
    memset(memory, 0, count)
  }

  deinit { free(bytes.baseAddress) }

  package var readOnly: UnsafeRawBufferPointer { UnsafeRawBufferPointer(bytes) }
}
