import Journal
import Primitives
import Raft
import Tables
import Testing

@testable import Node

@Suite struct BootsTests {
  @Test func theListOfStartsHasItsGoldenBytes() {
    var boots = Boots(directory: 0x0A0B)
    _ = boots.add(nonce: 0xFF)
    boots.noteOpened(OpenedStart(boot: 1, file: 3))
    let body: [UInt8] =
      Array("FSboots2".utf8) + [0x0B, 0x0A, 0, 0, 0, 0, 0, 0]
      + [1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0]
      + [1, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0, 0, 0, 0, 0, 0, 0]
    let checksum = crc32c(body)
    #expect(boots.encoded() == body + (0..<4).map { UInt8(truncatingIfNeeded: checksum >> (8 * UInt32($0))) })
  }

  @Test func startsAreNumberedAndComeBack() throws {
    var boots = Boots(directory: 7)
    #expect(boots.last == nil)
    #expect(boots.add(nonce: 11) == Boots.Boot(number: 1, nonce: 11))
    #expect(boots.add(nonce: 12) == Boots.Boot(number: 2, nonce: 12))
    #expect(try Boots(decoding: boots.encoded()) == boots)
    #expect(boots.opened == nil)
    boots.noteOpened(OpenedStart(boot: 2, file: 9))
    #expect(try Boots(decoding: boots.encoded()) == boots)
    _ = boots.add(nonce: 13)
    #expect(boots.opened == OpenedStart(boot: 2, file: 9), "until the next start has its start block")
  }

  /// Behind a right checksum: nobody opened what nobody started.
  @Test func anOpenedStartThatWasNeverCountedIsRefused() {
    for (boot, file): (UInt64, UInt32) in [(3, 1), (1, 0), (0, 1)] {
      var writer = ByteWriter()
      writer.writeBytes(Array("FSboots2".utf8))
      for number in [7, boot] { writer.write(number) }
      for number in [file, 1] { writer.write(number) }
      for number: UInt64 in [2, 5] { writer.write(number) }
      writer.write(crc32c(writer.bytes))
      #expect(throws: DecodeError.invalid("a start that was opened and never counted")) {
        try Boots(decoding: writer.bytes)
      }
    }
  }

  @Test func anotherFormatOfTheListIsRefusedByName() {
    var bytes = Array(Boots(directory: 7).encoded().dropLast(4))
    bytes[7] = UInt8(ascii: "3")
    let sum = crc32c(bytes)
    bytes += (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * UInt32($0))) }
    #expect(throws: DecodeError.invalid("a list of starts of another format")) { try Boots(decoding: bytes) }
  }

  @Test func onlyTheNewestAreKept() throws {
    var boots = Boots(directory: 7)
    for nonce in 0..<UInt64(Boots.countMax) + 10 { _ = boots.add(nonce: nonce) }
    #expect(boots.list.count == Boots.countMax)
    #expect(boots.list.first?.number == 11)
    #expect(try Boots(decoding: boots.encoded()) == boots)
  }

  @Test func everyDamageIsRefused() {
    var boots = Boots(directory: 7)
    _ = boots.add(nonce: 1)
    let good = boots.encoded()
    for place in good.indices {
      var bad = good
      bad[place] ^= 0x10
      #expect(throws: DecodeError.self) { try Boots(decoding: bad) }
      #expect(throws: DecodeError.self) { try Boots(decoding: Array(good[..<place])) }
    }
    #expect(throws: DecodeError.self) { try Boots(decoding: good + [0]) }
  }

  /// Behind a right checksum: the next start has a number above all before.
  @Test func numbersThatDoNotRiseAreRefused() {
    for numbers: [UInt64] in [[0], [1, 1], [2, 1], [.max]] {
      var writer = ByteWriter()
      writer.writeBytes(Boots(directory: 7).encoded().dropLast(8))
      writer.write(UInt32(numbers.count))
      for number in numbers {
        writer.write(number)
        writer.write(UInt64(5))
      }
      writer.write(crc32c(writer.bytes))
      #expect(throws: DecodeError.invalid("starts that do not rise")) { try Boots(decoding: writer.bytes) }
    }
  }
}

@Suite struct ReplicaRecordTests {
  private var record: ReplicaRecord {
    var totals = ShardTotals()
    totals.stateHash = 0x55
    totals.rows = 3
    totals.history.isKept = true
    totals.history.horizon = Timestamp(0x66)
    totals.history.clock = 0x77
    let member = Member(node: NodeID(2), incarnation: Incarnation(0x22))
    return ReplicaRecord(
      appliedIndex: LogIndex(9), appliedOrdinal: 1, appliedTerm: Term(4), totals: totals,
      configurationIndex: LogIndex(1), configuration: Configuration(voters: [member]),
      hardState: HardState(term: Term(5), vote: member))
  }

  @Test func aShardRecordHasItsGoldenBytes() {
    let configuration = record.configuration.encoded()
    var expected: [UInt8] = [2, 9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]
    expected += [0x55, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]
    expected += [1, 0x66, 0, 0, 0, 0, 0, 0, 0, 0x77, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: 40)
    expected += [1, 0, 0, 0, 0, 0, 0, 0]
    expected += [UInt8(configuration.count), 0, 0, 0] + configuration
    expected += [5, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0x22, 0, 0, 0, 0, 0, 0, 0]
    #expect(record.encoded() == expected)
  }

  @Test func itComesBackWithAndWithoutAVote() throws {
    #expect(try ReplicaRecord(decoding: record.encoded()) == record)
    var unvoted = record
    unvoted.hardState.vote = nil
    #expect(try ReplicaRecord(decoding: unvoted.encoded()) == unvoted)
  }

  /// Behind a right checksum: the next index or term would not exist.
  @Test func numbersBeyondEveryLogAreRefused() {
    let changes: [(inout ReplicaRecord) -> Void] = [
      { $0.appliedIndex = LogIndex(.max) }, { $0.configurationIndex = LogIndex(.max) },
      { $0.appliedTerm = Term(.max) }, { $0.hardState.term = Term(.max) },
    ]
    for change in changes {
      var damaged = record
      change(&damaged)
      #expect(throws: DecodeError.self) { try ReplicaRecord(decoding: damaged.encoded()) }
    }
  }

  @Test func truncatedAndLongerRecordsAreRefused() {
    let good = record.encoded()
    for count in 0..<good.count {
      #expect(throws: DecodeError.self) { try ReplicaRecord(decoding: Array(good[..<count])) }
    }
    #expect(throws: DecodeError.self) { try ReplicaRecord(decoding: good + [0]) }
    #expect(throws: DecodeError.self) { try ReplicaRecord(decoding: [1] + good.dropFirst()) }
  }
}
