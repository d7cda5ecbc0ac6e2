import Primitives
import Raft
import TestScale
import Testing

@testable import Journal

/// Small logs, exhaustively: every way in which the last writes may be torn, every byte that may rot.
@Suite struct TornWriteTests {
  /// A log with three blocks in flight behind durable ones; the second replaces entries of the first.
  func logInFlight() throws -> Harness {
    let harness = try Harness()
    harness.settle()
    harness.append(1, hardState: hardState(1, 2), [entry(1, 1), entry(2, 1)])
    harness.append(2, [entry(1, 1, 3000)])
    harness.settle()
    harness.append(1, [entry(3, 1), entry(4, 1, 3300)])
    harness.turn()
    harness.append(1, hardState: hardState(2, 1), [entry(3, 2, 3600)])
    harness.turn()
    harness.append(2, [entry(2, 2, 3400)])
    harness.append(1, hardState: hardState(3))
    harness.turn()
    #expect(harness.disk.pending.count == 3)
    return harness
  }

  /// Recovers from `disk` and holds it against the model as it was at the crash.
  func check(_ harness: Harness, _ disk: VirtualDisk, _ what: @autoclosure () -> String) {
    var model = harness.model
    do throws(JournalRefusal) {
      let recovered = try harness.recover(disk)
      let isRight = model.settle(recovered, checkpoints: harness.checkpoints)
      #expect(isRight, "\(what()): not what was persisted and a prefix of the rest")
    } catch {
      Issue.record("\(what()): refused \(error)")
    }
  }

  @Test func everySubsetOfSectorsOfTheLastWritesLeavesAPrefix() throws {
    let harness = try logInFlight()
    let count = harness.disk.pending[0].bytes.count / VirtualDisk.sector
    #expect(count == 8)
    let others = [0x00, 0xFF, 0x0F, 0xF0]
    for torn in 0..<3 {
      for subset in 0..<(1 << count) {
        for (a, b) in scaled([(1, 1), (2, 1)], long: [(0, 0), (1, 1), (0, 1), (1, 0), (2, 1), (1, 3)]) {
          let disk = harness.disk.copy()
          disk.pending = harness.disk.pending
          var rest = [others[a], others[b]]
          for position in 0..<3 {
            let kept = position == torn ? subset : rest.removeFirst()
            disk.tear(position) { kept >> $0 & 1 == 1 }
          }
          check(harness, disk, "write \(torn) sectors \(subset), others \(a) \(b)")
        }
      }
    }
  }

  @Test func completionsInAnyOrderAreReportedOnlyWhenRecoverable() throws {
    for first in 0..<3 {
      for second in 0..<3 {
        let harness = try logInFlight()
        for pick in [first, second] where pick < harness.disk.pending.count {
          harness.completeWrite(harness.disk.pending[pick].write.id)
        }
        for subset in 0..<256 {
          let disk = harness.disk.copy()
          disk.pending = harness.disk.pending
          for position in disk.pending.indices { disk.tear(position) { subset >> $0 & 1 == 1 } }
          check(harness, disk, "completed \(first) \(second), sectors \(subset)")
        }
      }
    }
  }

  @Test func aTornTailIsDeadForEverOnceAStartBlockNamedTheEnd() throws {
    // The second write is torn, the third is whole; after the restart the torn sectors come back.
    let harness = try logInFlight()
    let lost = harness.disk.pending
    harness.disk.tear(0) { _ in true }
    harness.disk.tear(1) { $0 < 3 }
    harness.disk.tear(2) { _ in true }
    try harness.restart()
    harness.settle()
    harness.append(1, hardState: hardState(4), [entry(5, 4)])
    harness.settle()
    harness.disk.pending = lost
    harness.disk.tear(1) { _ in true }
    try harness.restart()
  }

  @Test func everyFlippedByteIsDamageOrInTheTornTail() throws {
    let harness = try sealedLog()
    let blocks = harness.writeLog
    var refused = 0
    var cut = 0
    for (position, block) in blocks.enumerated() {
      for offset in interesting(block) {
        for mask in scaled([UInt8(0x01)], long: [0x01, 0x80]) {
          let disk = harness.disk.copy()
          disk.flip(block.file, Int(block.offset) + offset, mask)
          judge(harness, disk, block, isLast: position == blocks.count - 1, &refused, &cut)
        }
      }
    }
    #expect(refused > scaled(200, long: 1000))
    #expect(cut > scaled(20, long: 100))
  }

  /// A sealed log over two boots and two segments.
  private func sealedLog() throws -> Harness {
    let harness = try Harness()
    harness.settle()
    harness.append(1, hardState: hardState(1, 2), [entry(1, 1), entry(2, 1)])
    harness.settle()
    harness.append(2, [entry(1, 1, 300)])
    harness.turn()
    harness.append(1, hardState: hardState(2), [entry(2, 2)])
    harness.settle()
    try harness.restart()
    harness.settle()
    harness.append(1, [entry(3, 2)])
    harness.settle()
    harness.advance(.milliseconds(10))
    harness.settle()
    #expect(harness.journal.statistics.seals == 1)
    return harness
  }

  /// All bytes with content, and a sample of the padding.
  private func interesting(_ block: JournalWrite) -> [Int] {
    Array(stride(from: 0, to: 600, by: scaled(3, long: 1))) + stride(from: 600, to: block.count, by: 128)
  }

  private func judge(
    _ harness: Harness, _ disk: VirtualDisk, _ block: JournalWrite, isLast: Bool, _ refused: inout Int,
    _ cut: inout Int
  ) {
    do throws(JournalRefusal) {
      let recovered = try harness.recover(disk)
      // Only the seal itself lies above every watermark; it holds nothing.
      #expect(isLast, "block \(block.id) was dropped in silence")
      #expect(LogModel.matches(harness.model.durable, recovered, [:]))
      cut += 1
    } catch .damage(let damage) {
      #expect(!isLast)
      #expect(damage.file == block.file && damage.offset == block.offset && damage.sequence == block.id)
      #expect(damage.held != nil)
      refused += 1
    } catch {
      Issue.record("refused by \(error)")
    }
  }

  @Test func withoutASealOnlyTheLastBlocksInFlightMayBeCut() throws {
    let harness = try Harness()
    harness.settle()
    for index in 1...5 {
      harness.append(1, [entry(UInt64(index), 1)])
      harness.settle()
    }
    for (position, block) in harness.writeLog.enumerated() {
      let disk = harness.disk.copy()
      disk.flip(block.file, Int(block.offset) + 200, 0x10)
      if position == harness.writeLog.count - 1 {
        #expect(try harness.recover(disk).shards[0].lastIndex == LogIndex(4))
        #expect(try harness.recover(disk).tornTail == TornTail(file: block.file, offset: block.offset))
      } else {
        #expect(throws: JournalRefusal.self) { try harness.recover(disk) }
      }
    }
  }
}
