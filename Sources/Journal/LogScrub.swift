import Primitives

// Scrubbing: the blocks of all live segments are read again from the disk, from the oldest one to where the log was durable when
// the pass came to it, and checked as recovery checks them: checksum, place, and the chain from block to block.
//
// One piece follows the other, since only a block says where the next one begins. Segments that are freed meanwhile are passed
// over; blocks that are still being written are behind the end.

/// An order to read a piece of a segment. Hand it back with the bytes (`LogScrub.completed`).
package struct LogScrubRead: Hashable, Sendable {
  package let file: UInt32
  package let offset: UInt64
  package let count: Int
  let use: UInt64
}

package enum LogScrubVerdict: Equatable, Sendable {
  /// So many bytes are as they were written.
  case sound(bytes: Int)
  /// The segment was freed.
  case outdated
  case damaged(JournalFault)
}

package struct LogScrub: Sendable {
  /// The next block: the segment's use, and its place in there.
  private var use: UInt64 = 0
  private var offset: UInt64 = 0
  /// The block before it; nil: not known.
  private var before: (sequence: UInt64, checksum: UInt32)?
  /// Where the pass ends.
  private var end: (use: UInt64, offset: UInt64)?

  package init() {}

  /// The next piece; nil at the end of the pass. One at a time.
  package mutating func next(_ journal: Journal) -> LogScrubRead? {
    guard let last = journal.segments.current else { return nil }
    let end = self.end ?? (last.use, last.durableEnd)
    self.end = end
    for segment in journal.segments.live where segment.use >= use && segment.use <= end.use {
      if segment.use > use { enter(segment, isNext: use != 0 && isFinished(use, journal)) }
      let limit = segment.use == end.use ? min(end.offset, segment.durableEnd) : segment.durableEnd
      guard offset < limit else {
        // Behind a segment whose last blocks are being written nothing is durable.
        if segment.durableEnd < segment.end { return nil }
        continue
      }
      let count = Int(min(limit - offset, UInt64(JournalFormat.blockBytesMax)))
      return LogScrubRead(file: segment.file, offset: offset, count: count, use: use)
    }
    return nil
  }

  /// The segment was read to its end: the chain goes on in the next one.
  private func isFinished(_ use: UInt64, _ journal: Journal) -> Bool {
    guard let position = journal.segments.position(use: use) else { return false }
    return offset == journal.segments.live[position].end
  }

  private mutating func enter(_ segment: Segment, isNext: Bool) {
    (use, offset) = (segment.use, 0)
    if !isNext { before = nil }
  }

  /// A piece's bytes have come from the disk, decrypted.
  package mutating func completed(
    _ read: LogScrubRead, _ bytes: UnsafeRawBufferPointer, _ journal: Journal
  ) -> LogScrubVerdict {
    precondition(bytes.count == read.count, "all bytes of the piece")
    guard journal.segments.position(use: read.use) != nil else { return .outdated }
    var at = 0
    while at < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[at...])
      // A block that goes on behind the piece begins the next one.
      if at > 0, let length = BlockView.claimedLength(rest), length > rest.count { break }
      guard case .success(let block) = BlockView.verify(rest), isNext(block.header, read, at, journal) else {
        return .damaged(JournalFault(kind: .damage, file: read.file, offset: read.offset + UInt64(at), errno: 0))
      }
      before = (block.header.sequence, block.header.checksum)
      at += block.bytes.count
    }
    offset = read.offset + UInt64(at)
    return .sound(bytes: at)
  }

  private func isNext(_ header: BlockHeader, _ read: LogScrubRead, _ at: Int, _ journal: Journal) -> Bool {
    guard header.directory == journal.identity.directory, header.lane == journal.identity.lane,
      header.use == read.use, header.offset == read.offset + UInt64(at)
    else { return false }
    guard let before else { return true }
    return header.sequence == before.sequence + 1 && header.previousChecksum == before.checksum
  }

  /// The device said no.
  package func failed(_ read: LogScrubRead, errno: Int32, _ journal: Journal) -> LogScrubVerdict {
    guard journal.segments.position(use: read.use) != nil else { return .outdated }
    return .damaged(JournalFault(kind: .read, file: read.file, offset: read.offset, errno: errno))
  }
}

extension Journal {
  /// Bytes of blocks that scrubbing reads in a pass.
  package var bytesToScrub: UInt64 { segments.live.reduce(0) { $0 + $1.durableEnd } }
}
