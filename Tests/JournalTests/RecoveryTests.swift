import Primitives
import Raft
import Testing

@testable import Journal

@Suite struct RecoveryTests {
  func opened() throws -> Harness {
    let harness = try Harness()
    harness.settle()
    return harness
  }

  @Test func anEmptyDirectoryIsANewJournal() throws {
    let recovered = try recoverJournal(VirtualDisk(), identity: Harness.identity(1), checkpoints: [])
    #expect(recovered.shards.isEmpty)
    #expect(recovered.accepted.sequence == 0)
    #expect(recovered.nextUse == 1)
  }

  @Test func entriesAfterTheCheckpointComeBackWithTermVoteAndStart() throws {
    let harness = try opened()
    harness.append(1, hardState: hardState(3, 2), (1...10).map { entry($0, 3) })
    harness.append(9, hardState: hardState(1), [entry(1, 1, 0, kind: .noop), entry(2, 1, 50, kind: .configuration)])
    harness.settle()
    harness.checkpoint(1, 6)
    let recovered = try harness.restart()
    #expect(recovered.shards.map(\.shard) == [ShardID(1), ShardID(9)])
    #expect(recovered.shards[0].entries.map(\.index.rawValue) == [7, 8, 9, 10])
    #expect(recovered.shards[0].hardState == hardState(3, 2))
    #expect(recovered.shards[0].logStart == LogIndex(1))
    #expect(recovered.shards[1].entries.map(\.kind) == [.noop, .configuration])
  }

  @Test func anAppendReplacesEverythingFromItsIndexOn() throws {
    let harness = try opened()
    harness.append(1, (1...9).map { entry($0, 1) })
    harness.settle()
    harness.append(1, hardState: hardState(2), [entry(4, 2)])
    harness.settle()
    let recovered = try harness.restart()
    #expect(recovered.shards[0].lastIndex == LogIndex(4))
    #expect(recovered.shards[0].entries.map(\.term.rawValue) == [1, 1, 1, 2])
  }

  private func taken(_ harness: Harness) throws(JournalRefusal) -> [Entry] {
    var taken: [Entry] = []
    _ = try recoverJournal(
      harness.disk, identity: Harness.identity(harness.boot + 1), checkpoints: [],
      take: { _, entry in
        taken.append(entry)
        return true
      })
    return taken
  }

  /// A follower may know that an entry is committed whose record stands behind that knowledge, and an older one before it.
  @Test func anEntryThatALaterBlockReplacesIsNotTaken() throws {
    let harness = try opened()
    harness.append(1, hardState: hardState(1), (1...5).map { entry($0, 1) })
    harness.settle()
    harness.journal.noteCommitted(ShardID(1), LogIndex(4), Term(2))
    harness.append(1, hardState: hardState(2))
    harness.settle()
    #expect(try taken(harness).isEmpty)
    harness.append(1, (3...6).map { entry($0, 2) })
    harness.settle()
    #expect(try taken(harness).map(\.term.rawValue) == [1, 1, 2, 2])
  }

  @Test func aCommittedEntryThatIsReplacedIsDamage() throws {
    let harness = try opened()
    harness.append(1, hardState: hardState(1), (1...5).map { entry($0, 1) })
    harness.settle()
    harness.journal.noteCommitted(ShardID(1), LogIndex(5), Term(1))
    harness.append(1, hardState: hardState(2))
    harness.settle()
    harness.append(1, [entry(5, 2)])
    harness.settle()
    #expect(throws: JournalRefusal.self) { try taken(harness) }
    #expect(try harness.recover().shards[0].lastIndex == LogIndex(5))
  }

  @Test func theNewestEntriesAreKeptAsFarAsTheBudgetGoes() throws {
    let harness = try opened()
    harness.append(1, hardState: hardState(2), (1...20).map { entry($0, $0 < 8 ? 1 : 2, 1000) })
    harness.settle()
    harness.checkpoint(1, 3)
    for (budget, first) in [(0, 21), (1047, 21), (1048, 20), (5 * 1048, 16), (17 * 1048, 4), (Int.max, 4)] {
      let recovered = try recoverJournal(
        harness.disk, identity: Harness.identity(2), checkpoints: Array(harness.checkpoints.values),
        entriesBytesMax: budget)
      #expect(recovered.shards[0].entries.map(\.index.rawValue) == Array(UInt64(first)..<21))
      #expect(recovered.shards[0].lastIndex == LogIndex(20))
      #expect(recovered.shards[0].terms.map(\.index.rawValue) == [4, 8])
    }
  }

  @Test func theHigherTermAndVoteOfLogAndCheckpointCounts() throws {
    let harness = try opened()
    harness.append(1, hardState: hardState(3, 2))
    harness.append(2, hardState: hardState(5))
    harness.settle()
    harness.checkpoint(1, 0, hardState: hardState(4))
    harness.checkpoint(2, 0, hardState: hardState(2, 1))
    let recovered = try harness.restart()
    #expect(recovered.shards.map(\.hardState) == [hardState(4), hardState(5)])
  }

  @Test func anEntryMaySpanBlocksAndSegments() throws {
    let harness = try opened()
    harness.append(1, [entry(1, 1, 30_000), entry(2, 1, 150_000), entry(3, 1, 10)])
    harness.settle()
    #expect(harness.journal.segmentCount >= 3)
    #expect(harness.persisted.map(\.1) == [1])
    let recovered = try harness.restart()
    #expect(recovered.shards[0].entries.map(\.payload.count) == [30_000, 150_000, 10])
  }

  @Test func anEntryWithALostFragmentIsAsIfNeverAppended() throws {
    let harness = try opened()
    harness.append(1, (1...5).map { entry($0, 1) })
    harness.settle()
    harness.append(1, hardState: hardState(2), [entry(3, 2, 100_000)])
    harness.turn()
    let first = harness.disk.pending[0].write.id
    harness.disk.settle(first)
    let recovered = try harness.restart()
    #expect(recovered.shards[0].lastIndex == LogIndex(5))
    #expect(recovered.shards[0].hardState == hardState(2))
    harness.settle()
    harness.append(1, [entry(3, 2, 100_000), entry(4, 2)])
    harness.settle()
    #expect(try harness.restart().shards[0].lastIndex == LogIndex(4))
  }

  @Test func aForeignDirectoryLaneOrBootIsRefusedByName() throws {
    let harness = try opened()
    harness.append(1, [entry(1, 1)])
    harness.settle()
    var identity = Harness.identity(2)
    identity.directory = 77
    #expect(throws: JournalRefusal.foreign(file: 1, directory: Harness.directory, lane: LaneID(3))) {
      try recoverJournal(harness.disk, identity: identity, checkpoints: [])
    }
    identity = Harness.identity(2)
    identity.lane = LaneID(1)
    #expect(throws: JournalRefusal.foreign(file: 1, directory: Harness.directory, lane: LaneID(3))) {
      try recoverJournal(harness.disk, identity: identity, checkpoints: [])
    }
    #expect(throws: JournalRefusal.bootNotRaised(file: 1, found: 1)) {
      try recoverJournal(harness.disk, identity: Harness.identity(1), checkpoints: [])
    }
  }

  @Test func anotherFormatVersionIsRefusedByNumber() throws {
    let harness = try opened()
    let block = harness.writeLog[0]
    var bytes = harness.disk.bytes(block.file, block.offset, block.count)
    bytes[8] = 4
    let checksum = crc32c(Array(bytes[8...]))
    withUnsafeBytes(of: checksum.littleEndian) { bytes.replaceSubrange(4..<8, with: $0) }
    harness.disk.overwrite(block.file, Int(block.offset), bytes)
    #expect(throws: JournalRefusal.unknownVersion(file: 1, version: 4)) { try harness.recover() }
  }

  @Test func anUnreadablePlaceIsRefusedWithFileAndOffset() throws {
    let harness = try opened()
    harness.disk.unreadable = (1, 4096)
    #expect(throws: JournalRefusal.unreadable(file: 1, offset: 0, errno: 5)) { try harness.recover() }
  }

  @Test func aMissingSegmentIsDamage() throws {
    let harness = try opened()
    for index in 1...60 { harness.append(1, [entry(UInt64(index), 1, 3000)]) }
    harness.settle()
    harness.append(1, [entry(61, 1)])
    harness.settle()
    #expect(harness.journal.segmentCount >= 3)
    let used = harness.disk.files.map(\.file).prefix(harness.journal.segmentCount)
    for file in used.dropLast() {
      let disk = harness.disk.copy()
      disk.remove(file)
      #expect(throws: JournalRefusal.self, "file \(file)") { try harness.recover(disk) }
    }
  }

  @Test func aLogThatEndsBeforeItsCheckpointIsDamage() throws {
    let harness = try opened()
    harness.append(1, (1...5).map { entry($0, 1) })
    harness.settle()
    harness.checkpoints[ShardID(1)] = ShardCheckpoint(shard: ShardID(1), appliedIndex: LogIndex(6), hardState: nil)
    #expect(throws: JournalRefusal.self) { try harness.recover() }
  }

  @Test func aBlockAtAWrongPlaceIsNotTaken() throws {
    // A copy of the last block at the place of the next one: same sequence, so the chain refuses it.
    let harness = try opened()
    harness.append(1, [entry(1, 1)])
    harness.settle()
    let last = harness.writeLog.last!
    harness.disk.overwrite(
      last.file, Int(last.offset) + last.count, harness.disk.bytes(last.file, last.offset, last.count))
    let recovered = try harness.restart()
    #expect(recovered.accepted.sequence == last.id)
  }

  @Test func aLostFirstBlockOfASegmentIsDamageOnceLaterBlocksAreDurable() throws {
    // The file is recycled: where the first block was lost, a whole but older one stands.
    let harness = try opened()
    var index: UInt64 = 0
    while harness.writeLog.last.map({ $0.offset != 0 || harness.journal.statistics.segmentsFreed < 3 }) ?? true {
      let before = harness.disk.copy()
      index += 1
      harness.append(1, [entry(index, 1, 2500)])
      harness.turn()
      if let head = harness.disk.pending.first, head.write.offset == 0, harness.journal.statistics.segmentsFreed >= 3 {
        try loseTheHead(harness, head.write, before, index)
        return
      }
      harness.settle()
      harness.checkpoint(1, index)
      harness.hold(1, index)
      harness.settle()
      try #require(index < 1000)
    }
  }

  private func loseTheHead(_ harness: Harness, _ head: JournalWrite, _ before: VirtualDisk, _ last: UInt64) throws {
    harness.settle()
    for index in last + 1...last + 3 {
      harness.append(1, [entry(index, 1)])
      harness.settle()
    }
    harness.disk.overwrite(head.file, 0, before.bytes(head.file, 0, head.count))
    do throws(JournalRefusal) {
      _ = try harness.recover()
      Issue.record("a lost block was not noticed")
    } catch .damage(let damage) {
      #expect(damage.file == head.file && damage.offset == 0 && damage.sequence == head.id)
    } catch {
      Issue.record("refused by \(error)")
    }
  }

  @Test func damageInAFreedSegmentIsOfNoAccount() throws {
    let harness = try opened()
    for index in 1...60 { harness.append(1, [entry(UInt64(index), 1, 3000)]) }
    harness.settle()
    harness.checkpoint(1, 60)
    harness.hold(1, 60)
    harness.settle()
    harness.advance(.milliseconds(10))
    harness.settle()
    #expect(harness.journal.segmentCount == 1)
    for offset in [0, 100, 4096, 20_000] {
      let disk = harness.disk.copy()
      disk.flip(1, offset, 0x40)
      #expect(try harness.recover(disk).shards[0].lastIndex == LogIndex(60), "offset \(offset)")
    }
  }

  @Test func everyRestartOfAnIdleNodeStartsInAFreshSegment() throws {
    let harness = try opened()
    harness.append(1, [entry(1, 1)])
    harness.settle()
    for count in 1...20 {
      let recovered = try harness.restart()
      #expect(recovered.segmentCount == count)
      harness.settle()
      #expect(harness.isOpen)
    }
    #expect(harness.journal.fileCount > harness.settings.segmentsMax)
    harness.checkpoint(1, 1)
    harness.hold(1, 1)
    harness.settle()
    harness.advance(.milliseconds(10))
    harness.settle()
    #expect(harness.journal.segmentCount == 1)
    #expect(harness.journal.fileCount <= harness.settings.segmentsMax)
    try harness.restart()
  }
}
