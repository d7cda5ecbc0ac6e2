import Primitives
import Raft
import Tables
import Transport

@testable import Node
@testable import Server

extension FuzzTarget {
  /// Small binary records. The first byte chooses which; some have a checksum at their end, which is made right.
  static let record = FuzzTarget(
    "record", memory: MemoryBound(base: 64 << 10, perInputByte: 128), seeds: { recordSeeds() }
  ) { input in
    var input = input
    let kind = input.byte()
    let bytes = input.rest()
    switch kind % 8 {
    case 0: isTheSame(bytes) { (bytes) throws(DecodeError) in try ReplicaRecord(decoding: bytes).encoded() }
    case 1: isTheSame(sealed(bytes)) { (bytes) throws(DecodeError) in try startedAgain(bytes) }
    case 2: isTheSame(bytes) { (bytes) throws(DecodeError) in try Raft.Configuration(decoding: bytes).encoded() }
    case 3: isTheSame(bytes) { (bytes) throws(DecodeError) in try rebuilt(bytes) }
    case 4: reply(bytes)
    case 5: outcome(bytes)
    case 6: description(bytes)
    default: isTheSame(bytes) { (bytes) throws(DecodeError) in try hello(bytes) }
    }
  }

  /// What is read of these bytes is written as the same bytes, or it is refused.
  private static func isTheSame(_ bytes: [UInt8], _ again: ([UInt8]) throws(DecodeError) -> [UInt8]) {
    do throws(DecodeError) {
      let written = try again(bytes)
      require(written == bytes, "a record has one spelling: \(bytes) is not \(written)")
    } catch { require(!error.message.isEmpty, "a refusal says what is wrong") }
  }

  /// With its CRC-32C behind it.
  private static func sealed(_ bytes: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.writeBytes(bytes)
    writer.write(crc32c(bytes))
    return writer.bytes
  }

  /// The starts of a directory; another one can be added to what was read.
  private static func startedAgain(_ bytes: [UInt8]) throws(DecodeError) -> [UInt8] {
    let boots = try Boots(decoding: bytes)
    var next = boots
    require(next.add(nonce: 1).number > boots.last?.number ?? 0, "a start is counted")
    return boots.encoded()
  }

  /// The payload of an entry, taken apart and put together again. A builder takes so many bytes only.
  private static func rebuilt(_ payload: [UInt8]) throws(DecodeError) -> [UInt8] {
    var cursor = try EntryCursor(payload)
    var builder = EntryBuilder()
    while !cursor.isAtEnd {
      builder.append(Array(payload[try cursor.current()]))
      try cursor.advance()
    }
    let built = builder.finish()
    return built + payload.dropFirst(built.count)
  }

  private static func hello(_ bytes: [UInt8]) throws(DecodeError) -> [UInt8] {
    let hello = try bytes.withBytes { raw throws(DecodeError) in try Hello(decoding: raw) }
    let written = Array(hello.encoded(to: hello.to).dropFirst())
    return written + bytes.dropFirst(written.count)  // later versions may append
  }

  private static func reply(_ bytes: [UInt8]) {
    do throws(DecodeError) {
      let reply = try decode(bytes) { reader throws(DecodeError) in try Tables.Reply(from: &reader) }
      let again = try decode(reply.encoded()) { reader throws(DecodeError) in try Tables.Reply(from: &reader) }
      require(again == reply, "a reply is read as it was written")
      _ = reply.refusal(table: "t")
    } catch {}
  }

  private static func outcome(_ bytes: [UInt8]) {
    do throws(DecodeError) {
      let outcome = try decode(bytes) { reader throws(DecodeError) in try ReadOutcome(from: &reader) }
      var writer = ByteWriter()
      outcome.encode(into: &writer)
      let again = try decode(writer.bytes) { reader throws(DecodeError) in try ReadOutcome(from: &reader) }
      require(again == outcome, "an outcome is read as it was written")
    } catch {}
  }

  private static func description(_ bytes: [UInt8]) {
    do throws(DecodeError) {
      let description = try decode(bytes) { reader throws(DecodeError) in try TableDescription(from: &reader) }
      let again = try decode(description.encoded()) { reader throws(DecodeError) in
        try TableDescription(from: &reader)
      }
      require(again == description, "a description is read as it was written")
      _ = Table(description)
    } catch {}
  }

  private static func recordSeeds() -> [[UInt8]] {
    let founders = Raft.Configuration(voters: (1...3).map { SoloNode.member($0) })
    let record = ReplicaRecord(
      appliedIndex: LogIndex(5), appliedOrdinal: 1, appliedTerm: Term(2), totals: ShardTotals(),
      configurationIndex: LogIndex(1), configuration: founders,
      hardState: HardState(term: Term(3), vote: SoloNode.member(2)))
    var boots = Boots(directory: 1000)
    for nonce: UInt64 in 1...3 { _ = boots.add(nonce: nonce) }
    var builder = EntryBuilder()
    builder.append([1, 2, 3])
    builder.append([])
    let hello = Hello(
      cluster: Array(1...16), node: NodeID(1), to: NodeID(2), incarnation: Incarnation(3), boot: 4, nonce: 5)
    var outcome = ByteWriter()
    ReadOutcome.rows(cursor: utf8("abc")).encode(into: &outcome)
    return [
      [0] + record.encoded(), [1] + boots.encoded().dropLast(4), [2] + founders.encoded(), [3] + builder.finish(),
      [5] + outcome.bytes, [7] + hello.encoded(to: NodeID(2)).dropFirst(),
    ] + replies.map { [4] + $0.encoded() } + SystemTables.all.map { [6] + $0.description.encoded() }
  }

  private static let replies: [Tables.Reply] = [
    .row(.conditionFailed(current: Timestamp(3))), .batch([.created(Timestamp(3)), .checked(nil)]),
    .batchFailed(operation: 2, .rowTooLarge(7)), .tableCreated(SystemTables.revoked.description),
    .tableDropped(TableID(100)), .purged(rows: 5, isFinished: true), .malformed,
  ]
}
