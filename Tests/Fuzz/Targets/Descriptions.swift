import Primitives

@testable import Tables

extension FuzzTarget {
  /// The body of `POST /v1/tables`, as far as the table: made, described, dropped, emptied.
  static let tableDescription = FuzzTarget(
    "table-description", memory: MemoryBound(base: 4 << 20, perInputByte: 1024)
  ) { input in
    let description: TableDescription
    do throws(Refusal) { description = try TableDescription.parse(input.bytes) } catch { return checkRefusal(error) }
    checkDescriptionIsReadBack(description)
    let shard = Shard()
    var writer = CommandWriter()
    writer.createTable(description)
    guard let reply = shard.apply(writer.bytes) else { return }
    if case .tableExists = reply { return }
    guard case .tableCreated(let made) = reply else { fatalError("a table is created, not answered \(reply)") }
    shard.checkInvariants()
    checkIsEmptied(made, shard)
  }

  static func checkDescriptionIsReadBack(_ description: TableDescription) {
    do {
      let again = try decode(description.encoded()) { reader throws(DecodeError) in
        try TableDescription(from: &reader)
      }
      require(again == description, "a description is read as it was written")
      var json: [UInt8] = []
      description.appendJSON(to: &json)
      require(try TableDescription.parse(json) == description, "a description is the same behind its JSON")
    } catch { fatalError("a description of ours cannot be read: \(error)") }
  }

  private static func checkIsEmptied(_ description: TableDescription, _ shard: Shard) {
    var writer = CommandWriter()
    writer.dropTable(description.id)
    guard case .tableDropped? = shard.apply(writer.bytes) else { fatalError("a table that was created is dropped") }
    writer.purge(description.id)
    guard case .purged(_, isFinished: true)? = shard.apply(writer.bytes) else { fatalError("an empty table is purged") }
    shard.checkInvariants()
  }
}
