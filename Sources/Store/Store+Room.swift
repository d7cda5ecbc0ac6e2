// Room for pages: made ahead of need, kept for what must go on, given back when nobody needs it.
//
//     pages of the file    live │ owed │ free │        the file may grow by more, as far as limit and disk allow
//                                      └───── 64 of them are for checkpoints alone,
//                                             a reserve more for deletes and for what makes room,
//                                             two more for writes that are in the log already; with less than that left
//                                             (`low`) nobody should ask for new ones, until there is another one (`high`)
//
// Without `reservesRoom` the file grows when a checkpoint finds it too short: for a store that has its disk to itself.

import Primitives

/// How the file's size changes.
struct FileResize {
  enum Change: Equatable { case none, growing(to: UInt32), shrinking }

  var change = Change.none
  /// The disk had no room for more when it was last asked.
  var isRefused = false
  /// The most pages that an operation wanted and that were not there.
  var needed = 0
  /// What the two superblocks on disk speak of.
  var durablePages: (newest: UInt32, older: UInt32) = (0, 0)
}

/// How many pages there are room for.
package struct StoreRoom: Equatable, Sendable {
  /// Free, and on the disk.
  package var free: Int
  /// Free after the next two checkpoints.
  package var owed: Int
  /// What the file may still grow by.
  package var more: Int
  /// With less than `low` no new rows should be taken in, until there is `high`.
  package var low: Int
  package var high: Int
  /// With less deletes end, too: the rest is for checkpoints.
  package var lowest: Int
  /// The disk has no room for more; otherwise the limit ends it.
  package var isRefusedByDisk: Bool

  package var total: Int { free + owed + more }
  /// There is little to take at once,
  package var isTight: Bool { free + more < low }
  /// and a checkpoint would give some back.
  package var wantsCheckpoint: Bool { isTight && owed >= max(64, low / 8) }
}

extension StoreLimits {
  /// Pages that deletes may take and writes may not.
  var reservePages: Int { max(8, min(Int(pagesMax) / 32, 512)) }
  var lowPages: Int { deleteHeadroomPages + 3 * reservePages }
  var highPages: Int { deleteHeadroomPages + 4 * reservePages }

  /// What the file may grow to. A limit that was lowered below what is there leaves room for deletes.
  func cap(pagesNow: UInt32) -> UInt32 {
    max(pagesMax, pagesNow + UInt32(deleteHeadroomPages + reservePages))
  }
}

extension Store {
  /// No page behind this one is taken.
  var pageLimit: UInt32 { limits.reservesRoom ? filePages : limits.pagesMax }

  package var room: StoreRoom {
    let free = space.pointee.available(pagesMax: filePages)
    let end = limits.reservesRoom && resize.isRefused ? filePages : limits.pagesMax
    return StoreRoom(
      free: free, owed: space.pointee.owedCount, more: Int(end) - Int(filePages), low: limits.lowPages,
      high: limits.highPages, lowest: limits.deleteHeadroomPages, isRefusedByDisk: resize.isRefused)
  }

  package var isGrowing: Bool { resize.change != .none }

  /// Orders that the file grow or shrink, when it is time to. At the end of a turn.
  package func resizeWhenDue(into effects: inout [CheckpointEffect]) {
    guard limits.reservesRoom, resize.change == .none, checkpointFault == nil else { return }
    if let pages = pagesToGrowTo {
      if !resize.isRefused { orderGrowth(to: pages, into: &effects) }
    } else {
      resize.isRefused = false
      shrinkWhenDue(into: &effects)
    }
  }

  private var pagesWanted: Int { max(limits.highPages, resize.needed + resize.needed / 4) }

  /// Nil when the file has what is wanted, or all that it may have.
  private var pagesToGrowTo: UInt32? {
    let missing = pagesWanted - space.pointee.available(pagesMax: filePages)
    guard missing > 0, filePages < pagesCap else { return nil }
    let step = max(Int(limits.growPages), min(Int(filePages) / 16, 4096))
    let steps = (missing + step - 1) / step
    return UInt32(min(Int(filePages) + steps * step, Int(pagesCap)))
  }

  private func orderGrowth(to pages: UInt32, into effects: inout [CheckpointEffect]) {
    resize.change = .growing(to: pages)
    effects.append(.grow(fileBytes: UInt64(pages) * UInt64(Page.byteCount)))
  }

  /// True when the event was about the file's size.
  func resized(_ event: CheckpointEvent, into effects: inout [CheckpointEffect]) -> Bool {
    guard limits.reservesRoom else { return false }
    switch (event, resize.change) {
    case (.grown, .growing(let pages)):
      (filePages, resize.change, resize.isRefused) = (pages, .none, false)
    case (.failed(.grow, let errno), .growing) where meansNoRoom(errno):
      (resize.change, resize.isRefused) = (.none, true)
      effects.append(.awaitRoom)
    case (.growAgain, .none):
      if let pages = pagesToGrowTo { orderGrowth(to: pages, into: &effects) } else { resize.isRefused = false }
    case (.growAgain, _): break
    case (.shrunk, .shrinking): resize.change = .none
    default: return false
    }
    return true
  }

  // MARK: Giving back

  /// Steps of which so many are more than is needed are given back: fewer would be taken again soon.
  private static let spareSteps: UInt32 = 2

  /// Neither superblock speaks of the pages that go, and none of them is in use.
  private func shrinkWhenDue(into effects: inout [CheckpointEffect]) {
    guard !isCheckpointing else { return }
    let used = max(resize.durablePages.newest, resize.durablePages.older, space.pointee.pageCount)
    let kept = UInt64(used) + UInt64(pagesWanted) + UInt64(Store.spareSteps * limits.growPages)
    guard UInt64(filePages) > kept + UInt64(limits.growPages) else { return }
    filePages = UInt32(kept)
    resize.change = .shrinking
    effects.append(.shrink(fileBytes: kept * UInt64(Page.byteCount)))
  }
}
