import Primitives

@testable import Tables

extension FuzzTarget {
  /// Keys in paths and in JSON: a line with the table, a line with the key's path segment, then a key as JSON.
  static let key = FuzzTarget("key", memory: MemoryBound(base: 4 << 20, perInputByte: 256)) { input in
    var input = input
    let shard = Shard()
    guard let table = shard.table(input.line()) else { return }
    let path = input.line()
    let json = input.rest()
    checkKey(table) { key throws(Refusal) in
      try path.withBytes { raw throws(Refusal) in try table.appendKey(path: raw, to: &key) }
    }
    checkKey(table) { key throws(Refusal) in
      try json.withBytes { raw throws(Refusal) in try table.appendKey(json: raw, to: &key) }
    }
    for isOpen in [false, true] {
      var beginning: [UInt8] = []
      do throws(Refusal) {
        _ = try path.withBytes { raw throws(Refusal) in
          try table.appendComponents(path: raw, openEnd: isOpen, to: &beginning)
        }
      } catch { checkRefusal(error) }
    }
  }

  /// A key is the same behind its path, its JSON and its values.
  private static func checkKey(_ table: Table, _ read: (inout [UInt8]) throws(Refusal) -> Void) {
    var key: [UInt8] = []
    do throws(Refusal) { try read(&key) } catch { return checkRefusal(error) }
    require(key.withBytes { table.isValidKey($0) }, "a key that was read is valid")
    var path: [UInt8] = []
    var json: [UInt8] = []
    key.withBytes {
      table.appendPath(key: $0, to: &path)
      table.appendJSON(key: $0, to: &json)
    }
    require(key.withBytes { table.key(table.values(key: $0)) } == key, "a key is the same behind its values")
    var again: [UInt8] = []
    do throws(Refusal) {
      try path.withBytes { raw throws(Refusal) in try table.appendKey(path: raw, to: &again) }
      require(again == key, "a key is the same behind its path `\(text(path))`")
      again = []
      try json.withBytes { raw throws(Refusal) in try table.appendKey(json: raw, to: &again) }
      require(again == key, "a key is the same behind its JSON `\(text(json))`")
    } catch { fatalError("a key of ours is refused: \(error.detail)") }
  }
}
