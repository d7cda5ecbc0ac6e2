import Node
import Primitives
import Raft
import Store
import Tables

/// A batch of 100 rows in JSON, made into a command.
final class BatchPath: HotPath {
  let units = 100
  private let catalog: Catalog
  private let json = Items.batch(from: 0, count: 100)
  private var writer = CommandWriter()

  init() {
    let store = emptyStore(frames: 256)
    let machine = ShardMachine(shard: FilledStore.shard)
    certainly("an empty catalog") { () throws(PageMissing) in try machine.restore(store) }
    var writer = CommandWriter()
    writer.createTable(
      certainly("the table is well described") { () throws(Refusal) in try TableDescription.parse(Items.createTable) })
    certainly("the table is made") { () throws(PrepareFailure) in
      _ = try writer.bytes.withBytes { raw throws(PrepareFailure) in
        try machine.apply(raw, version: Timestamp(1), store: store)
      }
    }
    catalog = machine.catalog
  }

  func operate(_ count: Meter) {
    count {
      certainly("the batch is well formed") { () throws(Refusal) in
        try json.withBytes { raw throws(Refusal) in try writer.batch(json: raw, catalog: catalog) }
      }
    }
    expect(writer.bytes.count > units * 80, "every row is in the command")
  }
}

/// An append with one entry of 100 bytes, as the leader sends it for each PUT.
private let message = PeerMessage.raft(
  RaftMessage(
    shard: ShardID(1), from: Member(node: NodeID(1), incarnation: Incarnation(17)),
    to: Member(node: NodeID(2), incarnation: Incarnation(34)), term: Term(3),
    body: .append(
      Append(
        previousIndex: LogIndex(1_000_000), previousTerm: Term(3),
        entries: [
          Entry(
            index: LogIndex(1_000_001), term: Term(3), kind: .command, payload: [UInt8](repeating: 7, count: 100))
        ],
        commit: LogIndex(1_000_000), heldByAll: LogIndex(999_999), sentAt: Instant(nanoseconds: 1 << 50),
        readRound: 12))))

private func encoded() -> [UInt8] {
  var writer = ByteWriter()
  message.encode(into: &writer)
  return writer.bytes
}

final class EncodePath: HotPath {
  let units = 1

  func operate(_ count: Meter) {
    var bytes = 0
    count { bytes = encoded().count }
    expect(bytes > 140, "the message is encoded")
  }
}

final class DecodePath: HotPath {
  let units = 1
  private let payload = encoded()

  func operate(_ count: Meter) {
    var found: [PeerMessage] = []
    count { found = certainly("it is a message") { () throws(DecodeError) in try PeerMessage.decodeAll(payload) } }
    expect(found == [message], "the message is decoded")
  }
}
