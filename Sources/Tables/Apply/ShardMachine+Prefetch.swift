import Primitives
import Store

extension ShardMachine {
  /// Pages that applying `command` will miss, as far as can be seen now: for each operation the first one. Load them all,
  /// ask again, until there are none; called when a command is appended, so that it finds its pages when it is committed.
  /// At most `limit`, each once.
  package func missingPages(
    for command: UnsafeRawBufferPointer, store: Store, limit: Int = 64
  ) -> [PageMissing] {
    var reader = ByteReader(command)
    var result: [PageMissing] = []
    do throws(DecodeError) {
      let format: UInt8 = try reader.read()
      let kind: UInt8 = try reader.read()
      guard format == CommandFormat.version else { return [] }
      var count: UInt16 = 1
      if kind == CommandKind.batch.rawValue { count = try reader.read() }
      guard kind == CommandKind.batch.rawValue || kind == CommandKind.operation.rawValue else { return [] }
      for _ in 0..<count where result.count < limit {
        let key = try OperationView(from: &reader).stateKey
        if key.count > StateKey.bytesMax { return result }
        if let page = missing(key, store), !result.contains(page) { result.append(page) }
      }
    } catch { return result }
    return result
  }

  /// The row that a command of one operation writes to, for `Store.prefetchLeaves`. Batches are left alone: they walk from row
  /// to row by themselves.
  package static func keyAhead(_ command: UnsafeRawBufferPointer) -> KeyAhead? {
    OperationView(single: command).map { KeyAhead(key: $0.stateKey, recordCount: command.count) }
  }

  private func missing(_ key: UnsafeRawBufferPointer, _ store: Store) -> PageMissing? {
    do throws(PageMissing) {
      _ = try store.get(shard, key)
      return nil
    } catch { return error }
  }
}
