import Primitives

/// When checkpoints began and ended, and how long their beginnings kept the loop from everything else.
struct CheckpointTimes {
  /// Of the turns of the loop in which one began.
  private(set) var turns = Histogram()
  /// From beginning to end.
  private(set) var durations = Histogram()
  /// The newest one's.
  private(set) var begunAt: Instant?
  /// That of the newest one that has ended.
  private(set) var finishedAt: Instant?

  /// In a turn that began at `now` and has lasted until `end`.
  mutating func began(at now: Instant, until end: Instant) {
    turns.record(end - now)
    begunAt = now
  }

  mutating func finished(at now: Instant) {
    if let begunAt { durations.record(now - begunAt) }
    finishedAt = now
  }
}
