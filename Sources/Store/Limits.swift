// The limits of a store, and the counts that it reports.

/// What a store may use. Fixed when it is opened.
package struct StoreLimits: Sendable {
  /// Longest key, in bytes. Three keys of this length fit into an inner page.
  package static let keyCountMax = 5_000
  /// Longest value, in bytes.
  package static let valueCountMax = 1_200_000
  /// Longest value that stays in the leaf, in bytes; longer ones go to overflow pages.
  package static let inlineValueCountMax = 4_096
  /// Longest key under which a replaced value is kept, in bytes: short, so that an inner page holds hundreds of them.
  package static let keptKeyCountMax = 16
  /// Longest metadata of a shard, in bytes.
  package static let metadataCountMax = 3_072
  /// Most bitmap pages that a superblock can point to: 130 million pages, 2 TiB.
  package static let bitmapPagesMax = 1_000

  /// Frames of 16 KiB in memory. At least 256.
  package var framesMax: Int
  /// So many of them are taken when the store is opened, the others as they are needed.
  package var framesAtStart = 0
  /// Pages of the file, at most.
  package var pagesMax: UInt32
  /// The file grows by so many pages at a time.
  package var growPages: UInt32 = 1_024
  /// The file is made larger ahead of need, and pages are taken only where it has room on the disk already. So a disk without
  /// room is met while there is a reserve, and never by a checkpoint. The driver calls `resizeWhenDue`.
  package var reservesRoom = false
  /// Page writes of a checkpoint that may be in flight.
  package var writesInFlightMax = 32
  package var memory = FrameMemory.plain
  /// For tests: of 1000 first accesses to a clean page, so many drop it and miss.
  package var missChance: UInt64 = 0
  package var missSeed: UInt64 = 0

  package init(framesMax: Int, pagesMax: UInt32) {
    self.framesMax = framesMax
    self.pagesMax = pagesMax
  }

  func check() {
    precondition(framesMax >= 256, "a store has at least 256 frames")
    precondition(pagesMax >= 256, "a page file may have at least 256 pages")
    precondition(
      Int(pagesMax) <= StoreLimits.bitmapPagesMax * Bitmap.bitsPerPage, "the superblock points to all bitmaps")
    precondition(growPages >= 1 && writesInFlightMax >= 1, "steps are at least one page")
  }

  /// An entry may fill half a page, so that a split in two always suffices.
  static let entryCountMax = Page.contentCount / 2
}

/// Counts at one moment. Pages and frames are 16 KiB each.
package struct StoreStatistics: Equatable, Sendable {
  /// Pages of the file up to the highest one in use, superblocks included.
  package var pages: Int
  /// Pages that the file has room for.
  package var filePages: Int
  /// Pages of the newest trees.
  package var livePages: Int
  /// Pages that the two superblocks still need and the newest trees do not.
  package var garbagePages: Int
  /// Pages that can be taken at once.
  package var freePages: Int
  /// Pages in memory, all kinds.
  package var residentPages: Int
  /// Pages changed since the last freeze.
  package var dirtyPages: Int
  /// Pages of a checkpoint that are not yet written.
  package var frozenPages: Int
  /// Memory taken from the system for frames, in bytes.
  package var frameBytes: Int
}
