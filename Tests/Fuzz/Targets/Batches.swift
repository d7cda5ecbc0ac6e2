import Primitives

@testable import Tables

extension FuzzTarget {
  /// The body of `POST /v1/batch`.
  static let batch = FuzzTarget("batch", memory: MemoryBound(base: 4 << 20, perInputByte: 1024)) { input in
    let shard = Shard()
    var writer = CommandWriter()
    do throws(Refusal) {
      try input.bytes.withBytes { raw throws(Refusal) in try writer.batch(json: raw, catalog: shard.machine.catalog) }
    } catch { return checkRefusal(error) }
    _ = writer.bytes.withBytes { shard.machine.missingPages(for: $0, store: shard.store) }
    let before = shard.machine.totals
    guard let reply = shard.apply(writer.bytes) else { return }
    switch reply {
    case .batch(let outcomes):
      var json: [UInt8] = []
      Tables.Reply.appendResults(outcomes, to: &json)
      checkJSON(json)
    case .batchFailed(_, let outcome):
      require(outcome != .malformed, "a batch that we made is understood")
      require(shard.machine.totals == before, "a failed batch changes nothing")
    default: fatalError("a batch is answered as one, not \(reply)")
    }
    shard.checkInvariants()
    let other = Shard()
    require(other.apply(writer.bytes) == reply, "two replicas answer the same")
    require(other.machine.totals == shard.machine.totals, "two replicas that apply the same are equal")
  }

  /// Commands as they stand in the log, each behind its length in two bytes: what a follower applies unseen.
  static let command = FuzzTarget(
    "command", memory: MemoryBound(base: 4 << 20, perInputByte: 1024), seeds: { commandSeeds() }
  ) { input in
    let shard = Shard()
    var input = input
    for _ in 0..<64 where !input.isAtEnd {
      let command = input.take(Int(input.number(UInt16.self)))
      _ = command.withBytes { shard.machine.missingPages(for: $0, store: shard.store) }
      let (before, changes) = (shard.machine.totals, shard.machine.changes)
      guard let reply = shard.apply(command) else { return }
      if reply.refusal(table: nil) != nil {
        require(shard.machine.totals == before && shard.machine.changes == changes, "a refusal changes nothing")
      }
      checkReplyIsReadBack(reply)
    }
    shard.checkInvariants()
  }

  private static func checkReplyIsReadBack(_ reply: Tables.Reply) {
    do throws(DecodeError) {
      let again = try decode(reply.encoded()) { reader throws(DecodeError) in try Tables.Reply(from: &reader) }
      require(again == reply, "a reply is read as it was written")
    } catch { fatalError("a reply of ours cannot be read: \(error.message)") }
  }

  private static func commandSeeds() -> [[UInt8]] {
    let shard = Shard()
    var writer = CommandWriter()
    var commands: [[UInt8]] = []
    do throws(Refusal) {
      writer.createTable(
        try TableDescription.parse(
          utf8(#"{"name":"x","columns":[{"name":"k","type":"uuid"}],"primary_key":["k"]}"#)))
      commands.append(writer.bytes)
      for json in batchTexts {
        try utf8(json).withBytes { raw throws(Refusal) in
          try writer.batch(json: raw, catalog: shard.machine.catalog)
        }
        commands.append(writer.bytes)
      }
      try writer.revoke(Revocation(.token, "ab"), expires: Moment(microseconds: 5))
      commands.append(writer.bytes)
    } catch { fatalError("a seed is refused: \(error)") }
    for table in shard.machine.catalog.userTables {
      writer.dropTable(table.id)
      let drop = writer.bytes
      writer.purge(table.id)
      commands += [drop, framed(drop) + framed(writer.bytes)]
    }
    return commands.map { framed($0) }
  }

  private static func framed(_ command: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(UInt16(command.count))
    writer.writeBytes(command)
    return writer.bytes
  }

  private static let batchTexts = [
    #"{"operations":[{"op":"put","table":"pairs","key":"n","row":{"v":1}}]}"#,
    #"{"operations":[{"op":"patch","table":"all","key":["a",1],"row":{"i":null,"j":[1]}}]}"#,
    #"{"operations":[{"op":"delete","table":"pairs","key":"k3","if_match":"5"},"#
      + #"{"op":"check","table":"pairs","key":"zz","if_none_match":true}]}"#,
    #"{"operations":[{"op":"put","table":"keys","key":["0.00001","",false,"1970-01-01T00:00:00Z","#
      + #""00000000-0000-0000-0000-000000000000"],"row":{"v":"x"}}]}"#,
  ]
}
