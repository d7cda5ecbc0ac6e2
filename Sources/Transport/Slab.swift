import Primitives

/// Names a stream of a session for as long as it is open, and nothing afterwards: a slot's next stream has another generation.
@usableFromInline package struct StreamHandle: Hashable, Sendable {
  @usableFromInline package let slot: UInt32
  @usableFromInline package let generation: UInt32

  @inlinable package init(slot: UInt32, generation: UInt32) {
    self.slot = slot
    self.generation = generation
  }

  /// As one number, for tables of the caller's.
  @inlinable package var rawValue: UInt64 { UInt64(generation) << 32 | UInt64(slot) }
  @inlinable package init(rawValue: UInt64) {
    slot = UInt32(truncatingIfNeeded: rawValue)
    generation = UInt32(truncatingIfNeeded: rawValue >> 32)
  }
}

/// What a slab holds: a value that is used again and again, told apart by its generation.
protocol SlabSlot {
  init(index: UInt32)
  var index: UInt32 { get }
  var generation: UInt32 { get }
  var isFree: Bool { get }
  /// Frees it for another use, with the next generation; small blocks are kept.
  mutating func end()
  /// Gives all memory back.
  mutating func release()
}

extension SlabSlot {
  var handle: StreamHandle { StreamHandle(slot: index, generation: generation) }
}

/// Slots in chunks that never move, so that nghttp2 may hold pointers to them.
final class Slab<Slot: SlabSlot> {
  @exclusivity(unchecked) private var chunks: [UnsafeMutablePointer<Slot>] = []
  @exclusivity(unchecked) private var free: [UInt32] = []
  private let chunkSlots = 16
  private let slotsMax: Int
  @exclusivity(unchecked) private(set) var used = 0

  init(slotsMax: Int) { self.slotsMax = slotsMax }

  deinit {
    for chunk in chunks {
      for i in 0..<chunkSlots { chunk[i].release() }
      chunk.deinitialize(count: chunkSlots)
      chunk.deallocate()
    }
  }

  func take() -> UnsafeMutablePointer<Slot>? {
    if free.isEmpty, !addChunk() { return nil }
    used += 1
    return self[free.removeLast()]
  }

  func give(_ slot: UnsafeMutablePointer<Slot>) {
    slot.pointee.end()
    free.append(slot.pointee.index)
    used -= 1
  }

  subscript(index: UInt32) -> UnsafeMutablePointer<Slot> {
    chunks[Int(index) / chunkSlots] + Int(index) % chunkSlots
  }

  /// The slot while the handle's stream is open.
  func find(_ handle: StreamHandle) -> UnsafeMutablePointer<Slot>? {
    guard Int(handle.slot) < chunks.count * chunkSlots else { return nil }
    let slot = self[handle.slot]
    return slot.pointee.generation != handle.generation || slot.pointee.isFree ? nil : slot
  }

  /// Every slot in use, in the order of the slab.
  func forEach(_ body: (UnsafeMutablePointer<Slot>) -> Void) {
    for chunk in chunks {
      for i in 0..<chunkSlots where !chunk[i].isFree { body(chunk + i) }
    }
  }

  /// Slots that are free give back the blocks that they keep.
  func releaseSpare() {
    for chunk in chunks {
      for i in 0..<chunkSlots where chunk[i].isFree { chunk[i].release() }
    }
  }

  private func addChunk() -> Bool {
    let first = chunks.count * chunkSlots
    guard first < slotsMax else { return false }
    let chunk = UnsafeMutablePointer<Slot>.allocate(capacity: chunkSlots)
    for i in 0..<chunkSlots { (chunk + i).initialize(to: Slot(index: UInt32(first + i))) }
    chunks.append(chunk)
    for i in (0..<min(chunkSlots, slotsMax - first)).reversed() { free.append(UInt32(first + i)) }
    return true
  }
}
