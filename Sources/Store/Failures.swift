// Everything that can go wrong, by kind: a page is elsewhere, a page is wrong, a file is not ours, a budget is used up.

/// The page is not in memory. Load it (`loadOrder`, `pageLoaded`) and run the operation again.
package struct PageMissing: Error, Hashable, Sendable {
  /// What the parent says about the page.
  package let pointer: PagePointer
  package let kind: PageKind
  /// Level in its tree, 0 for a leaf and for pages that stand in no tree.
  package let level: UInt8

  package var page: PageID { pointer.page }

  package init(pointer: PagePointer, kind: PageKind, level: UInt8) {
    self.pointer = pointer
    self.kind = kind
    self.level = level
  }
}

/// An order to read one page. Hand it back with the bytes (`Store.pageLoaded`).
package struct PageRead: Hashable, Sendable {
  package let missing: PageMissing
  package var page: PageID { missing.page }
  package var fileOffset: UInt64 { page.fileOffset }
  package var count: Int { Page.byteCount }

  package init(_ missing: PageMissing) { self.missing = missing }
}

/// The bytes of a page are not the ones that its parent points to. Nothing of them has been served.
package struct PageDamage: Error, Hashable, Sendable, CustomStringConvertible {
  package enum Reason: Hashable, Sendable {
    /// No page of this format at all.
    case notAPage
    /// A good header, but of another page: a write went astray.
    case misdirected(found: PageID)
    /// The page as it was in another epoch: a write was lost.
    case otherEpoch(found: Epoch, expected: Epoch)
    case checksum(found: UInt32, expected: UInt32)
    /// Checksum and header fit, but the inside cannot be: a bug of the writer, or made by hand.
    case structure(String)
  }

  package let page: PageID
  package let reason: Reason
  /// Where in the page file, in bytes.
  package var fileOffset: UInt64 { page.fileOffset }

  package init(page: PageID, reason: Reason) {
    self.page = page
    self.reason = reason
  }

  package var description: String {
    let what =
      switch reason {
      case .notAPage: "this is no page"
      case .misdirected(let found): "this is page \(found.rawValue), written to the wrong place"
      case .otherEpoch(let found, let expected): "born in epoch \(found.rawValue) and not in \(expected.rawValue)"
      case .checksum: "its checksum does not match"
      case .structure(let fact): fact
      }
    return "page \(page.rawValue) at offset \(fileOffset) is damaged: \(what)"
  }
}

/// Why `prepare…` could not promise that pass two will succeed.
package enum PrepareFailure: Error, Hashable, Sendable {
  case missing(PageMissing)
  /// All frames are dirty, pinned or reserved. End the batch, finish a checkpoint, try again.
  case outOfMemory
  /// The page file may not grow and holds no free page. Deletes get further than writes.
  case diskFull
}

/// Why a page file is not opened. Nothing of it has been changed.
package enum StoreRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// Neither superblock carries our magic number.
  case foreign
  /// Written by another version of the format.
  case version(found: UInt32, supported: UInt32)
  /// Of another cluster, node, lane or directory: `field` names which.
  case identity(field: String, found: String, expected: String)
  /// Both superblocks are damaged.
  case damaged(first: SuperblockProblem, second: SuperblockProblem)
  /// The file ends before the pages that the superblock counts.
  case truncated(foundBytes: UInt64, expectedBytes: UInt64)

  package var description: String {
    switch self {
    case .foreign: "this is no FileStore page file"
    case .version(let found, let supported): "format version \(found); this program reads version \(supported)"
    case .identity(let field, let found, let expected): "\(field) is \(found), expected \(expected)"
    case .damaged(let first, let second): "both superblocks are damaged: \(first.message); \(second.message)"
    case .truncated(let found, let expected): "the file has \(found) bytes of \(expected)"
    }
  }
}

/// What is wrong with one superblock.
package enum SuperblockProblem: Error, Hashable, Sendable {
  case magic
  case checksum(found: UInt32, expected: UInt32)
  case version(UInt32)
  /// Checksum and version fit, but a field is impossible.
  case field(String)

  package var message: String {
    switch self {
    case .magic: "wrong magic number"
    case .checksum: "its checksum does not match"
    case .version(let version): "format version \(version)"
    case .field(let fact): fact
    }
  }
}
