import Journal
import Primitives
import Ring
import Store

/// How `disk-limit` is shared out: a quarter at most for the log, in 16 segments; one more for a start of a full log; all
/// else for pages. Both parts are fixed from the start, so neither can take from the other what it needs to get out of a
/// shortage.
struct DiskBudget: Equatable {
  private static let segmentBytesRange: ClosedRange<UInt64> = 4 << 20...64 << 20
  private static let segments: UInt64 = 16
  /// Beside the pages that memory holds: the smallest log, and the reserves for writes, deletes and checkpoints.
  private static let leastBesideMemory: UInt64 = 192 << 20

  var segmentBytes = Self.segmentBytesRange.upperBound
  var pages: UInt32 = 64 << 20

  init(limit: UInt64?) {
    guard let limit else { return }
    while segmentBytes > Self.segmentBytesRange.lowerBound, segmentBytes * 4 * Self.segments > limit {
      segmentBytes /= 2
    }
    let log = segmentBytes * (Self.segments + 1)
    pages = UInt32(min((limit - min(limit, log)) / UInt64(Store.pageBytes), UInt64(pages)))
  }

  var logBytesMax: UInt64 { segmentBytes * Self.segments }

  /// What `disk-limit` has to be at least: a checkpoint writes what memory holds beside what is there.
  static func least(memory: UInt64) -> UInt64 { memory + leastBesideMemory }

  var journal: JournalSettings {
    var settings = JournalSettings()
    settings.segmentBytes = segmentBytes
    settings.logBytesMax = logBytesMax
    settings.reserveBytes = logBytesMax / 8
    settings.segmentsReserved = 3
    settings.waitingBytesMax = Int(logBytesMax / 16)
    return settings
  }
}
