// Changing the records of a tree page: insert, remove, rebuild.

extension Page {
  /// Bytes that a new record takes, its slot included.
  @inline(__always) static func entryCount(keyCount: Int, storedCount: Int) -> Int {
    slotCount + recordHeaderCount + keyCount + storedCount
  }

  /// Opens slot `index` for a record and returns where its stored bytes go, for the caller to write at once.
  /// There must be room in the gap.
  func insert(
    at index: Int, key: UnsafeRawBufferPointer, storedCount: Int, isOverflow: Bool
  ) -> UnsafeMutableRawPointer {
    let size = Page.recordHeaderCount + key.count + storedCount
    let old = count
    precondition(index <= old && gapCount >= size + Page.slotCount, "a record is inserted where there is room")
    var head: UInt64 = 0
    if index >= firstKeyed {
      admit(key)
      head = Page.head(key, skip: prefixCount)
    }
    let place = heap - size
    let stored = Page.writeRecord(base + place, key: key, storedCount: storedCount, isOverflow: isOverflow)
    heap = place
    let start = base + Page.headerCount + index * Page.slotCount
    (start + Page.slotCount).copyMemory(from: start, byteCount: (old - index) * Page.slotCount)
    setSlot(index, head | UInt64(place))
    count = old + 1
    return stored
  }

  static func writeRecord(
    _ record: UnsafeMutableRawPointer, key: UnsafeRawBufferPointer, storedCount: Int, isOverflow: Bool
  ) -> UnsafeMutableRawPointer {
    let field = UInt16(storedCount) | (isOverflow ? overflowFlag : 0)
    record.storeBytes(of: UInt16(key.count).littleEndian, as: UInt16.self)
    record.storeBytes(of: field.littleEndian, toByteOffset: 2, as: UInt16.self)
    let body = record + recordHeaderCount
    if let start = key.baseAddress { body.copyMemory(from: start, byteCount: key.count) }
    return body + key.count
  }

  /// Takes the record out. Its bytes become garbage.
  func remove(at index: Int) {
    let rest = count - 1
    precondition(index <= rest, "a record that exists is removed")
    let place = Int(slot(index) & 0xFFFF)
    let size = Page.recordCount(base + place)
    let start = base + Page.headerCount + index * Page.slotCount
    start.copyMemory(from: start + Page.slotCount, byteCount: (rest - index) * Page.slotCount)
    count = rest
    if rest == 0 {
      heap = Page.contentEnd
      garbage = 0
    } else if place == heap {
      heap = place + size
    } else {
      garbage += size
    }
  }
}

// MARK: Prefix

extension Page {
  /// Makes the prefix one that `key` has too. The first key sets it; others can only shorten it.
  @inline(__always) private func admit(_ key: UnsafeRawBufferPointer) {
    if count <= firstKeyed {
      setPrefix(key, count: min(key.count, Page.prefixMax))
    } else if prefixCount > 0, compareWithPrefix(key, prefixCount) != 0 {
      let shared = sharedCount(key, UnsafeRawBufferPointer(start: UnsafeRawPointer(prefix), count: prefixCount))
      setPrefix(key, count: shared)
      rebuildHeads()
    }
  }

  private func setPrefix(_ key: UnsafeRawBufferPointer, count: Int) {
    prefix.initializeMemory(as: UInt8.self, repeating: 0, count: Page.prefixMax)
    if let start = key.baseAddress { prefix.copyMemory(from: start, byteCount: count) }
    prefixCount = count
  }

  private func rebuildHeads() {
    let skip = prefixCount
    for index in firstKeyed..<max(firstKeyed, count) {
      setSlot(index, Page.head(key(index), skip: skip) | slot(index) & 0xFFFF)
    }
  }
}

// MARK: Rebuilding: clear, append in key order, finish

extension Page {
  func clear() {
    count = 0
    heap = Page.contentEnd
    garbage = 0
    setPrefix(UnsafeRawBufferPointer(start: nil, count: 0), count: 0)
  }

  /// Adds a copy of another page's record behind all others. The page is not searchable before `finish`.
  func append(_ record: UnsafeRawPointer) {
    let size = Page.recordCount(record)
    let place = makeRoom(size)
    (base + place).copyMemory(from: record, byteCount: size)
  }

  /// The same with another key.
  func append(_ record: UnsafeRawPointer, key: UnsafeRawBufferPointer) {
    let storedCount = Page.storedCount(record)
    let stored = append(key: key, storedCount: storedCount, isOverflow: Page.isOverflow(record))
    stored.copyMemory(
      from: record + Page.recordHeaderCount + Page.keyCount(record), byteCount: storedCount)
  }

  func append(key: UnsafeRawBufferPointer, storedCount: Int, isOverflow: Bool) -> UnsafeMutableRawPointer {
    let place = makeRoom(Page.recordHeaderCount + key.count + storedCount)
    return Page.writeRecord(base + place, key: key, storedCount: storedCount, isOverflow: isOverflow)
  }

  private func makeRoom(_ size: Int) -> Int {
    precondition(gapCount >= size + Page.slotCount, "records are distributed so that they fit")
    let place = heap - size
    setSlot(count, UInt64(place))
    heap = place
    count += 1
    return place
  }

  /// Computes the longest prefix and all heads.
  func finish() {
    let first = firstKeyed
    guard count > first else { return }
    let low = key(first)
    setPrefix(low, count: sharedCount(low, key(count - 1), limit: Page.prefixMax))
    rebuildHeads()
  }

  /// Moves the records together, so that all free bytes are in the gap. `scratch` is 16 KiB to work in.
  func compact(scratch: UnsafeMutableRawPointer) {
    let tidy = Page(scratch)
    tidy.begin(as: self)
    for index in 0..<count { tidy.append(record(index)) }
    tidy.finish()
    take(tidy)
  }

  /// Becomes an empty page of the kind and place of `other`; what lies between slots and records is not cleared.
  func begin(as other: Page) {
    base.copyMemory(from: other.base, byteCount: Page.headerCount)
    clear()
  }

  /// Takes over slots and records of `other`, which was begun as this one.
  func take(_ other: Page) {
    base.copyMemory(from: other.base, byteCount: Page.headerCount + other.count * Page.slotCount)
    (base + other.heap).copyMemory(from: other.base + other.heap, byteCount: Page.contentEnd - other.heap)
  }

  /// What lies between slots and records, for a page whose memory held something else before.
  func clearGap() {
    (base + heap - gapCount).initializeMemory(as: UInt8.self, repeating: 0, count: gapCount)
  }
}
