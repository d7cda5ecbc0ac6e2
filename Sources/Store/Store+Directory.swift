// The directory: for each shard its root, counts and the node's metadata, in a tree of its own.
//
//     key     8      shard id, big-endian
//     value   0      16     pointer to the root, all zero when the tree is empty
//             16     4      height
//             20     4      zero
//             24     8      rows
//             32     8      bytes of keys and values
//             40     n      metadata

import Primitives

/// A shard as it is in memory. It has an address of its own and stays there.
struct ShardState {
  let shard: ShardID
  let tree: UnsafeMutablePointer<Tree>
  var metadata: [UInt8]
  /// The last epoch in which it was changed. In that epoch its directory record is on dirty pages.
  var touched: Epoch
  /// The last round in which a change of its record was prepared.
  var preparedRound: UInt64 = 0
}

/// A shard's counts, for `status`.
package struct ShardStatistics: Equatable, Sendable {
  package var rows: UInt64
  /// Keys and values, in bytes.
  package var bytes: UInt64
  /// Levels of its tree.
  package var height: UInt32
}

/// A shard's record in the directory.
struct DirectoryRecord: Equatable {
  static let headerCount = 40
  var tree: Tree
  var metadata: [UInt8]

  func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: DirectoryRecord.headerCount + metadata.count)
    writer.write(tree.root.page.rawValue)
    writer.write(tree.root.checksum)
    writer.write(tree.root.birth.rawValue)
    writer.write(tree.height)
    writer.write(UInt32(0))
    writer.write(tree.rows)
    writer.write(tree.bytes)
    writer.writeBytes(metadata)
    return writer.bytes
  }

  /// Nil when the bytes cannot be a record.
  init?(_ bytes: UnsafeRawBufferPointer, pageCount: UInt32) {
    guard bytes.count >= DirectoryRecord.headerCount, let base = bytes.baseAddress else { return nil }
    tree = Tree(
      root: PagePointer(from: base),
      height: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt32.self)),
      rows: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self)),
      bytes: UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: 32, as: UInt64.self)))
    metadata = Array(bytes[DirectoryRecord.headerCount...])
    guard tree.height < Tree.heightMax, (tree.height == 0) == tree.root.isNone, tree.root.page.rawValue < pageCount,
      tree.root.isNone || tree.root.page.rawValue >= 2
    else { return nil }
  }

  init(tree: Tree, metadata: [UInt8]) {
    self.tree = tree
    self.metadata = metadata
  }
}

// MARK: Reading

extension Store {
  package func shardExists(_ shard: ShardID) throws(PageMissing) -> Bool { try find(shard) != nil }

  package func metadata(_ shard: ShardID) throws(PageMissing) -> [UInt8]? { try find(shard)?.pointee.metadata }

  package func statistics(of shard: ShardID) throws(PageMissing) -> ShardStatistics? {
    guard let tree = try find(shard)?.pointee.tree.pointee else { return nil }
    return ShardStatistics(rows: tree.rows, bytes: tree.bytes, height: tree.height)
  }

  /// All shards in order of their ids.
  package func shards() throws(PageMissing) -> [ShardID] {
    var result: [ShardID] = []
    let cursor = Cursor(self, directory)
    var isOn = try cursor.first()
    while isOn {
      let key = try cursor.key()
      if key.count == 8 { result.append(ShardID(UInt64(bigEndian: key.loadUnaligned(as: UInt64.self)))) }
      isOn = try cursor.next()
    }
    return result
  }

  /// The shard's state, from memory or the directory; nil when there is no such shard.
  @inline(__always) func find(_ shard: ShardID) throws(PageMissing) -> UnsafeMutablePointer<ShardState>? {
    if let last = lastShard, last.pointee.shard == shard { return last }
    return try findSlowly(shard)
  }

  private func findSlowly(_ shard: ShardID) throws(PageMissing) -> UnsafeMutablePointer<ShardState>? {
    let place = place(of: shard)
    if place < shardStates.count, shardStates[place].pointee.shard == shard {
      lastShard = shardStates[place]
      return lastShard
    }
    guard let record = try directoryRecord(shard) else { return nil }
    return addState(shard, record, touched: Epoch(0))
  }

  private func directoryRecord(_ shard: ShardID) throws(PageMissing) -> DirectoryRecord? {
    var key = shard.rawValue.bigEndian
    guard let value = try withUnsafeBytes(of: &key, { bytes throws(PageMissing) in try get(directory, bytes) }) else {
      return nil
    }
    guard let record = DirectoryRecord(value, pageCount: space.pointee.pageCount) else {
      preconditionFailure("the directory holds records of shards")
    }
    return record
  }

  private func place(of shard: ShardID) -> Int {
    var (low, high) = (0, shardStates.count)
    while low < high {
      let middle = (low + high) / 2
      if shardStates[middle].pointee.shard < shard { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func addState(
    _ shard: ShardID, _ record: DirectoryRecord, touched: Epoch
  ) -> UnsafeMutablePointer<ShardState> {
    let tree = UnsafeMutablePointer<Tree>.allocate(capacity: 1)
    tree.initialize(to: record.tree)
    let state = UnsafeMutablePointer<ShardState>.allocate(capacity: 1)
    state.initialize(to: ShardState(shard: shard, tree: tree, metadata: record.metadata, touched: touched))
    shardStates.insert(state, at: place(of: shard))
    lastShard = state
    return state
  }

  static func deallocate(_ state: UnsafeMutablePointer<ShardState>) {
    state.pointee.tree.deallocate()
    state.deinitialize(count: 1)
    state.deallocate()
  }

  /// A shard that pass one has found.
  func preparedShard(_ shard: ShardID) -> UnsafeMutablePointer<ShardState> {
    do throws(PageMissing) {
      if let state = try find(shard) { return state }
    } catch { preconditionFailure("pass one has loaded the shard's record") }
    preconditionFailure("pass two works on shards that exist")
  }
}

// MARK: Changing, in pass two

extension Store {
  /// Creates an empty shard. Needs `prepareShard`; a shard that exists is left as it is.
  package func createShard(_ shard: ShardID) {
    do throws(PageMissing) {
      if try find(shard) != nil { return }
    } catch { preconditionFailure("pass one has looked for the shard") }
    let state = addState(shard, DirectoryRecord(tree: Tree(), metadata: []), touched: Epoch(0))
    touch(state)
  }

  /// Removes a shard that has no rows. Needs `prepareShard`.
  package func dropShard(_ shard: ShardID) {
    let state = preparedShard(shard)
    cutEmptied(of: state.pointee.tree)
    precondition(state.pointee.tree.pointee.height == 0, "a shard is emptied before it is dropped")
    var key = shard.rawValue.bigEndian
    let removed = withUnsafeBytes(of: &key) { delete(directory, $0) }
    precondition(removed || state.pointee.touched == Epoch(0), "a shard stands in the directory")
    if state.pointee.touched == epoch { touchedCount -= 1 }
    shardStates.remove(at: place(of: shard))
    lastShard = nil
    Store.deallocate(state)
    changeCount += 1
  }

  /// Replaces the shard's metadata. Needs `prepareShard` or any prepared write to the shard.
  package func setMetadata(_ shard: ShardID, _ metadata: [UInt8]) {
    precondition(metadata.count <= StoreLimits.metadataCountMax, "metadata within its limit")
    let state = preparedShard(shard)
    touch(state)
    state.pointee.metadata = metadata
  }

  /// The first change of a shard in an epoch puts its record on dirty pages; the freeze overwrites it there.
  @inline(__always) func touch(_ state: UnsafeMutablePointer<ShardState>) {
    if state.pointee.touched != epoch { touchFirst(state) }
  }

  @inline(never) private func touchFirst(_ state: UnsafeMutablePointer<ShardState>) {
    state.pointee.touched = epoch
    touchedCount += 1
    writeRecord(of: state)
  }

  func writeRecord(of state: UnsafeMutablePointer<ShardState>) {
    let record = DirectoryRecord(tree: state.pointee.tree.pointee, metadata: state.pointee.metadata).encoded()
    var key = state.pointee.shard.rawValue.bigEndian
    withUnsafeBytes(of: &key) { key in
      record.withUnsafeBytes { put(directory, key, $0) }
    }
  }
}
