import Primitives

/// The files of a journal as recovery and inspection read them, synchronously, before the node runs.
///
/// Before recovery the driver flushes every segment file (fdatasync): what a killed process wrote may stand in a volatile
/// cache, and what recovery reads must stay.
package protocol JournalSource: AnyObject {
  /// All segment files, in any order.
  var files: [JournalFile] { get }
  /// Fills `target` with the bytes of `file` from `offset` on. Offset and count are multiples of 4096 and inside the file;
  /// `target` is aligned to 4096.
  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError)
}

package struct JournalReadError: Error, Equatable, Sendable {
  package var errno: Int32
  package init(errno: Int32) { self.errno = errno }
}

/// One file's bytes, read in large pieces into one buffer. Returned pointers are valid until the next call.
final class SegmentWindow {
  private static let bytesMax = 4 << 20

  private let source: any JournalSource
  private let buffer: UnsafeMutableRawBufferPointer
  private var file: JournalFile?
  private var start: UInt64 = 0
  private var count = 0

  init(_ source: any JournalSource) {
    self.source = source
    buffer = .allocate(byteCount: Self.bytesMax, alignment: JournalFormat.pageBytes)
  }

  deinit { buffer.deallocate() }

  /// `count` bytes at `offset`, or nil when the file is shorter. Reads `ahead` more if it has to read.
  func bytes(
    of file: JournalFile, at offset: UInt64, count wanted: Int, ahead: Int
  ) throws(JournalRefusal) -> UnsafeRawBufferPointer? {
    let size = file.bytes / 4096 * 4096
    guard offset + UInt64(wanted) <= size else { return nil }
    if self.file != file || offset < start || offset + UInt64(wanted) > start + UInt64(count) {
      let amount = Int(min(UInt64(min(Self.bytesMax, wanted + ahead)), size - offset))
      do throws(JournalReadError) {
        self.file = nil
        try source.read(
          file: file.file, offset: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<amount]))
      } catch {
        throw .unreadable(file: file.file, offset: offset, errno: error.errno)
      }
      self.file = file
      start = offset
      count = amount
    }
    let at = Int(offset - start)
    return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[at..<at + wanted])
  }

  /// The block at `offset`, verified.
  func block(
    of file: JournalFile, at offset: UInt64, ahead: Int = bytesMax
  ) throws(JournalRefusal) -> Result<BlockView, BlockView.Failure> {
    guard let page = try bytes(of: file, at: offset, count: JournalFormat.pageBytes, ahead: ahead),
      let length = BlockView.claimedLength(page),
      let block = try bytes(of: file, at: offset, count: length, ahead: ahead)
    else { return .failure(.noBlock) }
    return BlockView.verify(block)
  }
}
