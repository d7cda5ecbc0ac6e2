import Foundation
import Ring
import Server
import TestNodes
import Testing

@testable import fsbench

/// What was logged is applied, and a log that is not whole is no figure.
@Suite struct RecoveryTests {
  private let rows = Rows(count: 700, seed: 5, isText: true)

  private func withKilledNode(_ body: (KilledNode) throws -> Void) throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(KilledNode(under: directory, rows: rows, valueBytes: 1000, logBytes: 8 << 20))
  }

  private func recover(_ killed: KilledNode) throws {
    let node = try RecoveringNode(killed, skipsWaits: true)
    try node.begin()
    try node.apply()
  }

  @Test func aNodeRecoversAllRowsAgainAndAgain() throws {
    try withKilledNode { killed in
      #expect(killed.rows == 700 && killed.logBytes > 700_000)
      #expect(killed.lastIndex.rawValue == 4, "the configuration and entries of 256 rows")
      for _ in 0..<3 { try recover(killed) }
    }
  }

  @Test func theLogEndsWhereItIsAskedTo() throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let many = Rows(count: 8000, seed: 6, isText: true)
    let killed = try KilledNode(under: directory, rows: many, valueBytes: 1000, logBytes: 2 << 20)
    #expect((2 << 20..<4 << 20).contains(killed.logBytes) && killed.rows < 8000)
    try recover(killed)
  }

  @Test func whatIsInACheckpointIsReadAndTheLogBehindItApplied() throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let killed = try KilledNode(under: directory, stored: 500, rows: rows, valueBytes: 1000, logBytes: 8 << 20)
    #expect(killed.storedRows == 500 && killed.rows == 700 && killed.lastIndex.rawValue == 501 + 3)
    for _ in 0..<2 {
      let node = try RecoveringNode(killed, skipsWaits: false)
      try node.begin()
      for number in [0, 250, 499] { try node.readStoredRow(number) }
      #expect(throws: BenchError.self) { try node.readStoredRow(500) }
      try node.apply()
    }
  }

  @Test func aRowThatIsLostFailsTheRun() throws {
    try withKilledNode { killed in
      let log = killed.path + "/lane-0/log/" + LogFiles.name(of: 1)
      let file = try File(log, .write)
      let page = AlignedBuffer(count: 4096)
      try file.write(page.readOnly, at: 4096)
      #expect(throws: BenchError.self) { try recover(killed) }
    }
  }

  @Test func textRowsAreLettersAndDigits() {
    let bytes = (0..<rows.count).flatMap { Array(rows.key($0)) } + Array(rows.value)
    #expect(bytes.allSatisfy { Array("0123456789abcdef".utf8).contains($0) })
    #expect(Set((0..<rows.count).map { Array(rows.key($0)) }).count == rows.count)
  }
}
