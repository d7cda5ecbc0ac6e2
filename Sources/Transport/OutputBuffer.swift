import Glibc

/// Bytes on their way out: appended by TLS and HTTP/2, sent by the ring. One memory block that is kept between turns.
@usableFromInline package final class OutputBuffer {
  @exclusivity(unchecked) @usableFromInline var base: UnsafeMutableRawPointer
  @exclusivity(unchecked) @usableFromInline package private(set) var count = 0
  @exclusivity(unchecked) @usableFromInline var capacity: Int
  /// A block larger than this is given back when the buffer is emptied.
  private static let keptBytesMax = 256 << 10

  package init(capacity: Int = 4096) {
    base = .allocate(byteCount: capacity, alignment: 16)
    self.capacity = capacity
  }

  deinit { base.deallocate() }

  package var isEmpty: Bool { count == 0 }

  /// Valid until the next change.
  package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  package func append(_ source: UnsafeRawBufferPointer) {
    guard let start = source.baseAddress, source.count > 0 else { return }
    append(start, source.count)
  }

  package func append(_ source: UnsafeRawPointer, _ size: Int) {
    memcpy(reserve(size), source, size)
    count += size
  }

  package func append(_ source: [UInt8]) { source.withUnsafeBytes { append($0) } }

  package func append(_ text: StaticString) { append(text.utf8Start, text.utf8CodeUnitCount) }

  package func append(text: String) {
    var text = text
    text.withUTF8 { append(UnsafeRawBufferPointer($0)) }
  }

  /// Room for `size` bytes behind the content: write there, then `commit`.
  package func reserve(_ size: Int) -> UnsafeMutableRawPointer {
    if count + size > capacity { grow(to: count + size) }
    return base + count
  }

  package func commit(_ size: Int) {
    precondition(size >= 0 && count + size <= capacity, "what is committed was reserved")
    count += size
  }

  package func removeAll() {
    count = 0
    if capacity > OutputBuffer.keptBytesMax {
      base.deallocate()
      capacity = 4096
      base = .allocate(byteCount: capacity, alignment: 16)
    }
  }

  /// Gives back what an empty buffer has beyond its first bytes.
  package func releaseSpare() {
    guard count == 0, capacity > 4096 else { return }
    base.deallocate()
    capacity = 4096
    base = .allocate(byteCount: capacity, alignment: 16)
  }

  package var heldBytes: Int { capacity }

  private func grow(to needed: Int) {
    let larger = max(needed, capacity * 2)
    let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 16)
    memcpy(moved, base, count)
    base.deallocate()
    base = moved
    capacity = larger
  }
}

/// Two buffers: one is filled while the kernel sends the other.
package final class OutputPair {
  @exclusivity(unchecked) package private(set) var filling = OutputBuffer()
  @exclusivity(unchecked) private var sending = OutputBuffer()
  @exclusivity(unchecked) private var sent = 0

  package init() {}

  package var isSending: Bool { sent < sending.count }
  package var isEmpty: Bool { !isSending && filling.isEmpty }
  /// Bytes that wait, sent or not.
  package var count: Int { filling.count + sending.count - sent }

  package func releaseSpare() {
    filling.releaseSpare()
    sending.releaseSpare()
  }

  package var heldBytes: Int { filling.heldBytes + sending.heldBytes }

  /// What to send now: nil while the last is being sent, or when there is nothing. The bytes stay where they are until
  /// `didSend` has been told of all of them.
  package func take() -> UnsafeRawBufferPointer? {
    guard !isSending, !filling.isEmpty else { return nil }
    swap(&filling, &sending)
    return sending.bytes
  }

  /// `count` bytes have been sent. Returns what is left of them, to be sent next.
  package func didSend(_ count: Int) -> UnsafeRawBufferPointer? {
    precondition(count >= 0 && sent + count <= sending.count, "no more was sent than was taken")
    sent += count
    if sent < sending.count { return UnsafeRawBufferPointer(rebasing: sending.bytes[sent...]) }
    sending.removeAll()
    sent = 0
    return nil
  }
}

/// A growing block without an owner's class around it: part of a stream's slot, freed by hand when the slot goes.
struct RawBlock {
  var base: UnsafeMutableRawPointer?
  var count = 0
  var capacity = 0

  var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

  mutating func append(_ source: UnsafeRawPointer, _ size: Int) {
    if size == 0 { return }
    memcpy(reserve(size), source, size)
    count += size
  }

  mutating func reserve(_ size: Int) -> UnsafeMutableRawPointer {
    if let base, count + size <= capacity { return base + count }
    let larger = max(count + size, capacity * 2, 256)
    guard let moved = realloc(base, larger) else { preconditionFailure("there is memory for a stream") }
    base = moved
    capacity = larger
    return moved + count
  }

  /// Empties it; a block above `kept` bytes is given back.
  mutating func clear(keeping kept: Int) {
    count = 0
    if capacity > kept { release() }
  }

  mutating func release() {
    free(base)
    base = nil
    count = 0
    capacity = 0
  }

  /// Drops the first `size` bytes.
  mutating func dropFirst(_ size: Int) {
    guard let base else { return }
    memmove(base, base + size, count - size)
    count -= size
  }
}

/// Frees a block made by malloc.
func freeBlock(_ block: UnsafeMutableRawPointer) { free(block) }
