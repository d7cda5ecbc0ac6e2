// The checkpoint: freeze, write, sync, wait for the log, write one superblock. A machine of its own, one step an event.
// How pages are frozen and sealed stands in Freeze.swift.
//
//           awaitingRoom
//               ▲ │ no room on the disk; later
//               │ ▼
//     idle ─► growing ─► writing ─► syncing ─► awaitingLog ─► writingSuperblock ─► idle
//               └──────────┴───────────┴────── any other failure ─────┴──────────► failed, for good
//
// A failure is never retried into success: after a failed write or sync nobody knows what the disk holds. The store can
// still be read; it makes no more checkpoints, and the node must be started again. A file that could not grow for want of
// room has lost nothing, as nothing was written yet: that alone is tried again.

import Primitives

/// What the driver reports.
package enum CheckpointEvent: Hashable, Sendable {
  /// The file has the size that `.grow` ordered.
  case grown
  /// The page's write has completed; not yet durable.
  case written(PageID)
  /// All completed writes are durable.
  case synced
  /// The log is durable through what was applied at the freeze.
  case logDurable
  /// The superblock is written and durable.
  case superblockWritten
  /// The file has no more bytes than `.shrink` ordered, or could not be shortened, which does no harm.
  case shrunk
  /// A while has passed since `.awaitRoom`.
  case growAgain
  /// The order of this kind failed with this errno.
  case failed(CheckpointStep, errno: Int32)
}

/// What the driver is to do.
package enum CheckpointEffect: Hashable, Sendable {
  /// Make the file at least so many bytes long.
  case grow(fileBytes: UInt64)
  /// Cut the file off behind so many bytes. Nothing there is needed.
  case shrink(fileBytes: UInt64)
  /// The disk has no room for that: say `.growAgain` after a while.
  case awaitRoom
  /// Write `bytes(of: page)` at this offset of the file.
  case writePage(PageID, fileOffset: UInt64)
  /// Make all completed writes, and the file's length, durable.
  case sync
  /// Say `.logDurable` once the log is durable through what was applied when the checkpoint began.
  case awaitLog
  /// Write `bytes(of: page)` at this offset and make it durable.
  case writeSuperblock(PageID, fileOffset: UInt64)
  /// The checkpoint is durable.
  case finished(Epoch)
  /// It never will be.
  case failed(CheckpointFault)
}

package enum CheckpointStep: UInt8, Hashable, Sendable { case grow, write, sync, log, superblock }

package struct CheckpointFault: Error, Hashable, Sendable {
  package let step: CheckpointStep
  package let errno: Int32
}

struct Checkpoint {
  enum State: Equatable {
    case idle
    /// `grow` is under way.
    case growing
    /// It was refused for want of room, and is to be ordered again.
    case awaitingRoom
    /// Some of `writes` are in flight.
    case writing
    case syncing
    case awaitingLog
    case writingSuperblock
    case failed(CheckpointFault)
  }

  var state = State.idle
  var epoch = Epoch(0)
  /// Pages to write: children before parents, the directory after the shards' trees; else as they were taken.
  var writes: [UInt32] = []
  /// Where the directory's begin.
  var directoryStart = 0
  /// Complete but for the checksum of the directory's root.
  var superblock: Superblock?
  /// So many of them may have been ordered.
  var allowedCount = Int.max
  var orderedCount = 0
  var writtenCount = 0
}

extension Store {
  package var isCheckpointing: Bool {
    switch checkpoint.state {
    case .idle, .failed: false
    default: true
    }
  }

  /// Set once a checkpoint has failed.
  package var checkpointFault: CheckpointFault? {
    if case .failed(let fault) = checkpoint.state { return fault }
    return nil
  }

  /// How many pages the checkpoint under way writes; nil when there is none.
  package var checkpointPages: Int? { isCheckpointing ? checkpoint.writes.count : nil }

  /// Freezes what is there now and starts writing it. Only between batches, and not during another checkpoint.
  /// Without changes since the last one it is finished at once.
  ///
  /// - Parameter writesMax: so many pages may be ordered before `allowWrites` allows more.
  package func beginCheckpoint(writesMax: Int = .max, into effects: inout [CheckpointEffect]) {
    if let fault = checkpointFault { return effects.append(.failed(fault)) }
    precondition(checkpoint.state == .idle, "one checkpoint at a time")
    precondition(!isBatchOpen, "a checkpoint begins between batches")
    guard dirtyCount > 0 || space.pointee.isAnyChanged else { return effects.append(.finished(durableEpoch)) }
    freeze()
    checkpoint.allowedCount = writesMax
    growOrWrite(into: &effects)
  }

  /// Of the pages of the checkpoint under way so many may have been ordered by now. Fewer than before change nothing.
  package func allowWrites(_ count: Int, into effects: inout [CheckpointEffect]) {
    guard count > checkpoint.allowedCount else { return }
    checkpoint.allowedCount = count
    if checkpoint.state == .writing { orderWrites(into: &effects) }
  }

  /// An order of this checkpoint has completed or failed.
  package func step(_ event: CheckpointEvent, into effects: inout [CheckpointEffect]) {
    if case .failed = checkpoint.state { return }
    if resized(event, into: &effects) { return }
    switch (event, checkpoint.state) {
    case (.failed(.grow, let errno), .growing) where meansNoRoom(errno):
      become(.awaitingRoom, .awaitRoom, into: &effects)
    case (.growAgain, .awaitingRoom): orderGrowth(into: &effects)
    case (.failed(let step, let errno), _): fail(CheckpointFault(step: step, errno: errno), into: &effects)
    case (.grown, .growing): fileHasGrown(into: &effects)
    case (.written(let page), .writing): pageWritten(page, into: &effects)
    case (.synced, .syncing): become(.awaitingLog, .awaitLog, into: &effects)
    case (.logDurable, .awaitingLog): orderSuperblock(into: &effects)
    case (.superblockWritten, .writingSuperblock): finish(into: &effects)
    default: preconditionFailure("a checkpoint's event answers its order")
    }
  }

  /// The bytes of a page, or of the superblock for pages 0 and 1, that an effect ordered to be written. 4096-aligned, and
  /// unchanged until its completion is reported.
  package func bytes(of page: PageID) -> UnsafeRawBufferPointer {
    if page.rawValue < 2 { return UnsafeRawBufferPointer(start: superblockFrame, count: Page.byteCount) }
    guard let frame = entry(page).pointee.frame else {
      preconditionFailure("a page that is being written is in memory")
    }
    return UnsafeRawBufferPointer(start: frame, count: Page.byteCount)
  }
}

// MARK: Arms

extension Store {
  private func become(_ state: Checkpoint.State, _ effect: CheckpointEffect, into effects: inout [CheckpointEffect]) {
    checkpoint.state = state
    effects.append(effect)
  }

  private func fail(_ fault: CheckpointFault, into effects: inout [CheckpointEffect]) {
    become(.failed(fault), .failed(fault), into: &effects)
  }

  private func growOrWrite(into effects: inout [CheckpointEffect]) {
    precondition(!limits.reservesRoom || space.pointee.pageCount <= filePages, "pages are taken where there is room")
    guard space.pointee.pageCount > filePages else { return startWriting(into: &effects) }
    let steps = (space.pointee.pageCount - filePages + limits.growPages - 1) / limits.growPages
    filePages = UInt32(min(UInt64(filePages) + UInt64(steps) * UInt64(limits.growPages), UInt64(limits.pagesMax)))
    orderGrowth(into: &effects)
  }

  private func orderGrowth(into effects: inout [CheckpointEffect]) {
    become(.growing, .grow(fileBytes: UInt64(filePages) * UInt64(Page.byteCount)), into: &effects)
  }

  private func fileHasGrown(into effects: inout [CheckpointEffect]) { startWriting(into: &effects) }

  private func startWriting(into effects: inout [CheckpointEffect]) {
    checkpoint.state = .writing
    orderWrites(into: &effects)
  }

  private func orderWrites(into effects: inout [CheckpointEffect]) {
    while checkpoint.orderedCount < min(checkpoint.writes.count, checkpoint.allowedCount),
      checkpoint.orderedCount - checkpoint.writtenCount < limits.writesInFlightMax
    {
      let page = PageID(checkpoint.writes[checkpoint.orderedCount])
      seal(page, isOfDirectory: checkpoint.orderedCount >= checkpoint.directoryStart)
      checkpoint.orderedCount += 1
      effects.append(.writePage(page, fileOffset: page.fileOffset))
    }
    guard checkpoint.writtenCount == checkpoint.writes.count else { return }
    #if PLANTED_BUGS
      if PlantedBug.checkpointNotSynced.isPlanted { return become(.awaitingLog, .awaitLog, into: &effects) }
    #endif
    become(.syncing, .sync, into: &effects)
  }

  private func pageWritten(_ page: PageID, into effects: inout [CheckpointEffect]) {
    let entry = entry(page)
    switch entry.pointee.state {
    case .frozen: entry.pointee.state = .clean
    case .frozenOrphan: dropFrame(entry)
    default: preconditionFailure("a page is written once in a checkpoint")
    }
    frozenCount -= 1
    checkpoint.writtenCount += 1
    orderWrites(into: &effects)
  }

  private func orderSuperblock(into effects: inout [CheckpointEffect]) {
    let page = PageID(UInt32(checkpoint.epoch.rawValue & 1))
    encodeSuperblock()
    become(.writingSuperblock, .writeSuperblock(page, fileOffset: page.fileOffset), into: &effects)
  }

  private func finish(into effects: inout [CheckpointEffect]) {
    space.pointee.frozenIsDurable()
    durableEpoch = checkpoint.epoch
    resize.durablePages = (checkpoint.superblock?.pageCount ?? 0, resize.durablePages.newest)
    become(.idle, .finished(durableEpoch), into: &effects)
  }
}
