import Node
import Primitives
import TestNodes
import TestScale
import Testing

/// The power fails at every single write of a node: of its log, of its checkpoints, of its starts. What was acknowledged is
/// there, and nothing that was not asked for; no crash keeps a node from starting.
@Suite struct CrashAtEveryWriteTests {
  /// How the writes that a crash may tear are left: page writes that no sync covers, and the one under way.
  private static let ways: [(unsynced: Tearing, last: Tearing)] = [
    (.everything, .nothing), (.nothing, .everything), (.random(1), .firstHalf),
    (.random(2), .lastHalf),
    (.random(3), .random(4)),
  ]

  @Test(arguments: scaled([1], long: [0, 1, 2, 3]))
  func whereverThePowerFailsNothingAcknowledgedIsMissing(part: Int) throws {
    let run = try RecordedRun(putsPerStart: 18, isClosed: false)
    #expect(run.checkpoints >= 3 && run.operations.count > 80)
    var outcomes: Set<Int> = []
    for count in 0...run.operations.count where count % 4 == part {
      for (number, way) in Self.ways.enumerated() {
        let image = DirectoryImage.afterCrash(
          from: SoloNode.fresh, run.operations, at: count, unsynced: way.unsynced,
          last: way.last)
        let found = check(run, image, count, "operation \(count), way \(number)")
        if let found { outcomes.insert(found - run.puts.count { $0.acknowledged <= count }) }
      }
    }
    #expect(outcomes == [0, 1], "the put under way is there or not: both happened")
  }

  /// How many puts are there; nil when something is wrong, or the table was not there yet.
  private func check(_ run: RecordedRun, _ image: DirectoryImage, _ count: Int, _ place: String)
    -> Int?
  {
    let disk = ImageDisk(image)
    var isGoingOn = false
    let outcome = Outcome(disk, boots: image.boots, disk: disk) { node in
      let body = Array(#"{"v":"later"}"#.utf8)
      isGoingOn =
        count < run.tableAt
        || node.ask(.put(RecordedRun.path(0), body: body, .none))?.status ?? 0 < 300
    }
    guard case .rows(let rows) = outcome else {
      Issue.record("\(place): \(outcome)")
      return nil
    }
    #expect(isGoingOn, "\(place): it takes no writes")
    guard count >= run.tableAt else { return nil }
    let least = run.puts.count { $0.acknowledged <= count }
    let most = run.puts.count { $0.asked <= count }
    let there = (least...most).first { run.state(after: $0) == rows }
    #expect(there != nil, "\(place): neither \(least) nor \(most) puts are there: \(rows)")
    // What was written after the crash is there after another start.
    if let there {
      var later = run.state(after: there)
      later[0] = "later"
      #expect(
        Outcome(ImageDisk(disk.image), boots: disk.image.boots) == .rows(later),
        "\(place), started again")
    }
    return there
  }
}
