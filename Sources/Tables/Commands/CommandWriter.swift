import Primitives

/// Makes commands from requests. One command at a time stands in `bytes`; keep the writer and use it again.
///
/// Every method starts a new command; when it throws, `bytes` holds no command.
package struct CommandWriter {
  package private(set) var bytes: [UInt8] = []
  private var encoder = RowEncoder()
  /// Of the command in `bytes`: operations on rows, and whether there is one that takes something in.
  private var operations = 0
  package private(set) var takesIn = false

  package init() {}

  // MARK: Room

  /// Pages that the store may ask for to prepare the command. It takes far fewer in the end: a copy of each leaf, and what
  /// its rows fill; but it asks for the worst case, in which each row splits every level of the tree.
  package var pagesMax: Int { 16 + operations * (takesIn ? 8 : 3) + bytes.count / 8192 }
  /// The same of the cluster's own commands, whose rows are neighbours.
  package static let pagesOfOwnMax = 96

  // MARK: One row

  /// `path`: the key's path segment, percent-encoded. `json`: the body.
  package mutating func put(
    _ table: Table, path: UnsafeRawBufferPointer, json: UnsafeRawBufferPointer, condition: Condition = .none
  ) throws(Refusal) {
    try single(.put, table, path, json, condition)
  }

  package mutating func patch(
    _ table: Table, path: UnsafeRawBufferPointer, json: UnsafeRawBufferPointer, condition: Condition = .none
  ) throws(Refusal) {
    try single(.patch, table, path, json, condition)
  }

  package mutating func delete(
    _ table: Table, path: UnsafeRawBufferPointer, condition: Condition = .none
  ) throws(Refusal) {
    try single(.delete, table, path, UnsafeRawBufferPointer(start: nil, count: 0), condition)
  }

  private mutating func single(
    _ kind: OperationKind, _ table: Table, _ path: UnsafeRawBufferPointer, _ json: UnsafeRawBufferPointer,
    _ condition: Condition
  ) throws(Refusal) {
    begin(.operation)
    let key = try operation(kind, table, condition) { (out) throws(Refusal) in try table.appendKey(path: path, to: &out)
    }
    try body(kind, table, json, 0..<json.count, key)
  }

  /// Appends an operation up to its key, which `appendKey` appends; returns where the key stands.
  private mutating func operation(
    _ kind: OperationKind, _ table: Table, _ condition: Condition,
    _ appendKey: (inout [UInt8]) throws(Refusal) -> Void
  ) throws(Refusal) -> Range<Int> {
    guard !table.id.isSystem else {
      throw Refusal(
        .forbidden, "Table \(table.name) belongs to the system and is changed by the cluster only.", table: table.name)
    }
    operations += 1
    if kind == .put || kind == .patch { takesIn = true }
    appendOperation(kind, condition, schema: table.schema, to: &bytes)
    let start = bytes.count
    bytes.appendLittleEndian(UInt16(0))
    StateKey.appendRowPrefix(table.id, to: &bytes)
    try appendKey(&bytes)
    bytes.patch(UInt16(bytes.count - start - 2), at: start)
    return start + 2 + StateKey.rowPrefixBytes..<bytes.count
  }

  private mutating func body(
    _ kind: OperationKind, _ table: Table, _ json: UnsafeRawBufferPointer, _ part: Range<Int>, _ key: Range<Int>
  ) throws(Refusal) {
    let start = bytes.count
    bytes.appendLittleEndian(UInt32(0))
    switch kind {
    case .put: try encoder.appendRow(table, json: json, part: part, key: key, to: &bytes)
    case .patch: try encoder.appendPatch(table, json: json, part: part, key: key, to: &bytes)
    case .delete, .check: break
    }
    bytes.patch(UInt32(bytes.count - start - 4), at: start)
  }

  // MARK: Batches

  /// The body of `POST /v1/batch`: `{"operations":[…]}`. A refusal names the operation.
  package mutating func batch(json: UnsafeRawBufferPointer, catalog: Catalog) throws(Refusal) {
    begin(.batch)
    let countOffset = bytes.count
    bytes.appendLittleEndian(UInt16(0))
    var scanner = JSONScanner(json)
    var reader = BatchReader()
    try reader.open(&scanner)
    var count = 0
    var table: Table?
    while let request = try reader.next(&scanner) {
      guard count < TableLimits.batchOperationsMax else {
        throw Refusal(
          .tooLarge, "A batch has at most \(TableLimits.batchOperationsMax) operations: split it.",
          limit: TableLimits.batchOperationsMax)
      }
      do throws(Refusal) {
        table = try append(request, json, catalog, last: table)
      } catch { throw error.of(operation: count) }
      guard bytes.count <= TableLimits.batchBytesMax else {
        throw Refusal(
          .tooLarge, "The batch is over \(TableLimits.batchBytesMax) bytes when encoded: split it.", operation: count,
          limit: TableLimits.batchBytesMax)
      }
      count += 1
    }
    guard count > 0 else { throw Refusal(.invalidArgument, "The batch has no operations: give at least one.") }
    bytes.patch(UInt16(count), at: countOffset)
  }

  /// Returns the operation's table: mostly that of the next one, too.
  private mutating func append(
    _ request: BatchRequest, _ json: UnsafeRawBufferPointer, _ catalog: Catalog, last: Table?
  ) throws(Refusal) -> Table {
    let table: Table
    if let last, last.name == request.table {
      table = last
    } else {
      table = try withText(request.table) { (name) throws(Refusal) in try catalog.find(name) }
    }
    var scanner = JSONScanner(json, from: request.key.lowerBound, count: request.key.count)
    let key = try operation(request.kind, table, request.condition) { (out) throws(Refusal) in
      try table.appendKey(&scanner, to: &out)
      do throws(JSONFault) { try scanner.expectEnd() } catch { throw error.refusal.of(table: table.name) }
    }
    try body(request.kind, table, json, request.row ?? 0..<0, key)
    return table
  }

  // MARK: The catalog

  package mutating func createTable(_ description: TableDescription) {
    begin(.createTable)
    bytes.append(contentsOf: description.encoded())
  }

  package mutating func dropTable(_ id: TableID) {
    begin(.dropTable)
    bytes.appendLittleEndian(id.rawValue)
  }

  /// Removes up to `rows` rows of a dropped table; to be repeated until the reply says that none is left.
  package mutating func purge(_ id: TableID, rows: Int = TableLimits.purgeRowsMax) {
    precondition(rows > 0 && rows <= TableLimits.purgeRowsMax, "a purge within its limit")
    begin(.purge)
    bytes.appendLittleEndian(id.rawValue)
    bytes.appendLittleEndian(UInt16(rows))
  }

  /// `expires`: when the token or certificate ends anyway.
  package mutating func revoke(_ revocation: Revocation, expires: Moment? = nil) throws(Refusal) {
    let serial = Array(revocation.serial.utf8)
    guard !serial.isEmpty, serial.count <= TableLimits.serialBytesMax else {
      throw Refusal(
        .invalidArgument, "A serial has 1 to \(TableLimits.serialBytesMax) bytes.", limit: TableLimits.serialBytesMax)
    }
    begin(.revoke)
    bytes.append(revocation.kind.rawValue)
    bytes.appendLittleEndian(expires?.microseconds ?? Int64.min)
    var writer = ByteWriter()
    writer.writeSized(serial)
    bytes.append(contentsOf: writer.bytes)
  }

  /// Moves the shard's clock on, and drops older versions that are older than `retention`, a bounded step at a time: to be
  /// repeated while the reply says that more is due. Both in milliseconds.
  package mutating func advance(elapsed: UInt32, retention: UInt32) {
    begin(.advance)
    bytes.appendLittleEndian(elapsed)
    bytes.appendLittleEndian(retention)
  }

  private mutating func begin(_ kind: CommandKind) {
    bytes.removeAll(keepingCapacity: true)
    bytes.append(CommandFormat.version)
    bytes.append(kind.rawValue)
    operations = 0
    takesIn = kind == .createTable
  }
}
