import FileStoreClient
import Foundation
import Primitives
import TestNodes
import TestScale
import Testing

@testable import fsbench

private func at(_ milliseconds: UInt64) -> Instant { .zero + .milliseconds(milliseconds) }

@Suite struct WaitsTests {
  private typealias Span = CheckpointTimeline.Span

  private func waits(_ all: [(UInt64, UInt64)]) -> Waits {
    var waits = Waits(start: at(1000))
    for (arrived, answered) in all { waits.add(.init(arrived: at(arrived), answered: at(answered))) }
    return waits
  }

  @Test func aWaitThatOverlapsACheckpointIsOneDuringIt() {
    let span = Span(begun: at(2000), finished: at(2100))
    for (arrived, answered) in [(1990, 2001), (2050, 2060), (2099, 2200), (1900, 2300)] as [(UInt64, UInt64)] {
      let found = waits([(arrived, answered)]).longest([span])
      #expect(found.during == .milliseconds(answered - arrived) && found.outside == nil)
    }
    for (arrived, answered) in [(1990, 1999), (2101, 2200)] as [(UInt64, UInt64)] {
      let found = waits([(arrived, answered)]).longest([span])
      #expect(found.during == nil && found.outside == .milliseconds(answered - arrived))
    }
  }

  @Test func theLongestCountsOfEachKind() {
    let spans = [Span(begun: at(2000), finished: at(2100)), Span(begun: at(3000), finished: .never)]
    let found = waits([
      (1000, 1004), (1000, 1007), (1000, 1002), (1500, 1503), (2010, 2015), (2020, 2029), (3500, 3511), (2500, 2506),
    ]).longest(spans)
    #expect(found.during == .milliseconds(11) && found.outside == .milliseconds(7))
    let nothing = waits([]).longest(spans)
    #expect(nothing.during == nil && nothing.outside == nil)
  }
}

@Suite struct CheckpointTimelineTests {
  private func page(up: Double, begun: Double, finished: Double) -> MetricsPage {
    MetricsPage(
      """
      filestore_uptime_seconds \(up)
      filestore_checkpoint_begun_uptime_seconds \(begun)
      filestore_checkpoint_finished_uptime_seconds \(finished)
      """)
  }

  /// The node was started at 100 s of our clock.
  @Test func checkpointsAreToldByOurClock() {
    var timeline = CheckpointTimeline()
    timeline.add(page(up: 1, begun: 0, finished: 0), asked: at(100_990), answered: at(101_010))
    #expect(timeline.spans == [])
    timeline.add(page(up: 2, begun: 1.5, finished: 0), asked: at(101_999), answered: at(102_001))
    #expect(timeline.spans == [.init(begun: at(101_500), finished: .never)])
    timeline.add(page(up: 3, begun: 1.5, finished: 2.25), asked: at(102_990), answered: at(103_010))
    #expect(timeline.spans == [.init(begun: at(101_500), finished: at(102_250))])
    #expect(abs(timeline.uncertainty - 0.002) < 1e-9)
  }

  /// The page of a slow answer may have been made at either end of it.
  @Test func theQuickestAnswerSetsTheClock() {
    for order in [[0, 1], [1, 0]] {
      var timeline = CheckpointTimeline()
      for slow in order {
        let begun = at(slow == 1 ? 101_200 : 101_999)
        timeline.add(page(up: 2, begun: 1, finished: 1.5), asked: begun, answered: at(slow == 1 ? 102_000 : 102_001))
      }
      #expect(timeline.spans == [.init(begun: at(101_000), finished: at(101_500))])
    }
  }

  @Test func aCheckpointThatEndsWhileNobodyLooksEndsBeforeTheNextBegins() {
    var timeline = CheckpointTimeline()
    timeline.add(page(up: 1, begun: 0.5, finished: 0), asked: at(101_000), answered: at(101_000))
    timeline.add(page(up: 2, begun: 1.25, finished: 1), asked: at(102_000), answered: at(102_000))
    #expect(
      timeline.spans == [
        .init(begun: at(100_500), finished: at(101_000)), .init(begun: at(101_250), finished: .never),
      ])
  }
}

@Suite struct CheckpointResultTests {
  private func counters(_ checkpoints: Int, pages: Int, log: Int, beginning: Double) -> CheckpointCounters {
    CheckpointCounters(
      MetricsPage(
        """
        filestore_checkpoints_total \(checkpoints)
        filestore_pages_written_total \(pages)
        filestore_journal_bytes_written_total \(log)
        filestore_checkpoint_begin_seconds_sum{lane="0"} \(beginning)
        """))
  }

  private func result(_ checkpoints: Int, _ waits: [(UInt64, UInt64)]) throws(BenchError) -> CheckpointResult {
    var timeline = CheckpointTimeline()
    let page = "filestore_checkpoint_begun_uptime_seconds 2\nfilestore_checkpoint_finished_uptime_seconds 3"
    timeline.add(MetricsPage(page), asked: at(0), answered: at(0))
    var measured = CheckpointMeasurement(
      load: LoadResult(), waits: Waits(start: at(0)),
      before: counters(3, pages: 10, log: 5_000, beginning: 0.5),
      after: counters(3 + checkpoints, pages: 20, log: 57_960, beginning: 0.5 + 0.003 * Double(checkpoints)))
    measured.load.seconds = 0.5
    for (arrived, answered) in waits {
      measured.load.add(at(answered) - at(arrived))
      measured.waits.add(.init(arrived: at(arrived), answered: at(answered)))
    }
    return try CheckpointResult(measured, timeline)
  }

  @Test func figuresCompareWaitsDuringCheckpointsWithThoseOutside() throws {
    let figures = try result(4, [(1000, 1004), (2500, 2522), (2600, 2601), (4000, 4007)]).figures
    func figure(_ name: String) throws -> Figure { try #require(figures.first { $0.name == "checkpoint/" + name }) }
    #expect(try figure("rate").value == 8)
    #expect(try figure("wait/during").value == 0.022)
    #expect(try figure("wait/outside").value == 0.007)
    #expect(abs(try figure("stall").value - 0.015) < 1e-9)
    #expect(abs((try figure("stall").ratio ?? 0) - 1.5) < 1e-6)
    #expect(try figure("count").value == 4)
    #expect(try figure("count").ratio == 0.2)
    #expect(abs(try figure("begin").value - 0.003) < 1e-9)
    // 10 pages and 52 960 bytes of log for 4 rows of 116 bytes.
    #expect(try figure("write-amplification").value == (10 * 16_384 + 52_960) / (4.0 * 116))
  }

  @Test func aShorterWaitDuringCheckpointsIsNoExcess() throws {
    let figures = try result(1, [(1000, 1004), (2500, 2503)]).figures
    #expect(figures.first { $0.name == "checkpoint/stall" }?.value == 0)
  }

  @Test func whatCannotBeComparedIsNoFigure() {
    #expect(failure { _ = try result(0, [(1000, 1004), (2500, 2503)]) }?.contains("no checkpoint") == true)
    #expect(failure { _ = try result(1, [(1000, 1004)]) }?.contains("no checkpoint") == true)
    #expect(failure { _ = try result(1, [(2500, 2504)]) }?.contains("no time between") == true)
  }
}

/// The command on a real node, as small as it goes.
@Suite(.serialized) struct CheckpointCommandTests {
  private func withNode(_ body: (TestCluster, [String]) throws -> Void) throws {
    let cluster = try TestCluster(nodes: 1)
    defer { cluster.destroy() }
    try cluster.start(1, changes: [(.memory, "64MiB")])
    try #require(try cluster.client().waitUntilReady(1), "\(cluster.node(1).lines)")
    let file = cluster.directory + "/token"
    try cluster.token().write(toFile: file, atomically: true, encoding: .utf8)
    let place = ["--filestore", "\(cluster.endpoints[0])", "--token-file", file]
    try body(cluster, ["checkpoint", "--ca", cluster.directory + "/ca/nodes.pem", "--shape", "2x8"] + place)
  }

  @Test func aRunWithoutCheckpointsHasNoFigures() throws {
    try withNode { cluster, command in
      let small = command + ["--rows", "1000", "--rate", "200", "--seconds", "0.3"]
      let result = try run(small)
      #expect(result.exitCode == 1 && result.lines.isEmpty)
      #expect(try cluster.client().metric("filestore_rows{shard=\"1\"}") ?? 0 >= 1000)
      #expect(try run(command + ["--rows", "2000", "--filled"]).exitCode == 1, "they are not all there")
    }
  }

  /// The rows fill two thirds of the node's pages: some 2 000 random writes make a checkpoint due, which takes 10 s at most.
  @Test(.enabled(if: isLongRun, "half a minute of load")) func checkpointsAreFoundAndWritesCounted() throws {
    try withNode { cluster, command in
      #expect(try run(command + ["--rows", "1000", "--rate", "100", "--seconds", "0.1"]).exitCode == 1)
      let found = try figures(command + ["--rows", "300000", "--rate", "1000", "--seconds", "14"])
      try #require(
        found.map(\.name)
          == [
            "rate", "count", "wait/during", "wait/outside", "stall", "wait/p99.9", "begin", "write-amplification",
          ].map { "checkpoint/" + $0 })
      #expect(found[0].value > 500 && found[1].value >= 1 && found[7].value > 1)
      #expect(found.prefix(4).allSatisfy { $0.value > 0 })
    }
  }

  @Test(arguments: [
    ["--rate", "0"], ["--seconds", "0"], ["--seconds", "4000"], ["--rows", "0"], ["--shape", "1"],
    ["--fill-seconds", "0"],
  ])
  func whatCannotBeMeasuredIsRefused(arguments: [String]) {
    #expect(throws: (any Error).self) { try Fsbench.parseAsRoot(["checkpoint"] + arguments) }
  }

  @Test func whatIsMeasuredIsThatOfTheOptions() throws {
    let plain = try #require(try Fsbench.parseAsRoot(["checkpoint"]) as? CheckpointCommand).settings
    #expect(plain.perSecond == 20_000 && plain.seconds == 300 && plain.rows == 2_000_000)
    #expect(plain.shape.description == "16x32")
  }
}
