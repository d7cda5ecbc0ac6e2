import Primitives

/// A fixed number of 4096-aligned buffers of one block each. A buffer is taken when a block is formed and comes back when
/// its write was reported, so its bytes are stable in between.
final class BufferPool {
  let count: Int
  private let memory: UnsafeMutableRawPointer
  private var free: [Int]

  init(count: Int) {
    self.count = count
    memory = .allocate(byteCount: count * JournalFormat.blockBytesMax, alignment: JournalFormat.pageBytes)
    free = Array((0..<count).reversed())
  }

  deinit { memory.deallocate() }

  var freeCount: Int { free.count }

  func take() -> Int? { free.popLast() }

  func giveBack(_ index: Int) {
    precondition(!free.contains(index), "a buffer comes back once")
    free.append(index)
  }

  subscript(index: Int) -> UnsafeMutableRawBufferPointer {
    precondition(index >= 0 && index < count, "a buffer of the pool")
    return UnsafeMutableRawBufferPointer(
      start: memory + index * JournalFormat.blockBytesMax, count: JournalFormat.blockBytesMax)
  }
}
