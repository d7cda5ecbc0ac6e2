import Primitives
import Raft
import Testing

@testable import Journal

@Suite struct PlanTests {
  func open(_ settings: JournalSettings = Harness.smallSettings()) throws -> Harness {
    let harness = try Harness(settings)
    harness.settle()
    #expect(harness.isOpen)
    return harness
  }

  @Test func nothingLeavesBeforeFlush() throws {
    let harness = try open()
    let before = harness.writeLog.count
    harness.append(1, [entry(1, 1)])
    #expect(harness.effects.list.isEmpty)
    harness.turn()
    #expect(harness.writeLog.count == before + 1)
    #expect(harness.persisted.isEmpty)
    harness.settle()
    #expect(harness.persisted.map(\.1) == [1])
  }

  @Test func allThatWaitsGoesIntoOneBlock() throws {
    let harness = try open()
    for shard in 1...50 { harness.append(UInt64(shard), hardState: hardState(1), [entry(1, 1, 100)]) }
    harness.turn()
    #expect(harness.disk.pending.count == 1)
    harness.settle()
    #expect(harness.persisted.count == 50)
  }

  @Test func persistenceIsReportedInBlockOrder() throws {
    let harness = try open()
    var ids: [WriteID] = []
    for index in 1...3 {
      harness.append(1, [entry(UInt64(index), 1)])
      harness.turn()
      ids.append(harness.writeLog.last!.id)
    }
    #expect(harness.disk.pending.count == 3)
    harness.completeWrite(ids[2])
    harness.completeWrite(ids[1])
    #expect(harness.persisted.isEmpty)
    harness.completeWrite(ids[0])
    #expect(harness.persisted.map(\.1) == [1, 2, 3])
  }

  @Test func loadMakesBlocksFullerInsteadOfQueuesLonger() throws {
    let harness = try open()
    for index in 1...20 {
      harness.append(1, [entry(UInt64(index), 1)])
      harness.turn()
    }
    #expect(harness.disk.pending.count == 4)
    harness.completeWrite(harness.disk.pending[0].write.id)
    #expect(harness.disk.pending.count == 4)
    let count = harness.writeLog.count
    harness.settle()
    #expect(harness.writeLog.count == count)
    #expect(harness.persisted.last!.1 == 20)
  }

  @Test func aBufferIsStableUntilItsWriteIsReported() throws {
    let harness = try open()
    harness.append(1, [entry(1, 1)])
    harness.turn()
    let write = harness.writeLog.last!
    let before = Array(harness.journal.bytes(of: write))
    for index in 2...40 {
      harness.append(1, [entry(UInt64(index), 1, 3000)])
      harness.turn()
    }
    #expect(Array(harness.journal.bytes(of: write)) == before)
    #expect(UInt(bitPattern: harness.journal.bytes(of: write).baseAddress!) % 4096 == 0)
  }

  @Test func aSealFollowsIdlenessAndThenNothing() throws {
    let harness = try open()
    #expect(harness.journal.nextDeadline == .never)
    harness.append(1, [entry(1, 1)])
    harness.settle()
    #expect(harness.journal.nextDeadline == harness.now + .milliseconds(10))
    harness.advance(.milliseconds(9))
    #expect(harness.disk.pending.isEmpty)
    harness.advance(.milliseconds(1))
    #expect(harness.disk.pending.count == 1)
    harness.settle()
    #expect(harness.journal.nextDeadline == .never)
    harness.advance(.seconds(100))
    #expect(harness.disk.pending.isEmpty)
    #expect(harness.journal.statistics.seals == 1)
  }

  @Test func shutdownWritesWhatWaitsAndSeals() throws {
    let harness = try open()
    harness.append(1, [entry(1, 1)])
    harness.step(.shutdown)
    #expect(!harness.isClosed)
    harness.settle()
    #expect(harness.isClosed)
    #expect(harness.persisted.count == 1)
    #expect(harness.journal.statistics.seals == 1)
    try harness.restart()
  }

  @Test func afterAFailedWriteNothingMoreIsAcknowledged() throws {
    let harness = try open()
    var ids: [WriteID] = []
    for index in 1...4 {
      harness.append(1, [entry(UInt64(index), 1)])
      harness.turn()
      ids.append(harness.writeLog.last!.id)
    }
    harness.completeWrite(ids[2])
    harness.disk.pending.removeAll { $0.write.id == ids[1] }
    harness.step(.writeFailed(ids[1], errno: 5))
    let failed = harness.writeLog.first { $0.id == ids[1] }!
    #expect(harness.faults == [JournalFault(kind: .write, file: failed.file, offset: failed.offset, errno: 5)])
    harness.completeWrite(ids[0])
    harness.completeWrite(ids[3])
    #expect(harness.persisted.map(\.1) == [1])
    let count = harness.writeLog.count
    harness.journal.append(shard: ShardID(1), order: PersistOrder(id: 5, hardState: nil, entries: [entry(5, 1)]))
    harness.settle()
    #expect(harness.writeLog.count == count)
    #expect(harness.persisted.map(\.1) == [1])
    #expect(harness.journal.nextDeadline == .never)
  }

  @Test func aFullDiskIsNoticedBeforeTheLogNeedsIt() throws {
    let harness = try Harness()
    harness.turn()
    harness.completePreparation()
    harness.completeWrite(harness.disk.pending[0].write.id)
    let refused = harness.preparations.removeFirst()
    harness.step(.segmentFailed(file: refused.file, errno: 28))
    #expect(harness.journal.isFull)
    #expect(harness.faults.isEmpty)
    harness.append(1, [entry(1, 1, 1000)])
    harness.turn()
    harness.completeWrite(harness.disk.pending[0].write.id)
    #expect(harness.persisted.count == 1)
    #expect(harness.journal.nextDeadline <= harness.now + .seconds(1))
    harness.advance(.seconds(1))
    #expect(harness.preparations.count == 1)
    harness.completePreparation()
    #expect(!harness.journal.isFull)
  }

  @Test func withNoRoomAtAllOrdersWaitUntilThereIs() throws {
    let harness = try Harness()
    harness.turn()
    harness.completePreparation()
    harness.completeWrite(harness.disk.pending[0].write.id)
    harness.step(.segmentFailed(file: harness.preparations.removeFirst().file, errno: 28))
    for index in 1...40 { harness.append(1, [entry(UInt64(index), 1, 3000)]) }
    harness.turn()
    while let first = harness.disk.pending.first { harness.completeWrite(first.write.id) }
    #expect(harness.journal.isStalled)
    #expect(harness.persisted.last.map { $0.1 < 40 } ?? true)
    harness.advance(.seconds(1))
    harness.settle()
    #expect(!harness.journal.isStalled)
    #expect(harness.persisted.last!.1 == 40)
  }

  @Test func onAFullDiskFreedSegmentsAreUsedAgain() throws {
    let harness = try open()
    harness.isDiskFull = true
    var index: UInt64 = 0
    while !harness.journal.isFull {
      index += 1
      harness.append(1, [entry(index, 1, 3000)])
      harness.settle()
      try #require(index < 1000)
    }
    let files = harness.journal.fileCount
    for _ in 0..<200 {
      index += 1
      harness.append(1, [entry(index, 1, 3000)])
      harness.settle()
      harness.checkpoint(1, index)
      harness.hold(1, index)
      harness.settle()
    }
    #expect(harness.persisted.last!.1 == index)
    #expect(harness.journal.fileCount == files && !harness.journal.isStalled)
    // And the number that could not be used is used when there is room.
    harness.isDiskFull = false
    for _ in 0..<40 {
      index += 1
      harness.append(1, [entry(index, 1, 3000)])
      harness.settle()
    }
    harness.advance(.seconds(1))
    harness.settle()
    #expect(harness.journal.fileCount > files)
    #expect(harness.disk.content.keys.sorted() == Array(1...UInt32(harness.journal.fileCount)))
    try harness.restart()
  }

  @Test func aReserveIsMadeBeforeTheDiskIsFull() throws {
    var settings = Harness.smallSettings()
    settings.segmentsReserved = 4
    let harness = try open(settings)
    #expect(harness.journal.fileCount == 4 && harness.journal.nextDeadline == .never)
    harness.isDiskFull = true
    var index: UInt64 = 0
    while !harness.journal.isFull {
      index += 1
      harness.append(1, [entry(index, 1, 3000)])
      harness.settle()
      try #require(index < 1000)
    }
    #expect(harness.journal.segmentCount == 4 && harness.journal.shortage == .disk)
    #expect(harness.journal.takesDeletes && harness.journal.roomBytes < settings.segmentBytes)
    while harness.journal.takesDeletes {
      index += 1
      harness.append(1, [entry(index, 1, 3000)])
      harness.settle()
    }
    #expect(!harness.journal.isStalled && harness.journal.takesEntries)
    try harness.restart()
  }

  /// The log can do without it: nothing is refused, it is tried again, and what is needed at once comes first.
  @Test func aReserveThatTheDiskHasNoRoomForIsNoShortage() throws {
    var settings = Harness.smallSettings()
    settings.segmentsReserved = 3
    let harness = try Harness(settings)
    harness.turn()
    harness.completePreparation()
    harness.completeWrite(harness.disk.pending[0].write.id)
    harness.completePreparation()
    harness.step(.segmentFailed(file: harness.preparations.removeFirst().file, errno: 28))
    #expect(!harness.journal.isFull && harness.journal.fileCount == 2)
    #expect(harness.journal.nextDeadline <= harness.now + .seconds(1))
    harness.advance(.seconds(1))
    #expect(harness.preparations.count == 1)
    // The segment in use is full meanwhile: the file that is being made for the reserve is the next one.
    for index in 1...40 { harness.append(1, [entry(UInt64(index), 1, 3000)]) }
    harness.turn()
    while let first = harness.disk.pending.first { harness.completeWrite(first.write.id) }
    #expect(harness.preparations.count == 1)
    harness.settle()
    #expect(harness.persisted.last!.1 == 40 && harness.journal.fileCount >= settings.segmentsReserved)
  }

  @Test func aFailedPreparationThatIsNoFullDiskIsFinal() throws {
    let harness = try Harness()
    harness.turn()
    harness.step(.segmentFailed(file: harness.preparations.removeFirst().file, errno: 5))
    #expect(harness.faults.count == 1)
    #expect(harness.journal.fault?.kind == .prepare)
  }

  @Test func aFullLogSaysSoWhileRaftStillHasRoom() throws {
    let harness = try open()
    var index: UInt64 = 0
    while !harness.journal.isFull {
      index += 1
      harness.append(1, [entry(index, 1, 3000)])
      harness.settle()
      try #require(index < 1000)
    }
    #expect(harness.journal.freeBytes >= harness.settings.reserveBytes - 2 * 4096)
    for term in 2...10 {
      harness.append(1, hardState: hardState(UInt64(term), 2))
      harness.settle()
    }
    #expect(harness.model.open.isEmpty)
    #expect(harness.journal.fileCount <= harness.settings.segmentsMax)
    // Far beyond the reserve it stalls, within its files, and goes on when segments are freed.
    for _ in 0..<60 {
      index += 1
      harness.append(1, [entry(index, 10, 3000)])
      harness.settle()
    }
    #expect(harness.journal.isStalled)
    #expect(harness.journal.fileCount == harness.settings.segmentsMax)
    let covered = harness.model.durable[ShardID(1)]!.entries.count
    harness.checkpoint(1, UInt64(covered))
    harness.hold(1, UInt64(covered))
    harness.settle()
    #expect(!harness.journal.isStalled)
    #expect(harness.model.open.isEmpty)
    #expect(!harness.journal.isFull)
    try harness.restart()
  }

  @Test func aSegmentIsFreedOnlyWhenCheckpointedAndHeldByAll() throws {
    let harness = try open()
    for index in 1...60 { harness.append(1, [entry(UInt64(index), 1, 3000)]) }
    harness.settle()
    let count = harness.journal.segmentCount
    #expect(count >= 3)
    harness.checkpoint(1, 60)
    #expect(harness.journal.segmentCount == count)
    harness.hold(1, 30)
    #expect(harness.journal.segmentCount < count)
    #expect(harness.journal.segmentCount > 1)
    harness.hold(1, 60)
    #expect(harness.journal.segmentCount == 1)
  }

  @Test func aFreedSegmentsLastVoteIsWrittenAgainFirst() throws {
    let harness = try open()
    harness.append(7, hardState: hardState(5, 2))
    for index in 1...60 { harness.append(1, [entry(UInt64(index), 1, 3000)]) }
    harness.settle()
    harness.checkpoint(1, 60)
    harness.hold(1, 60)
    harness.settle()
    harness.advance(.milliseconds(10))
    harness.settle()
    #expect(harness.journal.segmentCount == 1)
    harness.wipeFreeFiles()
    let recovered = try harness.restart()
    #expect(recovered.shards.first { $0.shard == ShardID(7) }?.hardState == hardState(5, 2))
  }

  @Test func aVoteInTheCheckpointIsNotWrittenAgain() throws {
    let harness = try open()
    harness.append(1, hardState: hardState(5, 2))
    for index in 1...60 { harness.append(1, [entry(UInt64(index), 1, 3000)]) }
    harness.settle()
    let records = harness.journal.statistics.recordsWritten
    harness.checkpoint(1, 60, hardState: hardState(5, 2))
    harness.hold(1, 60)
    harness.settle()
    #expect(harness.journal.segmentCount == 1)
    #expect(harness.journal.statistics.recordsWritten == records)
    #expect(try harness.restart().shards[0].hardState == hardState(5, 2))
  }

  @Test func filesAreRecycledAndNeverExceedTheCap() throws {
    let harness = try open()
    var index: UInt64 = 0
    for _ in 0..<300 {
      for _ in 0..<3 {
        index += 1
        harness.append(1, [entry(index, 1, 2000)])
      }
      harness.settle()
      harness.checkpoint(1, index)
      harness.hold(1, index)
      harness.settle()
    }
    #expect(harness.journal.statistics.segmentsFreed > 20)
    #expect(harness.journal.fileCount <= 4)
    try harness.restart()
  }

  @Test func anOrderWithoutContentIsAsDurableAsTheOneBefore() throws {
    let harness = try open()
    harness.append(1)
    harness.turn()
    #expect(harness.persisted.map(\.1) == [1])
    harness.append(1, [entry(1, 1)])
    harness.append(1)
    harness.turn()
    #expect(harness.persisted.count == 1)
    harness.settle()
    #expect(harness.persisted.last!.1 == 3)
  }
}
