import Primitives
import Raft
import TestScale
import Testing

@testable import Journal

/// Blocks that are encrypted on disk: the journal sees them by the eyes of its source.
@Suite struct EncryptionTests {
  /// A log of several segments with entries over several blocks; the blocks for which `isSealed` says so are encrypted.
  private func log(isSealed: (UInt64) -> Bool) throws -> Harness {
    let harness = try Harness()
    harness.settle()
    for index in 1...12 {
      harness.append(1, hardState: hardState(UInt64(index)), [entry(UInt64(index), UInt64(index), 9_000)])
      harness.settle()
    }
    for (index, count) in [(13, 100_000), (14, 20)] {
      harness.append(1, [entry(UInt64(index), 12, count)])
      harness.settle()
    }
    for write in harness.writeLog where isSealed(write.id) {
      let block = harness.disk.bytes(write.file, write.offset, write.count)
      harness.disk.overwrite(write.file, Int(write.offset), VirtualDisk.sealed(block))
    }
    return harness
  }

  @Test(arguments: [1, 2, 3] as [UInt64])
  func anEncryptedLogIsReadLikeAPlainOne(every: UInt64) throws {
    let plain = try log { _ in false }.recover()
    let recovered = try log { $0 % every == 0 }.recover()
    #expect(recovered.shards == plain.shards)
    #expect(recovered.shards[0].lastIndex == LogIndex(14))
    #expect(recovered.accepted == plain.accepted)
  }

  @Test func encryptedBlocksAreListedByTheInspector() throws {
    let harness = try log { _ in true }
    let parts = try harness.disk.files.flatMap { try inspectSegment(harness.disk, file: $0) }
    #expect(parts.count == harness.writeLog.count)
    #expect(parts.allSatisfy { if case .block(let block) = $0 { !block.isMalformed } else { false } })
  }

  /// As with a wrong checksum: below a watermark it is damage, above all of them a torn tail.
  @Test func aBlockThatCannotBeOpenedIsDamageOrATornTail() throws {
    let harness = try log { _ in true }
    let last = try #require(harness.writeLog.last)
    harness.disk.unopenable = [last.id]
    let recovered = try harness.recover()
    #expect(recovered.tornTail == TornTail(file: last.file, offset: last.offset))
    #expect(recovered.accepted.sequence == last.id - 1)
    let middle = harness.writeLog[harness.writeLog.count / 2]
    harness.disk.unopenable = [middle.id]
    let refusal = #expect(throws: JournalRefusal.self) { try harness.recover() }
    guard case .damage(let damage) = refusal else { throw TestProblem() }
    #expect(damage.sequence == middle.id && damage.file == middle.file && damage.offset == middle.offset)
  }

  /// Nobody opened it: the checksum in its header is that of other bytes, and its tail says why.
  @Test func aBlockThatWasNotOpenedIsNoBlock() throws {
    let harness = try log { _ in false }
    let last = try #require(harness.writeLog.last)
    for offset in 0..<JournalFormat.tailBytes {
      var block = harness.disk.bytes(last.file, last.offset, last.count)
      block[block.count - 1 - offset] = 1
      withUnsafeBytes(of: crc32c(Array(block[8...])).littleEndian) { block.replaceSubrange(4..<8, with: $0) }
      let outcome = block.withUnsafeBytes { BlockView.verify($0) }
      guard case .failure(.checksum) = outcome else { throw TestProblem() }
    }
  }

  @Test func entriesAreLoadedFromBlocksThatTheDriverOpened() throws {
    let harness = try log { _ in true }
    let order = LoadOrder(shard: ShardID(1), id: 1, from: LogIndex(3), through: LogIndex(13), bytesMax: 1 << 20)
    harness.journal.load(order, into: &harness.effects)
    harness.turn()
    harness.completeReads { bytes in
      openBlocks(in: bytes) { block in
        guard let plain = harness.disk.opened(UnsafeRawBufferPointer(block)) else { return }
        block.copyMemory(from: plain)
      }
    }
    #expect(harness.loaded.first?.1.map(\.index.rawValue) == Array(3...13))
  }

  @Test func anyBytesAreCutIntoBlocksWithoutATrap() {
    var random = SeededRandom(seed: 8)
    for _ in 0..<scaled(300, long: 2_000) {
      var bytes = (0..<Int(random.below(20_000))).map { _ in UInt8(random.below(256)) }
      var at = 0
      while at + 16 <= bytes.count {
        withUnsafeBytes(of: JournalFormat.magic.littleEndian) { bytes.replaceSubrange(at..<at + 4, with: $0) }
        withUnsafeBytes(of: UInt32(random.below(4) * 4096).littleEndian) {
          bytes.replaceSubrange(at + 12..<at + 16, with: $0)
        }
        at += 4096
      }
      var total = 0
      bytes.withUnsafeMutableBytes { raw in openBlocks(in: raw) { total += $0.count } }
      #expect(total <= bytes.count)
    }
  }
}

private struct TestProblem: Error {}
