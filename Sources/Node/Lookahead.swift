import Primitives
import Store
import Tables

/// Asks the processor's memory for what the commands behind the one at hand will touch: for their leaves in groups, and for the
/// place of each one's record shortly before its turn.
final class Lookahead {
  /// Commands whose leaves are looked for side by side.
  private static let groupCount = 8
  /// So many commands before its turn a record's place is asked for: its leaf's header has come by then.
  private static let placeDistance: UInt32 = 2

  /// Two groups, by their distance from `first`.
  private let keys = UnsafeMutableBufferPointer<KeyAhead>.allocate(capacity: 2 * groupCount)
  private var first: UInt32 = 0
  /// The first command that was not looked at; nil when none is left.
  private var front: EntryCursor?
  private var seen: UInt32 = 0

  init() { keys.initialize(repeating: KeyAhead.none) }
  deinit { keys.deallocate() }

  /// The commands from `cursor` on are going to be applied.
  func begin(_ cursor: EntryCursor) {
    (first, seen) = (cursor.ordinal, cursor.ordinal)
    front = cursor.count - cursor.ordinal > 1 ? cursor : nil
  }

  /// The command at `ordinal` is next. Returns the leaf of its row, as far as it was seen.
  func look(from ordinal: UInt32, _ shard: ShardID, _ store: Store) throws(DecodeError) -> LeafAhead {
    if front != nil, (ordinal - first) % UInt32(Self.groupCount) == 0 {
      if ordinal == first { try ask(shard, store) }
      try ask(shard, store)
    }
    let next = ordinal + Self.placeDistance
    if next < seen { store.prefetchPlace(keys[Int(next - first) % keys.count]) }
    return ordinal < seen ? keys[Int(ordinal - first) % keys.count].leaf : .none
  }

  private func ask(_ shard: ShardID, _ store: Store) throws(DecodeError) {
    guard var cursor = front else { return }
    let start = Int(seen - first) % keys.count
    var count = 0
    let payload = cursor.payload
    try payload.withBytes { (raw) throws(DecodeError) in
      while count < Self.groupCount, !cursor.isAtEnd {
        let range = try cursor.command(raw)
        keys[start + count] = ShardMachine.keyAhead(UnsafeRawBufferPointer(rebasing: raw[range])) ?? .none
        cursor.advance(over: range)
        count += 1
      }
      store.prefetchLeaves(shard, UnsafeMutableBufferPointer(rebasing: keys[start..<start + count]))
    }
    seen += UInt32(count)
    front = cursor.isAtEnd ? nil : cursor
  }
}
