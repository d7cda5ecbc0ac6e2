/// One file's bytes, read in large pieces: while one is used, the next is on its way.
///
///      lead             piece 0                   piece 1
///     [      tail ] [ ·················· ] [ ·················· ]
///
/// The pieces take turns, so that behind piece 0 stands what follows it. Behind piece 1 comes piece 0 again: what is left of
/// piece 1 moves to the end of the lead, and a block over both is in one run again. Returned pointers are valid until the
/// next call.
final class SegmentWindow {
  static let pieceBytes = 4 << 20
  private static let leadBytes = JournalFormat.blockBytesMax

  private let source: any JournalSource
  private let pieceBytes: Int
  private let buffer: UnsafeMutableRawBufferPointer
  private var file: JournalFile?
  /// What is there of `file`: from `start` on `count` bytes, at `position` of the buffer; they end in `piece`.
  private var start: UInt64 = 0
  private var count = 0
  private var position = 0
  private var piece = 0
  /// Bytes of `file` that are on their way into the other piece: those that follow.
  private var coming = 0

  init(_ source: any JournalSource, pieceBytes: Int = pieceBytes) {
    precondition(pieceBytes >= JournalFormat.blockBytesMax, "a block is in two pieces at most")
    self.source = source
    self.pieceBytes = pieceBytes
    buffer = .allocate(byteCount: Self.leadBytes + 2 * pieceBytes, alignment: JournalFormat.pageBytes)
  }

  deinit {
    forget()
    buffer.deallocate()
  }

  /// `count` bytes at `offset`, or nil when the file is shorter. Reads `ahead` more if it has to read.
  func bytes(
    of file: JournalFile, at offset: UInt64, count wanted: Int, ahead: Int
  ) throws(JournalRefusal) -> UnsafeRawBufferPointer? {
    let size = file.bytes / 4096 * 4096
    guard offset + UInt64(wanted) <= size else { return nil }
    if self.file != file || offset < start || offset > end || offset + UInt64(wanted) > end + UInt64(coming) {
      let amount = min(UInt64(min(pieceBytes, wanted + ahead)), size - offset)
      try readAnew(file, at: offset, count: Int(amount))
    } else if offset + UInt64(wanted) > end {
      try takeComing(keepingFrom: offset)
    }
    if ahead > 0, coming == 0 { readAhead(file, size: size, from: offset) }
    let at = position + Int(offset - start)
    return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[at..<at + wanted])
  }

  private var end: UInt64 { start + UInt64(count) }

  private func place(of piece: Int) -> Int { Self.leadBytes + piece * pieceBytes }

  private func target(_ piece: Int, _ count: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: buffer[place(of: piece)..<place(of: piece) + count])
  }

  /// Whatever is on its way must have come before the memory is used for something else.
  private func forget() {
    file = nil
    guard coming > 0 else { return }
    coming = 0
    do throws(JournalReadError) { try source.finishReading() } catch {
      // Nobody wants these bytes.
    }
  }

  private func readAnew(_ file: JournalFile, at offset: UInt64, count: Int) throws(JournalRefusal) {
    forget()
    do throws(JournalReadError) {
      if source.beginReading(file: file.file, offset: offset, into: target(0, count)) {
        try source.finishReading()
      } else {
        try source.read(file: file.file, offset: offset, into: target(0, count))
      }
    } catch { throw .unreadable(file: file.file, offset: offset, errno: error.errno) }
    self.file = file
    (start, self.count, position, piece) = (offset, count, place(of: 0), 0)
  }

  /// Begins to read what follows, once nothing before `offset` is needed and the other piece is free.
  private func readAhead(_ file: JournalFile, size: UInt64, from offset: UInt64) {
    let inPiece = position + count - place(of: piece)
    guard inPiece == pieceBytes, piece == 0 || offset >= end - UInt64(inPiece) else { return }
    let amount = Int(min(UInt64(pieceBytes), size - end))
    guard amount > 0, source.beginReading(file: file.file, offset: end, into: target(1 - piece, amount)) else { return }
    drop(before: piece == 0 ? start : end - UInt64(inPiece))
    coming = amount
  }

  private func drop(before offset: UInt64) {
    position += Int(offset - start)
    count -= Int(offset - start)
    start = offset
  }

  private func takeComing(keepingFrom offset: UInt64) throws(JournalRefusal) {
    let amount = coming
    coming = 0
    do throws(JournalReadError) { try source.finishReading() } catch {
      let file = self.file?.file ?? 0
      self.file = nil
      throw .unreadable(file: file, offset: end, errno: error.errno)
    }
    drop(before: offset)
    if piece == 1 {
      let lead = place(of: 0) - count
      buffer.baseAddress.map { ($0 + lead).copyMemory(from: $0 + position, byteCount: count) }
      position = lead
    }
    count += amount
    piece = 1 - piece
  }

  /// The block at `offset`, verified.
  func block(
    of file: JournalFile, at offset: UInt64, ahead: Int = pieceBytes
  ) throws(JournalRefusal) -> Result<BlockView, BlockView.Failure> {
    guard let page = try bytes(of: file, at: offset, count: JournalFormat.pageBytes, ahead: ahead),
      let length = BlockView.claimedLength(page),
      let block = try bytes(of: file, at: offset, count: length, ahead: ahead)
    else { return .failure(.noBlock) }
    guard let plain = source.opened(block) else { return .failure(.checksum) }
    return BlockView.verify(plain)
  }
}
