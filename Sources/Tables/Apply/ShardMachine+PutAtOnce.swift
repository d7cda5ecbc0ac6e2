import Primitives
import Store

// The most common command by far, the put of one row, without staging: the row goes from the command into its leaf.

extension ShardMachine {
  /// The table that the last put wrote to, without being counted as held: the catalog of that generation holds it.
  struct UsualTable {
    let generation: UInt64
    let id: TableID
    let schema: UInt32
    let table: Unmanaged<Table>
  }

  /// Applies a put of one row if nothing of what was there is to be kept, nothing refuses it and its leaf can take it as it is.
  /// Nil otherwise, and then nothing has changed.
  func putAtOnce(
    _ command: UnsafeRawBufferPointer, _ version: Timestamp, _ store: Store, _ ahead: LeafAhead
  ) throws(PrepareFailure) -> Reply? {
    guard let view = OperationView(single: command), view.kind == .put, isValid(view) else { return nil }
    let place: LeafPlace?
    do throws(PageMissing) { place = try store.placeAtOnce(shard, view.stateKey, ahead: ahead) } catch {
      throw .missing(error)
    }
    guard let place, case let value = place.value, value == nil || !totals.history.isKept,
      admits(view.condition, value), case let old = value.map({ entryHash(key: view.stateKey, value: $0) }),
      let target = store.open(place, view.stateKey, valueCount: StoredValue.headerBytes + view.body.count)
    else { return nil }
    StoredValue.write(version, previous: StoredValue.noPrevious, view.body, to: target)
    count(old: old, new: entryHash(key: view.stateKey, value: UnsafeRawBufferPointer(target)))
    return .row(old == nil ? .created(version) : .replaced(version))
  }

  private func isValid(_ view: OperationView) -> Bool {
    guard let usual = usualTable(view.table), usual.schema == view.schema else { return false }
    return usual.table._withUnsafeGuaranteedRef { $0.isValidKey(view.key) && $0.isValidRow(view.body) }
  }

  private func usualTable(_ id: TableID) -> UsualTable? {
    if let usual, usual.id == id, usual.generation == catalog.generation { return usual }
    guard let table = catalog.table(id), !table.id.isSystem else { return nil }
    usual = UsualTable(
      generation: catalog.generation, id: id, schema: table.schema, table: Unmanaged.passUnretained(table))
    return usual
  }

  private func admits(_ condition: Condition, _ value: UnsafeRawBufferPointer?) -> Bool {
    switch condition {
    case .none: true
    case .ifMatch(let wanted): value.map { StoredValue.version($0) == wanted } ?? false
    case .ifNoneMatch: value == nil
    }
  }
}
