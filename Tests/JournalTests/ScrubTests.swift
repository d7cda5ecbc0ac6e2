import Primitives
import Raft
import Testing

@testable import Journal

@Suite struct ScrubTests {
  private struct Pass {
    var reads: [LogScrubRead] = []
    var bytes = 0
    var outdated = 0
    var damages: [JournalFault] = []
  }

  /// One pass; ends where damage is found. `before` is called before each read is performed.
  private func pass(
    _ harness: Harness, opening: (UnsafeMutableRawBufferPointer) -> Void = { _ in },
    before: (LogScrubRead) -> Void = { _ in }
  ) -> Pass {
    var scrub = LogScrub()
    var pass = Pass()
    while pass.damages.isEmpty, let read = scrub.next(harness.journal) {
      pass.reads.append(read)
      before(read)
      var verdict = LogScrubVerdict.outdated
      if harness.disk.content[read.file] == nil {
        verdict = scrub.failed(read, errno: 2, harness.journal)
      } else {
        var bytes = harness.disk.bytes(read.file, read.offset, read.count)
        bytes.withUnsafeMutableBytes { opening($0) }
        verdict = bytes.withUnsafeBytes { scrub.completed(read, $0, harness.journal) }
      }
      switch verdict {
      case .sound(let count): pass.bytes += count
      case .outdated: pass.outdated += 1
      case .damaged(let fault): pass.damages.append(fault)
      }
    }
    return pass
  }

  /// Several segments, entries that go on in the next one, two starts.
  private func harness() throws -> Harness {
    let harness = try Harness()
    harness.settle()
    for i in 1...20 {
      harness.append(1, hardState: hardState(UInt64(i)), [entry(UInt64(i), UInt64(i), i % 7 == 0 ? 30_000 : 900)])
      harness.settle()
    }
    try harness.restart()
    harness.settle()
    harness.append(1, [entry(21, 20, 70_000)])
    harness.settle()
    return harness
  }

  @Test func aPassReadsEveryBlockOfTheLiveLogOnce() throws {
    let harness = try harness()
    let found = pass(harness)
    #expect(found.damages.isEmpty && found.outdated == 0)
    #expect(found.bytes == Int(harness.journal.bytesToScrub))
    #expect(harness.journal.segmentCount > 2)
    #expect(Set(found.reads.map(\.file)).count == harness.journal.segmentCount)
  }

  /// In each block a few bytes at its beginning, some inside and at its end.
  @Test func rotOfAnyBlockIsFoundWithFileAndOffset() throws {
    let harness = try harness()
    let live = Set(harness.journal.segments.live.map(\.file))
    var blocks: [(file: UInt32, offset: UInt64, count: Int)] = []
    for file in harness.disk.files where live.contains(file.file) {
      for case .block(let block) in try inspectSegment(harness.disk, file: file) {
        blocks.append((file.file, block.offset, Int(block.header.length)))
      }
    }
    #expect(blocks.count > 10)
    for block in blocks {
      for at in [0, 5, 9, 14, 41, 49, 70, 300, block.count / 2, block.count - 1] {
        harness.disk.flip(block.file, Int(block.offset) + at, 4)
        let expected = JournalFault(kind: .damage, file: block.file, offset: block.offset, errno: 0)
        #expect(pass(harness).damages == [expected], "byte \(at) of \(block)")
        harness.disk.flip(block.file, Int(block.offset) + at, 4)
      }
    }
    #expect(pass(harness).damages.isEmpty)
  }

  /// A block that is whole, and not the one that belongs there.
  @Test func aBlockInAnothersPlaceIsDamage() throws {
    let harness = try Harness()
    harness.settle()
    for i in 1...6 {
      harness.append(1, [entry(UInt64(i), 1, 100)])
      harness.settle()
    }
    let last = harness.writeLog.suffix(2)
    let (one, other) = (try #require(last.first), try #require(last.last))
    let copy = harness.disk.bytes(one.file, one.offset, one.count)
    harness.disk.overwrite(other.file, Int(other.offset), copy)
    #expect(
      pass(harness).damages == [JournalFault(kind: .damage, file: other.file, offset: other.offset, errno: 0)])
  }

  /// Right by itself and in its place, of another history: the block behind it names another one.
  @Test func aWholeBlockThatIsNotTheRightOneBreaksTheChain() throws {
    func history(_ term: UInt64) throws -> Harness {
      let harness = try Harness()
      harness.settle()
      for (index, term) in [(1, 1), (2, term), (3, 9)] as [(UInt64, UInt64)] {
        harness.append(1, [entry(index, term, 100)])
        harness.settle()
      }
      return harness
    }
    let (harness, other) = (try history(1), try history(2))
    let blocks = harness.writeLog.suffix(2)
    let (second, third) = (try #require(blocks.first), try #require(blocks.last))
    let foreign = other.disk.bytes(second.file, second.offset, second.count)
    try #require(foreign != harness.disk.bytes(second.file, second.offset, second.count))
    harness.disk.overwrite(second.file, Int(second.offset), foreign)
    #expect(
      pass(harness).damages == [JournalFault(kind: .damage, file: third.file, offset: third.offset, errno: 0)])
  }

  @Test func aLostWriteIsDamage() throws {
    let harness = try Harness()
    harness.settle()
    harness.append(1, [entry(1, 1, 100)])
    harness.settle()
    let block = try #require(harness.writeLog.last)
    let before = harness.disk.bytes(block.file, 0, 64 << 10)
    harness.append(1, [entry(2, 1, 100)])
    harness.settle()
    harness.disk.overwrite(block.file, 0, before)
    #expect(pass(harness).damages.map(\.offset) == [block.offset + UInt64(block.count)])
  }

  @Test func segmentsThatAreFreedMeanwhileArePassedOver() throws {
    let harness = try harness()
    let first = try #require(harness.journal.segments.oldest)
    var isFreed = false
    let found = pass(harness) { _ in
      guard !isFreed else { return }
      isFreed = true
      harness.checkpoint(1, 20, hardState: hardState(20))
      harness.hold(1, 20)
      harness.settle()
      harness.wipeFreeFiles()
    }
    #expect(harness.journal.segments.oldest?.use != first.use)
    #expect(found.damages.isEmpty && found.outdated == 1 && found.bytes > 0)
  }

  @Test func aPassEndsWhereTheLogWasDurableWhenItBegan() throws {
    let harness = try harness()
    let end = harness.journal.bytesToScrub
    var index: UInt64 = 22
    let found = pass(harness) { _ in
      harness.append(1, [entry(index, 20, 5000)])
      index += 1
      harness.settle()
    }
    #expect(found.damages.isEmpty && found.bytes == Int(end))
    #expect(harness.journal.bytesToScrub > end)
  }

  @Test func whatIsBeingWrittenIsNotRead() throws {
    let harness = try harness()
    let end = harness.journal.bytesToScrub
    harness.append(1, [entry(22, 20, 5000)])
    harness.turn()
    #expect(!harness.disk.pending.isEmpty)
    #expect(pass(harness).bytes == Int(end))
    harness.settle()
    #expect(pass(harness).bytes > Int(end))
  }

  @Test func aFailedReadIsDamageOfItsPlace() throws {
    let harness = try harness()
    var scrub = LogScrub()
    let first = scrub.next(harness.journal)
    let read = try #require(first)
    #expect(
      scrub.failed(read, errno: 5, harness.journal)
        == .damaged(JournalFault(kind: .read, file: read.file, offset: read.offset, errno: 5)))
  }

  @Test func whatCouldNotBeDecryptedIsDamage() throws {
    let harness = try harness()
    let spoiled = pass(harness, opening: { piece in openBlocks(in: piece) { $0[$0.count - 1] = 0xFF } })
    #expect(spoiled.damages.count == 1)
  }
}
