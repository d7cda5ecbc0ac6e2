// Finding a key in a tree page: the prefix, then the slots as numbers, then, on ties, the keys themselves.

import Primitives

/// Negative, zero or positive as `a` is before, equal to or after `b`, byte by byte; a prefix is before what it begins.
/// The bytes before `start` are known to be the same.
@inline(__always) func compareBytes(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, from start: Int = 0)
  -> Int
{
  let shared = min(a.count, b.count)
  guard let x = a.baseAddress, let y = b.baseAddress else { return a.count - b.count }
  var offset = start
  while offset &+ 8 <= shared {
    let p = x.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    let q = y.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
    if p != q { return UInt64(bigEndian: p) < UInt64(bigEndian: q) ? -1 : 1 }
    offset &+= 8
  }
  if offset < shared, shared >= 8 {
    // The last eight: those among them that were compared already are the same.
    offset = shared
    let p = x.loadUnaligned(fromByteOffset: shared &- 8, as: UInt64.self)
    let q = y.loadUnaligned(fromByteOffset: shared &- 8, as: UInt64.self)
    if p != q { return UInt64(bigEndian: p) < UInt64(bigEndian: q) ? -1 : 1 }
  }
  while offset < shared {
    let p = x.load(fromByteOffset: offset, as: UInt8.self)
    let q = y.load(fromByteOffset: offset, as: UInt8.self)
    if p != q { return p < q ? -1 : 1 }
    offset &+= 1
  }
  return a.count - b.count
}

/// How many first bytes are the same, at most `limit`.
func sharedCount(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer, limit: Int = .max) -> Int {
  let end = min(a.count, b.count, limit)
  var offset = 0
  while offset < end, a[offset] == b[offset] { offset += 1 }
  return offset
}

extension Page {
  /// The upper 48 bits of a slot for `key` in a page whose prefix has `skip` bytes; the lower 16 are zero.
  @inline(__always) static func head(_ key: UnsafeRawBufferPointer, skip: Int) -> UInt64 {
    let rest = key.count &- skip
    guard rest > 0, let base = key.baseAddress else { return 0 }
    if rest >= 8 {
      return UInt64(bigEndian: base.loadUnaligned(fromByteOffset: skip, as: UInt64.self)) & ~0xFFFF
    }
    var head: UInt64 = 0
    for i in 0..<min(rest, 6) {
      head |= UInt64(base.load(fromByteOffset: skip + i, as: UInt8.self)) << UInt64(56 - 8 * i)
    }
    return head
  }

  /// The first slot at or behind `low` that is not below `target`. Neither a branch nor the number of steps depends on the
  /// keys.
  @inline(__always) func lowerBound(_ target: UInt64, from low: Int) -> Int {
    var start = low
    var rest = count &- low
    guard rest > 0 else { return low }
    while rest > 1 {
      let half = rest >> 1
      start = select(slot(start &+ half &- 1) < target, start &+ half, start)
      rest &-= half
    }
    return slot(start) < target ? start &+ 1 : start
  }

  /// The slot of `key`, or the slot where it belongs.
  @inline(__always) func search(_ key: UnsafeRawBufferPointer, from low: Int) -> (index: Int, found: Bool) {
    let skip = prefixCount
    if skip > 0 {
      let order = compareWithPrefix(key, skip)
      if order != 0 { return (order < 0 ? low : max(low, count), false) }
    }
    let head = Page.head(key, skip: skip)
    let index = lowerBound(head, from: low)
    if index >= count || slot(index) & ~0xFFFF != head { return (index, false) }
    let record = record(index)
    prefetchRest(of: record)
    let order = compareBytes(Page.key(record), key, from: skip &+ 6)  // the head's
    if order >= 0 { return (index, order == 0) }
    return searchTies(key, head: head, from: index + 1, skip: skip)
  }

  /// Several keys have the same head: a binary search over the keys themselves.
  @inline(never) func searchTies(
    _ key: UnsafeRawBufferPointer, head: UInt64, from low: Int, skip: Int
  ) -> (index: Int, found: Bool) {
    var start = low
    var end = lowerBound(head | 0xFFFF, from: low)
    while start < end {
      let middle = (start + end) / 2
      let order = compareBytes(self.key(middle), key, from: skip)
      if order == 0 { return (middle, true) }
      if order < 0 { start = middle + 1 } else { end = middle }
    }
    return (start, false)
  }

  /// Zero when the key begins with the prefix, else on which side of all keys with this prefix it lies.
  @inline(__always) func compareWithPrefix(_ key: UnsafeRawBufferPointer, _ skip: Int) -> Int {
    if skip <= 8, key.count >= 8, let base = key.baseAddress {
      let unused = UInt64(64 &- 8 &* skip)
      let mine = UInt64(bigEndian: base.loadUnaligned(as: UInt64.self)) >> unused
      let shared = UInt64(bigEndian: prefix.loadUnaligned(as: UInt64.self)) >> unused
      return mine == shared ? 0 : mine < shared ? -1 : 1
    }
    let shared = min(skip, key.count)
    let order = compareBytes(
      UnsafeRawBufferPointer(start: key.baseAddress, count: shared),
      UnsafeRawBufferPointer(start: UnsafeRawPointer(prefix), count: shared))
    return order != 0 ? order : key.count < skip ? -1 : 0
  }

  @inline(__always) func find(_ key: UnsafeRawBufferPointer) -> (index: Int, found: Bool) { search(key, from: 0) }

  /// The child of an inner page under which `key` belongs.
  @inline(__always) func childIndex(_ key: UnsafeRawBufferPointer) -> Int {
    let (index, found) = search(key, from: 1)
    return found ? index : index &- 1
  }
}

// MARK: Memory. A leaf that is not in the processor's caches costs a wait for each line that is met by chance of the one before.

extension Page {
  /// Asks for the header and the slots of some 100 records.
  @inline(__always) func prefetchSlots() {
    for line in 0..<Page.slotLines { prefetch(base + line &* 64) }
  }

  /// The same in two steps: the header and the first slots, and, when they have come, the slots that there are.
  @inline(__always) func prefetchFirstSlots() {
    for line in 0..<Page.firstSlotLines { prefetch(base + line &* 64) }
  }

  @inline(__always) func prefetchOtherSlots() {
    let lines = min(Page.slotLines, (Page.headerCount &+ count &* Page.slotCount &+ 63) / 64)
    for line in Page.firstSlotLines..<max(Page.firstSlotLines, lines) { prefetch(base + line &* 64) }
  }

  private static var firstSlotLines: Int { 3 }

  private static var slotLines: Int { 14 }

  /// Asks for all records, of a page that will be taken apart: they are met in the order of keys, which is none in memory.
  @inline(__always) func prefetchRecords() {
    for offset in stride(from: heap & ~63, to: Page.byteCount, by: 64) { prefetch(base + offset) }
  }

  /// Asks for what is behind a record's first line, of a record of some 100 bytes.
  @inline(__always) func prefetchRest(of record: UnsafeRawPointer) {
    prefetch(record + 64)
    prefetch(record + 127)
  }

  /// Asks for the record in slot `index`, if there is one.
  @inline(__always) func prefetchRecord(_ index: Int) {
    guard index >= 0, index < count else { return }
    let record = record(index)
    prefetch(record)
    prefetchRest(of: record)
  }
}
