import Primitives
import Testing

@testable import Node

/// How fast a checkpoint writes its pages, and what that leaves to others.
@Suite struct CheckpointPaceTests {
  private let limits: NodeLimits = {
    var limits = NodeLimits()
    limits.checkpointLogBytes = 2_000
    limits.checkpointPagesAtOnce = 10
    return limits
  }()

  private let pace = CheckpointPace(
    begunAt: Instant(nanoseconds: 5_000), logBytesAtBegin: 500, pages: 1_000, time: Nanoseconds(4_000))

  private func due(now: UInt64 = 5_000, log: UInt64 = 500, dirty: Int = 0) -> Int {
    pace.due(
      .init(now: Instant(nanoseconds: now), logBytes: log, dirtyPages: dirty, dirtyPagesMax: 800), limits)
  }

  @Test func itFollowsTheLogThroughHalfOfItsWay() {
    #expect(due() == 10)
    #expect(due(log: 505) == 10)
    #expect(due(log: 750) == 250)
    #expect(due(log: 1_499) == 999)
    #expect(due(log: 1_500) == 1_000 && due(log: 99_999) == 1_000)
  }

  @Test func itFollowsTimeIfTheLogIsSlower() {
    #expect(due(now: 6_000) == 250 && due(now: 6_000, log: 1_000) == 500)
    #expect(due(now: 9_000) == 1_000 && due(now: 1 << 40) == 1_000)
    var hurried = pace
    hurried.time = .zero
    #expect(
      hurried.due(.init(now: pace.begunAt, logBytes: 500, dirtyPages: 0, dirtyPagesMax: 800), limits) == 1_000)
  }

  /// 1 600 dirty or frozen pages there may be.
  @Test func itKeepsMemoryFree() {
    #expect(due(dirty: 600) == 10)
    #expect(due(dirty: 900) == 300)
    #expect(due(log: 1_000, dirty: 900) == 500)
    #expect(due(dirty: 1_600) == 1_000)
  }
}
