import CFuzzer

/// Counts the bytes that a run has allocated and not freed, by hooks of the address sanitizer.
enum Meter {
  private struct Count {
    var isOn = false
    var held = 0
    var peak = 0
  }

  nonisolated(unsafe) private static let count: UnsafeMutablePointer<Count> = {
    let count = UnsafeMutablePointer<Count>.allocate(capacity: 1)
    count.initialize(to: Count())
    return count
  }()

  /// Once, before the first run.
  static func install() {
    count.pointee.isOn = false  // made before the hooks, which must not allocate
    _ = __sanitizer_install_malloc_and_free_hooks({ _, size in Meter.took(size) }, { Meter.freed($0) })
  }

  private static func took(_ size: Int) {
    guard count.pointee.isOn else { return }
    count.pointee.held += size
    count.pointee.peak = max(count.pointee.peak, count.pointee.held)
  }

  private static func freed(_ block: UnsafeRawPointer?) {
    guard count.pointee.isOn, let block else { return }
    count.pointee.held -= __sanitizer_get_allocated_size(block)
  }

  static func begin() { count.pointee = Count(isOn: true) }

  static func end(inputBytes: Int, _ bound: MemoryBound) {
    count.pointee.isOn = false
    let limit = bound.base + bound.perInputByte * inputBytes
    require(
      count.pointee.peak <= limit, "\(inputBytes) bytes of input take at most \(limit) bytes, not \(count.pointee.peak)"
    )
  }
}
