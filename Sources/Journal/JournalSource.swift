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
  /// Begins to read the same; true when `finishReading` is to be called for the bytes, and before the next call of any kind.
  func beginReading(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool
  /// Waits until what was begun has ended, one way or the other.
  func finishReading() throws(JournalReadError)
  /// The plain bytes of a block as it stands on disk, header and tail included: the same where it is plain. Valid until the
  /// next call. Nil when it cannot be decrypted: that counts as a checksum that does not match.
  func opened(_ block: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer?
}

/// For a source that cannot read ahead, and holds nothing encrypted.
extension JournalSource {
  package func opened(_ block: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? { block }
  package func beginReading(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) -> Bool { false }
  package func finishReading() throws(JournalReadError) {}
}

package struct JournalReadError: Error, Equatable, Sendable {
  package var errno: Int32
  package init(errno: Int32) { self.errno = errno }
}
