import Primitives
import Raft
import Testing

@testable import Journal

/// The bytes on disk, as Docs/Formats-journal.md says them. A failure here means that old logs cannot be read.
@Suite struct FormatTests {
  /// A new journal with two records blocks and a seal, as bytes.
  func blocks() throws -> [[UInt8]] {
    let harness = try Harness()
    harness.settle()
    harness.append(
      5, hardState: hardState(2, 1),
      [Entry(index: LogIndex(1), term: Term(2), kind: .command, payload: Array("hello".utf8))])
    harness.settle()
    harness.append(
      300, hardState: hardState(3),
      [Entry(index: LogIndex(1), term: Term(3), kind: .noop, payload: [])])
    harness.settle()
    harness.advance(.milliseconds(10))
    harness.settle()
    return harness.writeLog.map { harness.disk.bytes($0.file, $0.offset, $0.count) }
  }

  func hex(_ byte: UInt8) -> String { (byte < 16 ? "0" : "") + String(byte, radix: 16) }

  /// `expected` in hexadecimal; what it leaves out at the end is zeros.
  func check(_ block: [UInt8], _ expected: String) {
    #expect(block.count == 4096)
    let digits = expected.filter { !$0.isWhitespace }
    let used = block.prefix(digits.count / 2).map { hex($0) }.joined()
    #expect(used == digits)
    #expect(block.dropFirst(digits.count / 2).allSatisfy { $0 == 0 })
  }

  @Test func aStartBlockHasItsGoldenBytes() throws {
    check(
      try blocks()[0],
      """
      46534a42 60d08a65 0300 01 00 00100000
      010000000000ced1 0100000000000000 03000000 00000000
      0100000000000000 0100000000000000 0000000000000000 0100000000000000
      0000000000000000 01000000 18000000 10000000 00000000 0000000000000000
      """)
  }

  @Test func aRecordsBlockHasItsGoldenBytes() throws {
    check(
      try blocks()[1],
      """
      46534a42 aa3dd529 0300 02 00 00100000
      010000000000ced1 0100000000000000 03000000 60d08a65
      0100000000000000 0200000000000000 0100000000000000 0100000000000000
      0010000000000000 04000000 59000000 10000000 02000000 0000000000000000
      01010100
      03 03 00 00 0c000000 0c000000 0500000000000000 0000000000000000 0200000000000000 01000000ceab000000000000
      01 03 01 00 05000000 05000000 0500000000000000 0100000000000000 0200000000000000 68656c6c6f
      """)
  }

  @Test func aSecondRecordsBlockHasItsGoldenBytes() throws {
    check(
      try blocks()[2],
      """
      46534a42 2f4b969f 0300 02 00 00100000
      010000000000ced1 0100000000000000 03000000 aa3dd529
      0100000000000000 0300000000000000 0200000000000000 0100000000000000
      0020000000000000 1a000000 48000000 10000000 02000000 0000000000000000
      020201000101010507010002020201000000ceab000000000000
      03 03 00 00 00000000 00000000 2c01000000000000 0000000000000000 0300000000000000
      0103000000000000000000002c01000000000000010000000000000003
      """)
  }

  @Test func aSealBlockHasItsGoldenBytes() throws {
    check(
      try blocks()[3],
      """
      46534a42 603c0dc5 0300 03 00 00100000
      010000000000ced1 0100000000000000 03000000 2f4b969f
      0100000000000000 0400000000000000 0300000000000000 0100000000000000
      0030000000000000 22000000 00000000 10000000 02000000 0000000000000000
      020201010507010002020201000000ceab000000000000010101ac02030100030303
      """)
  }

  @Test func aCommittedRecordHasItsGoldenBytes() throws {
    let harness = try Harness()
    harness.settle()
    harness.append(5, hardState: hardState(2), [entry(1, 2, 0)])
    harness.settle()
    harness.journal.noteCommitted(ShardID(5), LogIndex(1), Term(2))
    harness.append(5, [entry(2, 2, 0)])
    harness.settle()
    let write = try #require(harness.writeLog.last)
    let block = harness.disk.bytes(write.file, write.offset, write.count)
    let start = JournalFormat.headerBytes + Int(block.withUnsafeBytes { read32($0, 80) }) + 36
    let text = block[start..<start + 36].map { hex($0) }.joined()
    #expect(text == "06030000" + "0000000000000000" + "0500000000000000" + "0100000000000000" + "0200000000000000")
  }

  @Test func aFragmentsHeaderHasItsGoldenBytes() {
    let header = RecordHeader(
      kind: .append, flags: RecordHeader.lastFragment, entryKind: 2, bytes: 0x0102, total: 0x0304_0506,
      shard: ShardID(7), index: LogIndex(8), term: Term(9))
    var bytes = [UInt8](repeating: 0xEE, count: 36)
    bytes.withUnsafeMutableBytes { header.encode(to: $0.baseAddress!) }
    let text = bytes.map { hex($0) }.joined()
    #expect(text == "01020200020100000605040307000000000000000800000000000000" + "0900000000000000")
  }

  @Test func headersAndSummariesComeBackAsWritten() throws {
    var random = SeededRandom(seed: 4)
    for _ in 0..<200 {
      var groups: [GroupSummary] = []
      for _ in 0..<random.below(5) {
        var group = GroupSummary(shard: ShardID(random.next()))
        if random.chance(1, outOf: 2) {
          group.note(index: LogIndex(1 + random.below(1 << 60)), term: Term(random.next()))
        }
        if random.chance(1, outOf: 2) {
          group.hardState = hardState(random.next(), random.chance(1, outOf: 2) ? UInt32(random.below(9)) : nil)
        }
        groups.append(group)
      }
      let own = 10 + random.below(1 << 50)
      let back = 1 + random.below(6)
      var writer = ByteWriter()
      writer.writeVarint(1)
      EncodedSummary(sequence: own - back, pages: 3, groups: groups).encode(to: &writer, by: own)
      let decoded = try writer.bytes.withUnsafeBytes { try decodeSummaries($0, own: own) }
      #expect(decoded == [BlockSummary(sequence: own - back, pages: 3, groups: groups)])
      #expect(
        groups.allSatisfy { group in
          var one = ByteWriter()
          group.encode(to: &one)
          return one.count <= GroupSummary.encodedBytesMax
        })
    }
  }

  @Test func anyBytesAreRefusedWithoutATrap() {
    var random = SeededRandom(seed: 5)
    for _ in 0..<2000 {
      var bytes = (0..<512).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
      withUnsafeBytes(of: JournalFormat.magic.littleEndian) { bytes.replaceSubrange(0..<4, with: $0) }
      withUnsafeBytes(of: UInt32(4096).littleEndian) { bytes.replaceSubrange(12..<16, with: $0) }
      if random.chance(1, outOf: 2) { bytes.replaceSubrange(8..<12, with: [2, 0, 2, 0]) }
      if random.chance(1, outOf: 2) { bytes.replaceSubrange(80..<88, with: [60, 0, 0, 0, 200, 1, 0, 0]) }
      if random.chance(3, outOf: 4) { for index in bytes.count - 32..<bytes.count { bytes[index] = 0 } }
      withUnsafeBytes(of: crc32c(Array(bytes[8...])).littleEndian) { bytes.replaceSubrange(4..<8, with: $0) }
      let disk = VirtualDisk()
      disk.prepare(SegmentPreparation(file: 1, bytes: 4096, isFresh: true))
      disk.overwrite(1, 0, bytes)
      _ = try? inspectSegment(disk, file: disk.files[0])
      _ = try? recoverJournal(disk, identity: Harness.identity(.max), checkpoints: [])
    }
  }

  @Test func theInspectorListsEveryBlockAndRecord() throws {
    let harness = try Harness()
    harness.settle()
    harness.append(5, hardState: hardState(2, 1), [entry(1, 2), entry(2, 2, 5000)])
    harness.settle()
    harness.append(5, [entry(3, 2)])
    harness.settle()
    let file = harness.disk.files[0]
    let last = harness.writeLog.last!
    harness.disk.flip(last.file, Int(last.offset) + 500, 1)
    let parts = try inspectSegment(harness.disk, file: file)
    try #require(parts.count == 3)
    guard case .block(let start) = parts[0], case .block(let records) = parts[1] else {
      Issue.record("\(parts)")
      return
    }
    #expect(start.start == StartPayload(sequence: 0, checksum: 0, use: 0))
    #expect(records.header.sequence == 2)
    #expect(records.records.map(\.kind) == [.hardState, .append, .append])
    #expect(records.records.map(\.total) == [12, 20, 5000])
    #expect(records.records[0].vote == hardState(2, 1).vote)
    #expect(!records.isMalformed)
    #expect(parts[2] == .badBlock(offset: last.offset, claimedLength: 4096))
  }

  @Test func summariesTellWhatTheBlocksBeforeHeld() throws {
    let harness = try Harness()
    harness.settle()
    for index in 1...4 {
      harness.append(1, hardState: hardState(UInt64(index)), [entry(UInt64(index), UInt64(index))])
      harness.turn()
    }
    let newest = harness.writeLog.last!
    harness.settle()
    let parts = try inspectSegment(harness.disk, file: harness.disk.files[0])
    guard case .block(let block)? = parts.last else { return }
    // Block 5 was made while 2, 3 and 4 were in flight.
    #expect(block.header.sequence == newest.id)
    #expect(block.header.watermark == 1)
    #expect(block.summaries.map(\.sequence) == [2, 3, 4])
    #expect(block.summaries.map { $0.groups[0].first.rawValue } == [1, 2, 3])
    #expect(block.summaries.map { $0.groups[0].hardState } == [hardState(1), hardState(2), hardState(3)])
  }
}
