import Glibc
import Journal
import Primitives
import Ring

/// One large read at a time, as several that the disk performs together. For the start, when nothing else uses a ring.
///
/// The memory belongs to the kernel until `finish` has returned.
final class ParallelRead {
  /// A disk answers four reads of so much in hardly more time than one.
  private static let partBytes = 1 << 20
  private static let partsMax = 16

  private let ring: Ring
  private var parts: [Transfer] = []
  /// The file stays open as long as it is read.
  private var file: OpenFile?

  init() throws(RingRefusal) { ring = try Ring(entries: Self.partsMax) }

  func begin(_ file: OpenFile, at offset: UInt64, into target: UnsafeMutableRawBufferPointer) {
    precondition(parts.isEmpty, "one read at a time")
    precondition(target.count <= Self.partBytes * Self.partsMax, "as many parts as the ring has entries")
    self.file = file
    for start in stride(from: 0, to: target.count, by: Self.partBytes) {
      let part = UnsafeMutableRawBufferPointer(rebasing: target[start..<min(start + Self.partBytes, target.count)])
      parts.append(Transfer(reading: part, from: file.descriptor, at: offset + UInt64(start)))
      parts[parts.count - 1].submit(to: ring, token: UInt64(parts.count - 1))
    }
    ring.submit()
  }

  /// Waits until all parts have ended, also when one has failed.
  func finish() throws(JournalReadError) {
    var (open, failure) = (parts.count, Int32(0))
    while open > 0 {
      for completion in ring.wait(until: nil) {
        let part = Int(completion.token)
        switch parts[part].advance(completion.result) {
        case .goesOn:
          parts[part].submit(to: ring, token: completion.token)
          continue
        case .complete: break
        case .failed(let errno): failure = errno
        }
        open -= 1
      }
    }
    parts.removeAll(keepingCapacity: true)
    file = nil
    if failure != 0 { throw JournalReadError(errno: failure) }
  }
}
