import Primitives
import Raft
import Testing

@testable import Journal

/// A whole block, with the right checksum, that does not belong where it stands is not taken.
@Suite struct ChainTests {
  /// Start, one records block, and a last records block that no watermark covers.
  func log() throws -> (Harness, last: JournalWrite) {
    let harness = try Harness()
    harness.settle()
    harness.append(1, hardState: hardState(1), [entry(1, 1)])
    harness.settle()
    harness.append(1, [entry(2, 1)])
    harness.settle()
    return (harness, harness.writeLog.last!)
  }

  /// Changes bytes of the last block and makes its checksum right again.
  func forge(_ harness: Harness, _ block: JournalWrite, _ offset: Int, _ change: [UInt8]) {
    var bytes = harness.disk.bytes(block.file, block.offset, block.count)
    bytes.replaceSubrange(offset..<offset + change.count, with: change)
    let checksum = crc32c(Array(bytes[8...]))
    withUnsafeBytes(of: checksum.littleEndian) { bytes.replaceSubrange(4..<8, with: $0) }
    harness.disk.overwrite(block.file, Int(block.offset), bytes)
  }

  @Test func theForgeryItselfIsAccepted() throws {
    let (harness, last) = try log()
    forge(harness, last, 34, [1])
    #expect(try harness.recover().shards[0].lastIndex == LogIndex(2))
  }

  @Test(arguments: [
    (10, [UInt8(1)]), (24, [0]), (36, [9, 9]), (40, [2]), (48, [9]), (72, [0, 0x40]),
  ])
  func aBlockWithAForeignFieldEndsTheChain(offset: Int, change: [UInt8]) throws {
    let (harness, last) = try log()
    forge(harness, last, offset, change)
    #expect(try harness.recover().shards[0].lastIndex == LogIndex(1), "field at \(offset)")
  }

  /// Nobody can have counted so far; the next use or sequence would not exist.
  @Test(arguments: [40, 48, 64])
  func aFirstBlockWithAnImpossibleNumberIsNone(offset: Int) throws {
    let (harness, last) = try log()
    harness.disk.prepare(SegmentPreparation(file: 9, bytes: 64 << 10, isFresh: true))
    harness.disk.overwrite(9, 0, harness.disk.bytes(last.file, last.offset, last.count))
    let copy = JournalWrite(id: 0, file: 9, offset: 0, buffer: 0, count: last.count)
    forge(harness, copy, 72, [UInt8](repeating: 0, count: 8))
    forge(harness, copy, offset, [UInt8](repeating: 0xFF, count: 8))
    let recovered = try harness.recover()
    #expect(recovered.shards[0].lastIndex == LogIndex(2))
    #expect(recovered.nextUse < 100 && recovered.oldestUse == 1)
  }

  /// Offsets in the header of a record: index, term.
  @Test(arguments: [(20, [UInt8](repeating: 0xFF, count: 8)), (28, [UInt8](repeating: 0xFF, count: 8)), (28, [0])])
  func aRecordWithAnImpossibleNumberIsDamage(offset: Int, change: [UInt8]) throws {
    let (harness, last) = try log()
    let summaries = harness.disk.bytes(last.file, last.offset, last.count).withUnsafeBytes { read32($0, 80) }
    forge(harness, last, JournalFormat.headerBytes + Int(summaries) + offset, change)
    let damage = JournalDamage(kind: .malformed, file: last.file, offset: last.offset, sequence: last.id, held: nil)
    #expect(throws: JournalRefusal.damage(damage)) { try harness.recover() }
  }

  /// Version 3 has one kind of record more.
  @Test func aBlockOfVersion2IsRead() throws {
    let (harness, last) = try log()
    forge(harness, last, 8, [2])
    #expect(try harness.recover().shards[0].lastIndex == LogIndex(2))
  }

  @Test func aBlockOfALaterBootNeedsAStartBlock() throws {
    let (harness, last) = try log()
    harness.boot = 5
    forge(harness, last, 24, [3])
    #expect(try harness.recover().shards[0].lastIndex == LogIndex(1))
  }

  @Test func aBlockOfAnotherHistoryOfTheSameBootIsNotTaken() throws {
    let (one, _) = try log()
    let other = try Harness()
    other.settle()
    other.append(1, hardState: hardState(1), [entry(1, 7)])
    other.settle()
    other.append(1, [entry(2, 7)])
    other.settle()
    let last = other.writeLog.last!
    one.disk.overwrite(last.file, Int(last.offset), other.disk.bytes(last.file, last.offset, last.count))
    #expect(try one.recover().shards[0].lastIndex == LogIndex(1))
  }

  @Test func aTailThatComesBackAfterTheNextStartIsNotTaken() throws {
    // The second of three writes is lost, later it is there again: whole, in the chain, and behind a named end.
    let (harness, _) = try log()
    for index in 3...5 {
      harness.append(1, [entry(UInt64(index), 1)])
      harness.turn()
    }
    let writes = harness.disk.pending
    harness.disk.tear(0) { _ in true }
    harness.disk.tear(2) { _ in true }
    try harness.restart()
    harness.settle()
    harness.append(1, hardState: hardState(2), [entry(4, 2)])
    harness.settle()
    harness.disk.pending = writes
    harness.disk.tear(1) { _ in true }
    let recovered = try harness.restart()
    #expect(recovered.shards[0].entries.map(\.term.rawValue) == [1, 1, 1, 2])
  }

  @Test func ordersAreNotReportedWhenTheirBlockIsOnlyFormed() throws {
    let (harness, _) = try log()
    let before = harness.persisted.count
    harness.append(1, [entry(3, 1)])
    harness.turn()
    #expect(harness.persisted.count == before)
    try harness.restart()
    #expect(harness.lastIndex(1) == 2)
  }
}
