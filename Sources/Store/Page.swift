// The layout of a page: 16 KiB, of which the first 64 bytes, one cache line, are the header.
//
//     offset  bytes
//     0       2      magic 0x5046 ("FP")
//     2       1      kind: 1 tree, 2 overflow, 3 bitmap
//     3       1      level: 0 leaf, above it inner pages
//     4       4      page id
//     8       8      birth epoch
//     16      2      count of records
//     18      2      heap: offset of the lowest record byte; 16352 when there is none
//     20      2      garbage: bytes in the heap that belong to no record
//     22      1      prefix count, 0 to 32: so many first bytes are the same in all keys
//     23      1      zero
//     24      4      overflow pages: bytes of payload
//     28      4      zero in memory: on disk an encrypted page names its key here
//     32      32     the prefix, zero behind it
//     64      8 n    tree pages: slots in key order, from here upwards; records from 16352 downwards
//     16352   32     zero in memory: on disk an encrypted page has its tail here, of which the store knows nothing
//
// A slot is one number: the 6 bytes of the key behind the prefix, big-endian, in its upper 48 bits (zero-padded), the
// record's offset in the lower 16. So a binary search compares slots as numbers and looks at records only on ties.
//
//     record   0      2      key count
//              2      2      stored count; bit 15: the value lies in overflow pages
//              4      k      key, whole
//              4 + k  s      value | child pointer | u32 value count and page pointers, 16 bytes each
//
// An inner page is a tree page whose values are child pointers. The key of its first record is empty and stands for
// "before everything"; it takes part neither in the search nor in the prefix.

/// A view of 16 KiB in memory that are laid out as a page. Copies share the bytes.
struct Page {
  let base: UnsafeMutableRawPointer

  static let byteCount = 16_384
  static let headerCount = 64
  /// Bytes at the end that stay zero. Whoever encrypts pages on their way to the disk needs room.
  static let tailCount = 32
  static let contentEnd = byteCount - tailCount
  /// Bytes for slots and records, for the payload of an overflow page, for bits of a bitmap page.
  static let contentCount = contentEnd - headerCount
  static let prefixMax = 32
  static let magic: UInt16 = 0x5046
  static let slotCount = 8
  static let recordHeaderCount = 4
  static let overflowFlag: UInt16 = 0x8000

  @inline(__always) init(_ base: UnsafeMutableRawPointer) { self.base = base }

  /// For reading only.
  @inline(__always) init(_ base: UnsafeRawPointer) { self.base = UnsafeMutableRawPointer(mutating: base) }

  /// Makes the bytes an empty page. Without `clearing` its content is whatever was there: for one who fills it at once.
  func format(kind: PageKind, level: UInt8, id: PageID, birth: Epoch, clearing: Bool = true) {
    if clearing {
      base.initializeMemory(as: UInt8.self, repeating: 0, count: Page.byteCount)
    } else {
      base.initializeMemory(as: UInt8.self, repeating: 0, count: Page.headerCount)
      (base + Page.contentEnd).initializeMemory(as: UInt8.self, repeating: 0, count: Page.tailCount)
    }
    relabel(kind: kind, level: level, id: id, birth: birth)
    heap = Page.contentEnd
  }

  /// Gives the same content another place and epoch.
  func relabel(kind: PageKind, level: UInt8, id: PageID, birth: Epoch) {
    base.storeBytes(of: Page.tag(kind: kind, level: level, id: id).littleEndian, as: UInt64.self)
    base.storeBytes(of: birth.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
  }
}

// MARK: Header

extension Page {
  /// Magic, kind, level and page id as the one number that stands in the first 8 bytes.
  @inline(__always) static func tag(kind: PageKind, level: UInt8, id: PageID) -> UInt64 {
    UInt64(magic) | UInt64(kind.rawValue) << 16 | UInt64(level) << 24 | UInt64(id.rawValue) << 32
  }
  @inline(__always) var tag: UInt64 { UInt64(littleEndian: base.load(as: UInt64.self)) }
  var kind: PageKind? { PageKind(rawValue: base.load(fromByteOffset: 2, as: UInt8.self)) }
  @inline(__always) var level: UInt8 { base.load(fromByteOffset: 3, as: UInt8.self) }
  @inline(__always) var id: PageID { PageID(UInt32(littleEndian: base.load(fromByteOffset: 4, as: UInt32.self))) }
  @inline(__always) var birth: Epoch { Epoch(UInt64(littleEndian: base.load(fromByteOffset: 8, as: UInt64.self))) }

  @inline(__always) func field(_ offset: Int) -> Int {
    Int(UInt16(littleEndian: base.load(fromByteOffset: offset, as: UInt16.self)))
  }
  @inline(__always) func setField(_ offset: Int, _ value: Int) {
    base.storeBytes(of: UInt16(value).littleEndian, toByteOffset: offset, as: UInt16.self)
  }
  @inline(__always) var count: Int {
    get { field(16) }
    nonmutating set { setField(16, newValue) }
  }
  @inline(__always) var heap: Int {
    get { field(18) }
    nonmutating set { setField(18, newValue) }
  }
  @inline(__always) var garbage: Int {
    get { field(20) }
    nonmutating set { setField(20, newValue) }
  }
  @inline(__always) var prefixCount: Int {
    get { Int(base.load(fromByteOffset: 22, as: UInt8.self)) }
    nonmutating set { base.storeBytes(of: UInt8(newValue), toByteOffset: 22, as: UInt8.self) }
  }
  var payloadCount: Int {
    get { Int(UInt32(littleEndian: base.load(fromByteOffset: 24, as: UInt32.self))) }
    nonmutating set { base.storeBytes(of: UInt32(newValue).littleEndian, toByteOffset: 24, as: UInt32.self) }
  }
  @inline(__always) var prefix: UnsafeMutableRawPointer { base + 32 }
  @inline(__always) var content: UnsafeMutableRawPointer { base + Page.headerCount }
}

// MARK: Slots and records

extension Page {
  @inline(__always) func slot(_ index: Int) -> UInt64 {
    UInt64(littleEndian: base.load(fromByteOffset: Page.headerCount &+ index &* Page.slotCount, as: UInt64.self))
  }
  @inline(__always) func setSlot(_ index: Int, _ value: UInt64) {
    base.storeBytes(
      of: value.littleEndian, toByteOffset: Page.headerCount &+ index &* Page.slotCount, as: UInt64.self)
  }
  @inline(__always) func record(_ index: Int) -> UnsafeMutableRawPointer { base + Int(slot(index) & 0xFFFF) }

  /// The first slot whose key counts: an inner page's first key stands for "before everything".
  @inline(__always) var firstKeyed: Int { level == 0 ? 0 : 1 }

  @inline(__always) static func keyCount(_ record: UnsafeRawPointer) -> Int {
    Int(UInt16(littleEndian: record.loadUnaligned(as: UInt16.self)))
  }
  @inline(__always) static func storedCount(_ record: UnsafeRawPointer) -> Int {
    Int(UInt16(littleEndian: record.loadUnaligned(fromByteOffset: 2, as: UInt16.self)) & ~overflowFlag)
  }
  @inline(__always) static func isOverflow(_ record: UnsafeRawPointer) -> Bool {
    UInt16(littleEndian: record.loadUnaligned(fromByteOffset: 2, as: UInt16.self)) & overflowFlag != 0
  }
  /// Bytes of a whole record.
  @inline(__always) static func recordCount(_ record: UnsafeRawPointer) -> Int {
    recordHeaderCount + keyCount(record) + storedCount(record)
  }

  @inline(__always) func key(_ index: Int) -> UnsafeRawBufferPointer { Page.key(record(index)) }
  @inline(__always) static func key(_ record: UnsafeRawPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: record + recordHeaderCount, count: keyCount(record))
  }
  /// What stands behind the key: the value, a child pointer, or where the value is.
  @inline(__always) func stored(_ index: Int) -> UnsafeMutableRawBufferPointer {
    let record = record(index)
    return UnsafeMutableRawBufferPointer(
      start: record + Page.recordHeaderCount + Page.keyCount(record), count: Page.storedCount(record))
  }
  @inline(__always) func isOverflow(_ index: Int) -> Bool { Page.isOverflow(record(index)) }

  @inline(__always) func child(_ index: Int) -> PagePointer {
    let record = record(index)
    return PagePointer(from: record + Page.recordHeaderCount + Page.keyCount(record))
  }
  func setChild(_ index: Int, _ pointer: PagePointer) {
    let record = record(index)
    pointer.store(to: record + Page.recordHeaderCount + Page.keyCount(record))
  }

  /// Bytes between the last slot and the heap.
  @inline(__always) var gapCount: Int { heap - Page.headerCount - count * Page.slotCount }
  /// Bytes of slots and living records.
  var usedCount: Int { Page.contentCount - gapCount - garbage }
}
