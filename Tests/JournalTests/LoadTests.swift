import Primitives
import Raft
import Testing

@testable import Journal

@Suite struct LoadTests {
  func harness(_ entries: [Entry]) throws -> Harness {
    let harness = try Harness()
    harness.settle()
    harness.append(1, entries)
    harness.append(2, [entry(1, 1, 500)])
    harness.settle()
    return harness
  }

  func load(_ harness: Harness, _ from: UInt64, _ through: UInt64, bytesMax: Int = 1 << 20) {
    let order = LoadOrder(
      shard: ShardID(1), id: 1, from: LogIndex(from), through: LogIndex(through), bytesMax: bytesMax)
    harness.journal.load(order, into: &harness.effects)
    harness.turn()
  }

  @Test func entriesComeBackAsTheyWereAppended() throws {
    let entries = (1...20).map { entry($0, 1, 100) }
    let harness = try harness(entries)
    load(harness, 3, 9)
    harness.completeReads()
    #expect(harness.loaded.first?.1 == Array(entries[2...8]))
  }

  @Test func theNewestVersionOfAReplacedEntryIsLoaded() throws {
    let harness = try harness((1...5).map { entry($0, 1) })
    harness.append(1, hardState: hardState(2), [entry(3, 2), entry(4, 2)])
    harness.settle()
    load(harness, 1, 9)
    harness.completeReads()
    #expect(harness.loaded.first?.1 == [entry(1, 1), entry(2, 1), entry(3, 2), entry(4, 2)])
  }

  @Test func anEntryOverSeveralSegmentsIsPutTogether() throws {
    let entries = [entry(1, 1, 10), entry(2, 1, 200_000), entry(3, 1, 10)]
    let harness = try harness(entries)
    load(harness, 2, 3)
    harness.completeReads()
    #expect(harness.loaded.first?.1 == Array(entries[1...]))
  }

  @Test func theLimitCutsTheAnswerButNeverToNothing() throws {
    let entries = (1...10).map { entry($0, 1, 1000) }
    let harness = try harness(entries)
    load(harness, 1, 10, bytesMax: 3500)
    load(harness, 5, 10, bytesMax: 1)
    harness.completeReads()
    #expect(harness.loaded.map(\.1) == [Array(entries[0..<3]), [entries[4]]])
  }

  @Test func whatIsNotOnDiskIsSaidSo() throws {
    let harness = try harness([entry(1, 1)])
    load(harness, 2, 5)
    harness.append(1, [entry(2, 1)])
    harness.turn()
    load(harness, 2, 2)
    let unknown = LoadOrder(shard: ShardID(99), id: 1, from: LogIndex(1), through: LogIndex(1), bytesMax: 10)
    harness.journal.load(unknown, into: &harness.effects)
    harness.turn()
    #expect(harness.loadFailures.map(\.1) == [.notHere, .notHere, .notHere])
  }

  @Test func anEntryReplacedWhileItIsReadIsNotServed() throws {
    let harness = try harness((1...3).map { entry($0, 1) })
    load(harness, 1, 3)
    harness.append(1, [entry(2, 2)])
    harness.turn()
    harness.completeReads()
    #expect(harness.loadFailures.map(\.1) == [.notHere])
  }

  @Test func rotIsAFaultWithFileAndOffset() throws {
    let harness = try harness([entry(1, 1)])
    let block = harness.writeLog.last!
    harness.disk.flip(block.file, Int(block.offset) + 300, 4)
    load(harness, 1, 1)
    harness.completeReads()
    let fault = JournalFault(kind: .damage, file: block.file, offset: block.offset, errno: 0)
    #expect(harness.loadFailures.map(\.1) == [.fault(fault)])
    #expect(harness.loaded.isEmpty)
  }

  @Test func aFailedReadIsAFault() throws {
    let harness = try harness([entry(1, 1)])
    load(harness, 1, 1)
    let read = harness.reads.removeFirst()
    harness.step(.readFailed(read.id, errno: 5))
    let fault = JournalFault(kind: .read, file: read.file, offset: read.offset, errno: 5)
    #expect(harness.loadFailures.map(\.1) == [.fault(fault)])
  }

  @Test func entriesRecoveredAreLoadedToo() throws {
    let entries = (1...30).map { entry($0, 1, 2500) }
    let harness = try harness(entries)
    harness.checkpoint(1, 30)
    try harness.restart()
    harness.settle()
    load(harness, 1, 30)
    harness.completeReads()
    #expect(harness.loaded.first?.1 == entries)
  }
}
