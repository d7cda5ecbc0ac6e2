import Primitives
import Raft
import Testing

@testable import Journal

/// Segment files that were cut short or taken away: what they held must never be missed in silence.
@Suite struct FileTests {
  /// Some segments of two starts, all durable; the last one is in use.
  func log() throws -> Harness {
    let harness = try Harness()
    harness.settle()
    fill(harness, 1...14)
    try harness.restart()
    harness.settle()
    fill(harness, 15...29)
    #expect(harness.disk.files.count >= 6)
    return harness
  }

  private func fill(_ harness: Harness, _ indexes: ClosedRange<UInt64>) {
    for index in indexes {
      harness.append(1, hardState: hardState(1), [entry(index, 1, 9000)])
      harness.settle()
    }
  }

  func damage(_ harness: Harness, _ disk: VirtualDisk) -> JournalDamage? {
    do throws(JournalRefusal) {
      let recovered = try harness.recover(disk)
      Issue.record("through \(recovered.shards.map(\.lastIndex)) is accepted")
      return nil
    } catch .damage(let damage) {
      return damage
    } catch {
      Issue.record("\(error)")
      return nil
    }
  }

  @Test func aSegmentCutShortAnywhereIsDamage() throws {
    let harness = try log()
    for file in harness.disk.files {
      for count in [0, 1, 511, 4095, 4096, 4097, 8192, 12_288, 40_000, 61_440, 65_535] {
        let disk = harness.disk.copy()
        disk.truncate(file.file, count)
        let damage = damage(harness, disk)
        // Where a later segment tells that blocks are gone, the first of these is named.
        let isNamed = damage?.file == file.file && damage?.offset ?? .max <= UInt64(count)
        #expect(damage?.kind == .shortFile ? damage?.offset == UInt64(count) : damage?.kind == .lostBlock)
        #expect(isNamed || damage?.kind == .lostBlock, "\(file.file) cut to \(count): \(String(describing: damage))")
      }
    }
  }

  @Test func theSegmentInUseCutShortIsNamedWithItsEnd() throws {
    let harness = try log()
    let current = harness.journal.segments.current!.file
    for count in stride(from: 0, to: 64 << 10, by: 512) {
      let disk = harness.disk.copy()
      disk.truncate(current, count)
      #expect(
        damage(harness, disk)
          == JournalDamage(
            kind: .shortFile, file: current, offset: UInt64(count), sequence: damage(harness, disk)?.sequence ?? 0,
            held: nil
          ))
    }
  }

  @Test func aSegmentThatIsMissingIsDamage() throws {
    let harness = try log()
    for file in harness.disk.files {
      let disk = harness.disk.copy()
      disk.remove(file.file)
      #expect(damage(harness, disk) != nil, "\(file.file)")
    }
  }

  @Test func theMissingSegmentInUseIsNamed() throws {
    let harness = try log()
    let disk = harness.disk.copy()
    disk.remove(harness.journal.segments.current!.file)
    #expect(damage(harness, disk)?.file == harness.journal.segments.current!.file)
    #expect(damage(harness, disk)?.kind == .missingFile)
  }

  /// A start's first segment has nothing before it that could name it, but the list of starts does.
  @Test func theMissingSegmentOfTheLastStartIsNamed() throws {
    let harness = try Harness()
    harness.settle()
    fill(harness, 1...3)
    try harness.restart()
    harness.settle()
    let file = harness.journal.segments.current!.file
    let disk = harness.disk.copy()
    disk.remove(file)
    #expect(damage(harness, disk)?.kind == .missingStart)
    #expect(damage(harness, disk)?.file == file)
    for file in harness.disk.files { disk.remove(file.file) }
    #expect(damage(harness, disk)?.kind == .missingStart, "all of the log")
  }

  /// Also where nobody remembers a start: the checkpoint came from somewhere.
  @Test func noLogAtAllBehindACheckpointIsDamage() throws {
    let checkpoint = ShardCheckpoint(shard: ShardID(1), appliedIndex: LogIndex(4), hardState: nil)
    do throws(JournalRefusal) {
      _ = try recoverJournal(VirtualDisk(), identity: Harness.identity(2), checkpoints: [checkpoint])
      Issue.record("it is damage")
    } catch {
      #expect(
        error
          == .damage(JournalDamage(kind: .lostEntries, file: 1, offset: 0, sequence: 1, held: nil)))
    }
  }

  /// A file has its size before it has its name.
  @Test func filesThatAreNoSegmentsAtAllAreDamage() throws {
    for count in [0, 4096, 61_440] {
      let disk = VirtualDisk()
      for file: UInt32 in 1...3 {
        disk.prepare(SegmentPreparation(file: file, bytes: UInt64(count), isFresh: true))
      }
      #expect(throws: JournalRefusal.self) {
        try recoverJournal(disk, identity: Harness.identity(2), checkpoints: [])
      }
    }
  }

  /// A file that was freed holds nothing any more: it is made anew.
  @Test func aFreedSegmentCutShortIsOfNoAccount() throws {
    let harness = try log()
    harness.checkpoint(1, 29)
    harness.hold(1, 29)
    fill(harness, 30...34)
    let free = try #require(harness.journal.files.free.first)
    harness.disk.truncate(free.file, 5000)
    try harness.restart()
    harness.settle()
    fill(harness, 35...60)
    try harness.restart()
    #expect(harness.lastIndex(1) == 60)
  }

  /// A restart may leave more files than the cap allows. The surplus goes when the new start is on record, not before: the last
  /// block of the old one may name it.
  @Test func aCrashBeforeTheStartBlockFindsAllFiles() throws {
    let harness = try log()
    harness.checkpoint(1, 29)
    harness.hold(1, 29)
    fill(harness, 30...33)
    harness.settings.logBytesMax = 4 * 64 << 10
    harness.settings.reserveBytes = 64 << 10
    try harness.restart()
    harness.turn()
    let files = harness.disk.files.count
    #expect(files > 4)
    try harness.restart()
    harness.settle()
    #expect(harness.disk.files.count < files, "the surplus goes then")
    try harness.restart()
    #expect(harness.lastIndex(1) == 33)
  }

  /// Random work, and at its end each file cut or removed: a refusal, or all that was acknowledged.
  @Test(arguments: 1...12)
  func whateverFileIsCutNothingIsMissedInSilence(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let harness = try Harness()
    harness.settle()
    var index: UInt64 = 0
    for _ in 0..<60 {
      switch random.below(10) {
      case 0:
        try harness.restart()
        if random.chance(3, outOf: 4) { harness.settle() }
      case 1, 2:
        let through = index - min(index, random.below(4))
        if through > harness.checkpoints[ShardID(1)]?.appliedIndex.rawValue ?? 0 {
          harness.checkpoint(1, through)
          harness.hold(1, through)
        }
      case 3: harness.advance(.milliseconds(20))
      default:
        if !harness.isOpen { harness.settle() }
        index += 1
        harness.append(1, hardState: hardState(1), [entry(index, 1, Int(random.below(30_000)))])
        harness.settle()
      }
      harness.settle()
    }
    for file in harness.disk.files {
      for count in [nil, 0, Int(random.below(64 << 10)), Int(random.below(16)) * 4096] {
        let disk = harness.disk.copy()
        if let count { disk.truncate(file.file, count) } else { disk.remove(file.file) }
        guard let recovered = try? harness.recover(disk) else { continue }
        let (shard, applied) = (recovered.shards[0], harness.checkpoints[ShardID(1)]?.appliedIndex.rawValue ?? 0)
        #expect(shard.lastIndex.rawValue == index, "\(file.file) cut to \(String(describing: count))")
        #expect(UInt64(shard.entries.count) == index - applied)
      }
    }
  }
}
