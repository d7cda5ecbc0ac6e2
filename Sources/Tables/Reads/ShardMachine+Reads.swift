import Primitives
import Store

// Reads of the present state, or of a snapshot. A read that misses a page is run again when the page has come; what it has
// printed until then stays. If the shard has changed meanwhile, the page of a scan ends with the rows that are complete and
// shows the moment at which it began; whoever wants more goes on behind them. So a page shows one moment, and a long scan over
// pages that are not in memory does not start from its beginning at every miss, however much is written. A lookup, which has
// no rest, starts again.

/// How far a read has come. Start with a new one; hand the same to every run of the same read.
package struct ReadProgress: Sendable {
  /// Rows that are complete.
  fileprivate var rows = 0
  /// The state key of the last of them (scans).
  fileprivate var last: [UInt8] = []
  /// Where the answer starts in the buffer, and where its complete part ends. Nil before the first run.
  fileprivate var start: Int?
  fileprivate var end = 0
  /// `ShardMachine.changes` at the first run.
  fileprivate var changes: UInt64 = 0
  /// The present at the first run: what the rows show, unless they are read from a snapshot.
  package fileprivate(set) var moment = Timestamp.zero

  package init() {}

  fileprivate mutating func restart(at start: Int, _ changes: UInt64, _ present: Timestamp) {
    self = ReadProgress()
    self.start = start
    self.changes = changes
    moment = present
    end = start
  }

  fileprivate mutating func completed(_ out: [UInt8]) {
    rows += 1
    end = out.count
  }
}

extension ShardMachine {
  /// Answers one read (`ReadWriter`), appending JSON to `out`. When it throws, load the page and call it again with the
  /// same `progress` and with `out` as it was left. When there is no JSON to give, `out` is as before. `present` is the
  /// version of the last command applied. Of a scan, rows of `bytesMax` bytes at most are printed, and one in any case; a
  /// lookup of more finds `.noRoom`.
  package func read(
    _ request: UnsafeRawBufferPointer, present: Timestamp, store: Store, progress: inout ReadProgress,
    bytesMax: Int = TableLimits.pageBytesMax, into out: inout [UInt8]
  ) throws(PageMissing) -> ReadOutcome {
    let view: ReadView
    do throws(DecodeError) { view = try ReadView(request) } catch { return .malformed }
    let start = progress.start ?? out.count
    let isStale = progress.start != nil && view.snapshot == nil && progress.changes != changes
    // Rows of another moment must not stand behind those that are there.
    let endsHere = isStale && view.kind == .scan && progress.rows > 0
    if progress.start == nil || isStale && !endsHere { progress.restart(at: start, changes, present) }
    out.removeLast(out.count - progress.end)
    let room = PageRoom(bytesMax: min(bytesMax, TableLimits.pageBytesMax), endsHere: endsHere)
    let outcome = try answer(view, present, store, room, &progress, &out)
    if !outcome.isSuccess { out.removeLast(out.count - start) }
    return outcome
  }

  private func answer(
    _ view: ReadView, _ present: Timestamp, _ store: Store, _ room: PageRoom, _ progress: inout ReadProgress,
    _ out: inout [UInt8]
  ) throws(PageMissing) -> ReadOutcome {
    if let refusal = refusal(of: view.snapshot, present) { return refusal }
    guard let table = catalog.table(view.table) else { return .tableNotFound }
    guard table.schema == view.schema else { return .schemaChanged }
    guard let read = TableRead(view, table, shard, store) else { return .malformed }
    switch view.kind {
    case .get: return try read.get(&out)
    case .lookup: return try read.lookup(room, &progress, &out)
    case .scan: return try read.scan(room, &progress, &out)
    }
  }
}

extension ShardMachine {
  /// Older versions are there between the horizon and the present.
  private func refusal(of snapshot: Timestamp?, _ present: Timestamp) -> ReadOutcome? {
    guard let snapshot, snapshot != present else { return nil }
    if snapshot > present { return .snapshotInFuture(present: present) }
    let horizon = totals.history.isKept ? totals.history.horizon : present
    return snapshot < horizon ? .snapshotTooOld(horizon: horizon) : nil
  }
}

/// How much of the answer there is room for.
private struct PageRoom {
  let bytesMax: Int
  /// For no more rows than are there.
  let endsHere: Bool
}

/// The head of a read. Valid as long as its bytes.
private struct ReadView {
  var kind: ReadKind
  var table: TableID
  var schema: UInt32
  /// Ids; nil for all.
  var columns: [UInt16]?
  /// Nil for the present.
  var snapshot: Timestamp?
  /// Behind the head.
  var rest: ByteReader

  init(_ bytes: UnsafeRawBufferPointer) throws(DecodeError) {
    var reader = ByteReader(bytes)
    let format: UInt8 = try reader.read()
    guard format == ReadFormat.version, let kind = ReadKind(rawValue: try reader.read()) else {
      throw .invalid("no read of ours")
    }
    self.kind = kind
    table = TableID(try reader.read())
    schema = try reader.read()
    let count: UInt16 = try reader.read()
    if count != ReadFormat.allColumns {
      var ids: [UInt16] = []
      for _ in 0..<count { ids.append(try reader.read()) }
      columns = ids
    }
    let version: UInt64 = try reader.read()
    if version != ReadFormat.present { snapshot = Timestamp(version) }
    rest = reader
  }
}

/// One read of one table.
private struct TableRead {
  let reader: ByteReader
  let table: Table
  let shard: ShardID
  let store: Store
  /// Indexes; nil for all.
  let columns: [Int]?
  let snapshot: Snapshot?

  init?(_ view: ReadView, _ table: Table, _ shard: ShardID, _ store: Store) {
    reader = view.rest
    snapshot = view.snapshot.map { Snapshot(shard: shard, store: store, version: $0) }
    self.table = table
    self.shard = shard
    self.store = store
    guard let ids = view.columns else {
      columns = nil
      return
    }
    var indexes: [Int] = []
    for id in ids {
      guard let index = table.column(id: id) else { return nil }
      indexes.append(index)
    }
    columns = indexes
  }

  func get(_ out: inout [UInt8]) throws(PageMissing) -> ReadOutcome {
    var reader = reader
    guard let key = sized(&reader), reader.isAtEnd, isKey(key) else { return .malformed }
    guard let value = try value(key) else { return .rowNotFound }
    // Mostly enough, so that the answer does not grow step by step.
    out.reserveCapacity(out.count + table.labels.count + key.count + 2 * value.count)
    print(key, value, &out)
    return .row(StoredValue.version(value))
  }

  @inline(__always) private func value(_ key: UnsafeRawBufferPointer) throws(PageMissing) -> UnsafeRawBufferPointer? {
    if let snapshot { return try snapshot.value(key) }
    return try store.get(shard, key)
  }

  func lookup(
    _ room: PageRoom, _ progress: inout ReadProgress, _ out: inout [UInt8]
  ) throws(PageMissing) -> ReadOutcome {
    var reader = reader
    guard let count = number(&reader, UInt16.self) else { return .malformed }
    let start = progress.start ?? 0
    if progress.rows == 0 { append("{\"rows\":[", to: &out) }
    for i in 0..<Int(count) {
      guard let key = sized(&reader), isKey(key) else { return .malformed }
      if i < progress.rows { continue }
      let value = try value(key)
      if i > 0 { out.append(UInt8(ascii: ",")) }
      if let value { print(key, value, &out) } else { append("null", to: &out) }
      if out.count - start > TableLimits.pageBytesMax { return .tooLarge }
      if out.count - start > room.bytesMax { return .noRoom }
      progress.completed(out)
    }
    guard reader.isAtEnd else { return .malformed }
    append("]}", to: &out)
    return .rows(cursor: nil)
  }

  func scan(
    _ room: PageRoom, _ progress: inout ReadProgress, _ out: inout [UInt8]
  ) throws(PageMissing) -> ReadOutcome {
    var reader = reader
    guard let flags = number(&reader, UInt8.self), let limit = number(&reader, UInt32.self),
      let lower = sized(&reader), let upper = sized(&reader), reader.isAtEnd,
      isBound(lower), isBound(upper) || upper.elementsEqual(prefixEnd(StateKey.rowPrefix(table.id))),
      limit >= 1, limit <= TableLimits.scanRowsMax
    else { return .malformed }
    var range = KeyRange(table, isDescending: flags & ReadFormat.descending != 0)
    range.lower = Array(lower)
    range.upper = Array(upper)
    let page = ScanPage(
      table: table, columns: columns, range: range, asLines: flags & ReadFormat.lines != 0, limit: Int(limit),
      bytesMax: room.bytesMax)
    if room.endsHere { return .rows(cursor: page.end(progress, &out)) }
    if let snapshot { return .rows(cursor: try page.fill(try SnapshotCursor(snapshot), &progress, &out)) }
    return .rows(cursor: try page.fill(try store.cursor(shard), &progress, &out))
  }

  private func print(_ key: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer, _ out: inout [UInt8]) {
    table.appendJSON(
      key: key.rest(StateKey.rowPrefixBytes), row: StoredValue.row(value), columns: columns, to: &out)
  }

  private func isBound(_ key: UnsafeRawBufferPointer) -> Bool {
    key.count <= StateKey.bytesMax + 1 && StateKey.hasRowPrefix(key, table.id)
  }

  private func isKey(_ key: UnsafeRawBufferPointer) -> Bool {
    isBound(key) && table.isValidKey(key.rest(StateKey.rowPrefixBytes))
  }

  private func sized(_ reader: inout ByteReader) -> UnsafeRawBufferPointer? {
    do throws(DecodeError) { return try reader.readBytes(Int(try reader.read(UInt16.self))) } catch { return nil }
  }

  private func number<T: FixedWidthInteger>(_ reader: inout ByteReader, _: T.Type) -> T? {
    do throws(DecodeError) { return try reader.read() } catch { return nil }
  }
}

/// One page of a scan.
private struct ScanPage {
  let table: Table
  let columns: [Int]?
  let range: KeyRange
  let asLines: Bool
  let limit: Int
  let bytesMax: Int

  /// Appends rows until the range, the limit or the page's bytes are at their end. Returns where to go on.
  func fill(
    _ cursor: some RowCursor, _ progress: inout ReadProgress, _ out: inout [UInt8]
  ) throws(PageMissing) -> [UInt8]? {
    let start = progress.start ?? 0
    if progress.rows == 0, !asLines { append("{\"rows\":[", to: &out) }
    var isCut = false
    var isOnRow = try seek(cursor, progress)
    while isOnRow, try isInRange(cursor) {
      if progress.rows < limit { try appendRow(cursor, isFirst: progress.rows == 0, &out) }
      if progress.rows == limit || (progress.rows > 0 && out.count - start > bytesMax) {
        out.removeLast(out.count - progress.end)
        isCut = true
        break
      }
      progress.last.removeAll(keepingCapacity: true)
      progress.last.append(contentsOf: try cursor.key())
      progress.completed(out)
      isOnRow = range.isDescending ? try cursor.previous() : try cursor.next()
    }
    if isCut { return end(progress, &out) }
    if !asLines { close(nil, &out) }
    return nil
  }

  /// Ends the page behind the rows that are complete. Returns where to go on.
  func end(_ progress: ReadProgress, _ out: inout [UInt8]) -> [UInt8] {
    let token = ScanCursor(progress.last.withBytes { range.rest(after: $0) }).encoded(table)
    if !asLines { close(token, &out) }
    return token
  }

  private func seek(_ cursor: some RowCursor, _ progress: ReadProgress) throws(PageMissing) -> Bool {
    let rest = progress.rows == 0 ? range : progress.last.withBytes { range.rest(after: $0) }
    if range.isDescending {
      return try rest.upper.withBytes { (key) throws(PageMissing) in try cursor.seek(before: key) }
    }
    return try rest.lower.withBytes { (key) throws(PageMissing) in try cursor.seek(atOrAfter: key) }
  }

  private func isInRange(_ cursor: some RowCursor) throws(PageMissing) -> Bool {
    let key = try cursor.key()
    if range.isDescending { return range.lower.withBytes { key.order($0) >= 0 } }
    return range.upper.withBytes { key.order($0) < 0 }
  }

  private func appendRow(_ cursor: some RowCursor, isFirst: Bool, _ out: inout [UInt8]) throws(PageMissing) {
    let value = try cursor.value()
    let key = try cursor.key()
    if !isFirst, !asLines { out.append(UInt8(ascii: ",")) }
    table.appendJSON(
      key: key.rest(StateKey.rowPrefixBytes), row: StoredValue.row(value), columns: columns, to: &out)
    if asLines { out.append(UInt8(ascii: "\n")) }
  }

  private func close(_ token: [UInt8]?, _ out: inout [UInt8]) {
    out.append(UInt8(ascii: "]"))
    if let token {
      append(",\"cursor\":\"", to: &out)
      out.append(contentsOf: token)
      out.append(UInt8(ascii: "\""))
    }
    out.append(UInt8(ascii: "}"))
  }
}
