import Primitives
import Store

// Operations on rows, one or many.

extension ShardMachine {
  func operation(
    _ reader: inout ByteReader, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> Reply {
    guard let view = operationView(&reader), reader.isAtEnd else { return .malformed }
    return .row(try stage(view, version, store))
  }

  func batch(
    _ reader: inout ByteReader, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> Reply {
    guard let count = number(&reader, as: UInt16.self) else { return .malformed }
    var outcomes: [RowOutcome] = []
    outcomes.reserveCapacity(Int(count))
    staging.isBatch = true
    for index in 0..<Int(count) {
      guard let view = operationView(&reader) else { return abandoned(.malformed) }
      let outcome = try stage(view, version, store)
      guard outcome.isSuccess else { return abandoned(.batchFailed(operation: index, outcome)) }
      outcomes.append(outcome)
    }
    guard reader.isAtEnd else { return abandoned(.malformed) }
    return .batch(outcomes)
  }

  private func abandoned(_ reply: Reply) -> Reply {
    staging.abandon(totals.history)
    return reply
  }

  private func operationView(_ reader: inout ByteReader) -> OperationView? {
    do throws(DecodeError) { return try OperationView(from: &reader) } catch { return nil }
  }

  func number<T: FixedWidthInteger>(_ reader: inout ByteReader, as: T.Type) -> T? {
    do throws(DecodeError) { return try reader.read() } catch { return nil }
  }

  // MARK: One operation

  /// Decides one operation and stages what it changes.
  private func stage(
    _ view: OperationView, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> RowOutcome {
    guard let table = catalog.table(view.table) else { return .tableNotFound }
    guard !table.id.isSystem else { return .reserved }
    guard table.schema == view.schema else { return .schemaChanged }
    guard table.isValidKey(view.key) else { return .malformed }
    let found = try find(view.stateKey, store)
    switch view.condition {
    case .none: break
    case .ifMatch(let wanted): if found?.version != wanted { return .conditionFailed(current: found?.version) }
    case .ifNoneMatch: if let found { return .conditionFailed(current: found.version) }
    }
    switch view.kind {
    case .put: return try put(view, table, found, version, store)
    case .patch: return try patch(view, table, found, version, store)
    case .delete:
      guard let found else { return .rowNotFound }
      try delete(view.stateKey, found, version, store)
      return .deleted(version)
    case .check:
      if found == nil, view.condition == .none { return .rowNotFound }
      return .checked(found?.version)
    }
  }

  private func put(
    _ view: OperationView, _ table: Table, _ found: Found?, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> RowOutcome {
    guard RowView(view.body, table).isValid() else { return .malformed }
    let (previous, kept) = displace(found, version)
    let start = staging.beginValue(version, previous: previous)
    staging.appendValue(view.body)
    try staging.put(view.stateKey, valueStart: start, old: found?.hash, keeping: kept, shard: shard, store: store)
    return found == nil ? .created(version) : .replaced(version)
  }

  private func patch(
    _ view: OperationView, _ table: Table, _ found: Found?, _ version: Timestamp, _ store: Store
  ) throws(PrepareFailure) -> RowOutcome {
    guard let found else { return .rowNotFound }
    let (previous, kept) = displace(found, version)
    let start = staging.beginValue(version, previous: previous)
    let count: Int?
    switch found.stored {
    case .tree(let stored): count = appendPatched(view.body, table, StoredValue.row(stored))
    case .staged(let range):
      let copy = Array(staging.bytes[range])
      count = copy.withBytes { appendPatched(view.body, table, StoredValue.row($0)) }
    }
    guard let count else { return .malformed }
    guard count <= TableLimits.rowBytesMax else { return .rowTooLarge(UInt64(count)) }
    try staging.put(view.stateKey, valueStart: start, old: found.hash, keeping: kept, shard: shard, store: store)
    return .patched(version)
  }

  /// Appends `row` with the changes of `patch`; returns its length, nil when the patch is none.
  private func appendPatched(
    _ patch: UnsafeRawBufferPointer, _ table: Table, _ row: UnsafeRawBufferPointer
  ) -> Int? {
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    staging.builder.begin(RowView(row, table))
    let isPatch = PatchFormat.forEach(patch, table) { plan, part in
      staging.builder.set(plan, nullOffset: table.nullOffset, to: part, input: patch, scratch: nothing)
    }
    return isPatch ? staging.appendBuiltRow(input: patch, kept: row) : nil
  }

  // MARK: Finding

  /// A row as this command sees it.
  struct Found {
    enum Place {
      /// Valid until the next call of the store.
      case tree(UnsafeRawBufferPointer)
      /// In `staging.bytes`: put by this command.
      case staged(Range<Int>)
    }

    var version: Timestamp
    /// Leads to the version before.
    var previous: UInt16
    /// What the entry adds to the state hash.
    var hash: UInt64
    var stored: Place
  }

  func find(_ stateKey: UnsafeRawBufferPointer, _ store: Store) throws(PrepareFailure) -> Found? {
    if let step = staging.step(stateKey) { return staged(step) }
    let value: UnsafeRawBufferPointer?
    do throws(PageMissing) { value = try store.getToWrite(shard, stateKey) } catch { throw .missing(error) }
    guard let value else { return nil }
    return Found(
      version: StoredValue.version(value), previous: StoredValue.previous(value),
      hash: entryHash(key: stateKey, value: value), stored: .tree(value))
  }

  private func staged(_ step: Staging.Step) -> Found? {
    guard let range = step.value, let hash = step.newHash else { return nil }
    return staging.bytes.withBytes {
      let value = $0.part(range.lowerBound, range.count)
      return Found(
        version: StoredValue.version(value), previous: StoredValue.previous(value), hash: hash, stored: .staged(range))
    }
  }
}
