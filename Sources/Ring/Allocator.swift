import CLinux

/// The C library's allocator, told to give back what is free.
///
/// By default it learns: once a large block was freed, blocks up to that size (to 32 MiB) come from the heap, where a small one
/// behind it keeps all of it resident, and twice as much may stay free at its end. Answers, bodies and log entries are such
/// blocks. With fixed thresholds a large block is a mapping of its own, which goes when it is freed.
package enum Allocator {
  private static let mappedFrom: Int32 = 256 << 10
  private static let trimmedFrom: Int32 = 1 << 20

  /// Once, before much was allocated.
  package static func configure() { fs_malloc_settings(mappedFrom, trimmedFrom) }

  /// Bytes that it has from the system, and of those the ones that nobody uses.
  package static var usage: (bytes: UInt64, freeBytes: UInt64) {
    var (bytes, free) = (0, 0)
    fs_malloc_usage(&bytes, &free)
    return (UInt64(bytes), UInt64(free))
  }
}
