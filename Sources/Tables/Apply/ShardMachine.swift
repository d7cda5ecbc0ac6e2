import Primitives
import Store

/// What a shard does with the commands of its log: the deterministic state machine over its tree.
///
/// One command is applied in two passes. Pass one decodes it, finds the rows, decides, builds the new values and lets the
/// store prepare every change (*staging*). It throws when a page is missing or the store has no room; then nothing has
/// changed and the command is to be applied again. Pass two (*commit*) changes the tree, the totals and the catalog; it
/// cannot fail. A refusal stages nothing.
///
/// Operations of a batch are staged one after the other and see what those before them have staged. A put of one row mostly needs
/// neither staging nor preparing, and does without (`putAtOnce`).
package final class ShardMachine {
  package let shard: ShardID
  /// The shard's tables, as the commands applied so far have left them.
  @exclusivity(unchecked) package private(set) var catalog = Catalog()
  @exclusivity(unchecked) package private(set) var totals: ShardTotals
  /// Rises with every command that has changed the tree.
  @exclusivity(unchecked) package private(set) var changes: UInt64 = 0
  @exclusivity(unchecked) var staging = Staging()
  @exclusivity(unchecked) var usual: UsualTable?

  /// `totals` as they were kept with the applied position. Call `restore` before anything else.
  package init(shard: ShardID, totals: ShardTotals = ShardTotals()) {
    self.shard = shard
    self.totals = totals
  }

  /// Reads the catalog from the tree. Throws until its pages are there; call it again then.
  package func restore(_ store: Store) throws(PageMissing) { catalog = try loadCatalog(shard, store) }

  /// Applies one command. `version` is the command's own, above all before.
  ///
  /// Throws when a page is missing or the store has no room: nothing has changed, nothing is pinned, apply it again later.
  /// `ahead` is where the leaf of its row was seen.
  package func apply(
    _ command: UnsafeRawBufferPointer, version: Timestamp, store: Store, ahead: LeafAhead = .none
  ) throws(PrepareFailure) -> Reply {
    precondition(version > .zero, "version 0 stands for no row")
    if let reply = try putAtOnce(command, version, store, ahead) { return reply }
    staging.begin(totals.history)
    do throws(PrepareFailure) {
      let reply = try decide(command, version, store)
      commit(store)
      return reply
    } catch {
      store.endWrite()
      throw error
    }
  }

  private func decide(
    _ command: UnsafeRawBufferPointer, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> Reply {
    var reader = ByteReader(command)
    guard let kind = commandKind(&reader) else { return .malformed }
    switch kind {
    case .operation: return try operation(&reader, version, store)
    case .batch: return try batch(&reader, version, store)
    case .createTable: return try createTable(&reader, version, store)
    case .dropTable: return try dropTable(&reader, version, store)
    case .purge: return try purge(&reader, version, store)
    case .revoke: return try revoke(&reader, version, store)
    case .advance: return try advance(&reader, version, store)
    }
  }

  private func commandKind(_ reader: inout ByteReader) -> CommandKind? {
    do throws(DecodeError) {
      let format: UInt8 = try reader.read()
      guard format == CommandFormat.version else { return nil }
      return CommandKind(rawValue: try reader.read())
    } catch { return nil }
  }

  /// A row was put, in place of another or not.
  func count(old: UInt64?, new: UInt64) {
    totals.stateHash &+= new
    if let old { totals.stateHash &-= old } else { totals.rows += 1 }
    changes += 1
  }

  // MARK: Pass two

  private func commit(_ store: Store) {
    staging.carryOut(shard, store, &totals)
    if !staging.steps.isEmpty { changes += 1 }
    if staging.isStoreTouched { store.endWrite() }
    for change in staging.catalogChanges { catalog.take(change) }
  }
}

extension Staging {
  /// Mutating although it changes nothing of this: what a class holds is copied for each call that does not say so, array by
  /// array.
  fileprivate mutating func carryOut(_ shard: ShardID, _ store: Store, _ totals: inout ShardTotals) {
    steps.withUnsafeBufferPointer { steps in
      bytes.withBytes { bytes in
        for step in steps {
          Staging.carryOut(step, bytes, shard, store)
          totals.count(step)
        }
      }
    }
    bytes.withBytes { bytes in
      for range in ranges {
        store.deleteRange(
          shard, from: bytes.part(range.from.lowerBound, range.from.count),
          to: bytes.part(range.to.lowerBound, range.to.count), rows: range.rows, bytes: range.bytes)
        totals.stateHash &-= range.hash
      }
    }
    totals.stateHash &+= keptHash
    totals.history = history
  }

  private static func carryOut(_ step: Step, _ bytes: UnsafeRawBufferPointer, _ shard: ShardID, _ store: Store) {
    let key = bytes.part(step.key.lowerBound, step.key.count)
    let value = step.value.map { bytes.part($0.lowerBound, $0.count) }
    let kept = step.kept.map { bytes.part($0.lowerBound, $0.count) }
    switch (value, kept) {
    case (.some(let value), nil): store.put(shard, key, value)
    case (.some(let value), .some(let kept)): store.put(shard, key, value, keepingOldAs: kept)
    case (nil, .some(let kept)): store.delete(shard, key, keepingOldAs: kept)
    case (nil, nil):
      let existed = store.delete(shard, key)
      precondition(existed, "only rows that exist are deleted")
    }
  }
}

extension ShardTotals {
  fileprivate mutating func count(_ step: Staging.Step) {
    if let old = step.oldHash { stateHash &-= old }
    if let new = step.newHash { stateHash &+= new }
    guard step.isRow else { return }
    if step.oldHash != nil { rows -= 1 }
    if step.newHash != nil { rows += 1 }
  }
}

extension Catalog {
  fileprivate mutating func take(_ change: Staging.CatalogChange) {
    switch change {
    case .added(let table): add(table)
    case .dropped(let table): drop(table)
    case .purged(let id): forgetDropped(id)
    case .revoked(let revocation): add(revocation)
    }
  }
}
