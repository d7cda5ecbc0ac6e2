import Primitives

/// How fast a checkpoint writes its pages.
///
///     pages
///      all │            ┌────────  after half of the log that makes the next one due,
///          │         ┌──┘          or half of the time since the one before began
///          │      ┌──┘
///          │   ┌──┘
///          │───┘ some at once
///          └───────────────────── log, or time
///
/// So the disk, which has to make the log durable meanwhile, gets a few pages between two writes of the log and not all at
/// once, and half of the time remains without any. A checkpoint hurries as far as memory makes it: dirty and frozen pages
/// together stay below `dirtyPagesMax` twice.
struct CheckpointPace: Equatable {
  var begunAt: Instant
  var logBytesAtBegin: UInt64
  /// All that it writes.
  var pages: Int
  /// At the latest after so long.
  var time: Nanoseconds

  /// What the world has come to.
  struct Facts: Equatable {
    var now: Instant
    var logBytes: UInt64
    var dirtyPages: Int
    var dirtyPagesMax: Int
  }

  /// How many pages may have been ordered by now.
  func due(_ facts: Facts, _ limits: NodeLimits) -> Int {
    let byLog = share(facts.logBytes - logBytesAtBegin, of: limits.checkpointLogBytes / 2)
    let byTime = share((facts.now - begunAt).rawValue, of: time.rawValue)
    let byMemory = pages + facts.dirtyPages - 2 * facts.dirtyPagesMax
    return max(limits.checkpointPagesAtOnce, byLog, byTime, byMemory)
  }

  private func share(_ part: UInt64, of whole: UInt64) -> Int {
    part < whole ? Int(Double(pages) * Double(part) / Double(whole)) : pages
  }
}
