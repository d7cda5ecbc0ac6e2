// The numbers of the page file, each with a type of its own.

/// A page's place in the file: page `n` stands at byte `n * 16384`. Pages 0 and 1 are the two superblocks.
package struct PageID: Hashable, Comparable, Sendable, CustomStringConvertible {
  package var rawValue: UInt32
  package init(_ rawValue: UInt32) { self.rawValue = rawValue }
  package static func < (a: PageID, b: PageID) -> Bool { a.rawValue < b.rawValue }
  /// Offset of its first byte in the page file, in bytes.
  package var fileOffset: UInt64 { UInt64(rawValue) * UInt64(Page.byteCount) }
  package var description: String { "p\(rawValue)" }
}

/// The number of a checkpoint. What changes between checkpoints n - 1 and n is born in epoch n.
package struct Epoch: Hashable, Comparable, Sendable, CustomStringConvertible {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
  package static func < (a: Epoch, b: Epoch) -> Bool { a.rawValue < b.rawValue }
  package var next: Epoch { Epoch(rawValue + 1) }
  package var description: String { "e\(rawValue)" }
}

/// What a parent knows of a child: where it is, when it was born, and the CRC-32C of all its 16 KiB.
///
/// The checksum stands in the parent, not in the page, so that a write that went astray or never happened is found:
/// the bytes there may be a good page, but not this one. Zero while the child is changing, and in memory
/// perhaps for longer: see `Store.sealed`.
///
///     offset  bytes
///     0       4      page id
///     4       4      CRC-32C of the page
///     8       8      birth epoch
package struct PagePointer: Hashable, Sendable, CustomStringConvertible {
  package var page: PageID
  package var checksum: UInt32
  package var birth: Epoch

  static let byteCount = 16
  /// Points nowhere: page 0 is a superblock and never a child.
  package static let none = PagePointer(page: PageID(0), checksum: 0, birth: Epoch(0))
  package var isNone: Bool { page.rawValue == 0 }
  package var description: String { "\(page)@\(birth)" }

  package init(page: PageID, checksum: UInt32, birth: Epoch) {
    self.page = page
    self.checksum = checksum
    self.birth = birth
  }

  @inline(__always) init(from bytes: UnsafeRawPointer) {
    page = PageID(UInt32(littleEndian: bytes.loadUnaligned(as: UInt32.self)))
    checksum = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
    birth = Epoch(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
  }

  @inline(__always) func store(to bytes: UnsafeMutableRawPointer) {
    bytes.storeBytes(of: page.rawValue.littleEndian, as: UInt32.self)
    bytes.storeBytes(of: checksum.littleEndian, toByteOffset: 4, as: UInt32.self)
    bytes.storeBytes(of: birth.rawValue.littleEndian, toByteOffset: 8, as: UInt64.self)
  }
}

/// What a page holds.
package enum PageKind: UInt8, Sendable {
  /// Records of keys and values, or of keys and child pointers: a node of a tree.
  case tree = 1
  /// A piece of a value that is too long for a leaf.
  case overflow = 2
  /// One bit a page: is it part of this checkpoint?
  case bitmap = 3
}
