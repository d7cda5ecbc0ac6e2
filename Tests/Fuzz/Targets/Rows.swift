import Primitives

@testable import Tables

extension FuzzTarget {
  /// Writes of one row as clients send them: a line `put|patch|delete TABLE KEY [ETAG|*]`, then JSON.
  static let row = FuzzTarget("row", memory: MemoryBound(base: 4 << 20, perInputByte: 256)) { input in
    var input = input
    let words = input.line().words(4)
    guard words.count >= 3 else { return }
    let shard = Shard()
    guard let table = shard.table(words[1]) else { return }
    let request = RowRequest(
      kind: text(words[0]), key: words[2], condition: condition(words.count > 3 ? words[3] : []), json: input.rest())
    var writer = CommandWriter()
    do throws(Refusal) { try request.write(&writer, table) } catch { return checkRefusal(error) }
    checkWrite(writer.bytes, of: request, table, shard)
  }

  private static func condition(_ word: [UInt8]) -> Condition {
    if word == [UInt8(ascii: "*")] { return .ifNoneMatch }
    return word.withBytes { Condition.version(etag: $0) }.map { .ifMatch($0) } ?? .none
  }

  private static func checkWrite(_ command: [UInt8], of request: RowRequest, _ table: Table, _ shard: Shard) {
    let before = shard.machine.totals
    guard let reply = shard.apply(command) else { return }
    guard case .row(let outcome) = reply, outcome != .malformed, outcome != .tableNotFound, outcome != .schemaChanged
    else { fatalError("a command that we made is understood, not answered \(reply)") }
    if !outcome.isSuccess { require(shard.machine.totals == before, "a refused write changes nothing") }
    shard.checkInvariants()
    if outcome.isSuccess, request.kind != "delete" { checkReadBack(request, table, shard) }
  }

  /// A row, read as JSON and put again, is the same row.
  private static func checkReadBack(_ request: RowRequest, _ table: Table, _ shard: Shard) {
    let key = stateKey(table, request.key)
    let json = readRow(table, request.key, shard)
    checkJSON(json)
    let stored = shard.value(key)
    var writer = CommandWriter()
    let again = RowRequest(kind: "put", key: request.key, condition: .none, json: json)
    do throws(Refusal) { try again.write(&writer, table) } catch {
      fatalError("a row that was read is refused: \(error)")
    }
    guard let reply = shard.apply(writer.bytes) else { return }
    guard case .row(.replaced) = reply else { fatalError("a row that was read is put again, not answered \(reply)") }
    require(
      shard.value(key)?.dropFirst(StoredValue.headerBytes) == stored?.dropFirst(StoredValue.headerBytes),
      "a row that was read and put again is the same")
  }

  static func readRow(_ table: Table, _ path: [UInt8], _ shard: Shard) -> [UInt8] {
    var reads = ReadWriter()
    do throws(Refusal) {
      try path.withBytes { path throws(Refusal) in try reads.get(table, path: path) }
    } catch { fatalError("the key of a row that was written is refused: \(error)") }
    let (outcome, json) = shard.read(reads.bytes)
    guard case .row = outcome else { fatalError("a row that was written is there, not \(outcome)") }
    return json
  }

  static func stateKey(_ table: Table, _ path: [UInt8]) -> [UInt8] {
    var key = StateKey.rowPrefix(table.id)
    do throws(Refusal) {
      try path.withBytes { path throws(Refusal) in try table.appendKey(path: path, to: &key) }
    } catch { fatalError("the key of a row that was written is refused: \(error)") }
    return key
  }
}

/// One write as the API takes it.
private struct RowRequest {
  var kind: String
  var key: [UInt8]
  var condition: Condition
  var json: [UInt8]

  func write(_ writer: inout CommandWriter, _ table: Table) throws(Refusal) {
    try key.withBytes { key throws(Refusal) in
      try json.withBytes { json throws(Refusal) in
        switch kind {
        case "patch": try writer.patch(table, path: key, json: json, condition: condition)
        case "delete": try writer.delete(table, path: key, condition: condition)
        default: try writer.put(table, path: key, json: json, condition: condition)
        }
      }
    }
  }
}

/// A refusal says what is wrong, and is the client's to mend.
func checkRefusal(_ refusal: Refusal) {
  require(!refusal.detail.isEmpty, "a refusal says what is wrong")
  require(refusal.code != .internal, "a client's mistake is no bug of ours: \(refusal.detail)")
}

/// What we write as JSON is read as JSON.
func checkJSON(_ json: [UInt8]) {
  do throws(Refusal) { _ = try JSONValue.parse(json) } catch {
    fatalError("`\(text(json))` is no JSON: \(error.detail)")
  }
}
