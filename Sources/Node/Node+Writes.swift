import Primitives
import Raft
import Tables

// Writes on the leader: planned into commands, gathered into one entry a turn, answered when applied.

extension Node {
  /// Makes a write's command and puts it into the turn's batch. What the catalog refuses is refused only when the
  /// catalog is certainly current.
  func plan(_ handle: RequestHandle, _ request: PendingRequest) {
    if replica.raft.isTransferring { return requests.setStage(.waitingForLeader, of: handle) }
    do throws(Refusal) {
      try encode(request.operation)
      append(handle)
    } catch {
      guard replica.canRead(at: now) else { return read(handle) }
      finish(handle, Reply(problem(error, of: request.operation)))
    }
  }

  /// The catalog is current: what it refuses now is refused.
  func planConfirmed(_ handle: RequestHandle, _ request: PendingRequest) {
    do throws(Refusal) {
      try encode(request.operation)
      append(handle)
    } catch {
      finish(handle, Reply(problem(error, of: request.operation)))
    }
  }

  /// Leaves the command in `commands.bytes`.
  private func encode(_ operation: Operation) throws(Refusal) {
    let catalog = replica.machine.catalog
    switch operation {
    case .put(let path, let body, let condition):
      let table = try catalog.find(path.table)
      try withBytes(path.key, body) { (key, body) throws(Refusal) in
        try commands.put(table, path: key, json: body, condition: condition)
      }
    case .patch(let path, let body, let condition):
      let table = try catalog.find(path.table)
      try withBytes(path.key, body) { (key, body) throws(Refusal) in
        try commands.patch(table, path: key, json: body, condition: condition)
      }
    case .delete(let path, let condition):
      let table = try catalog.find(path.table)
      try withBytes(path.key, []) { (key, _) throws(Refusal) in
        try commands.delete(table, path: key, condition: condition)
      }
    case .batch(let body):
      try withBytes(body, []) { (body, _) throws(Refusal) in try commands.batch(json: body, catalog: catalog) }
    default: try encodeCatalogChange(operation, catalog)
    }
  }

  private func encodeCatalogChange(_ operation: Operation, _ catalog: Catalog) throws(Refusal) {
    switch operation {
    case .createTable(let body):
      try withBytes(body, []) { (body, _) throws(Refusal) in
        commands.createTable(try TableDescription.parse(body))
      }
    case .dropTable(let name):
      let table = try catalog.find(name)
      guard !table.id.isSystem else {
        throw Refusal(.forbidden, "Table \(name) belongs to the system and cannot be dropped.", table: name)
      }
      commands.dropTable(table.id)
    case .revoke(let kind, let serial):
      try commands.revoke(Revocation(kind, spelled: serial))
    default: preconditionFailure("only writes are planned")
    }
  }

  private func append(_ handle: RequestHandle) {
    if let problem = wantOfRoom() { return finish(handle, Reply(problem)) }
    guard journal.canAppend else {
      statistics.overloaded += 1
      return finish(handle, Reply(.overloaded))
    }
    if !replica.batch.hasRoom(for: commands.bytes) { proposeBatch() }
    replica.batch.append(commands.bytes)
    replica.batchHandles.append(handle)
    requests.setStage(.batched, of: handle)
  }

  // MARK: - One entry a turn

  /// Appends the batch to the log. Its requests are then `.appended`.
  func proposeBatch() {
    guard !replica.batch.isEmpty else { return }
    let payload = replica.batch.finish()
    let handles = replica.batchHandles
    replica.batchHandles.removeAll(keepingCapacity: true)
    do throws(ProposeRefusal) {
      let proposal = try replica.raft.propose(kind: .command, payload: payload, at: now, into: &raftEffects)
      for case .some(let handle) in handles { requests.setStage(.appended(proposal.index), of: handle) }
      replica.appended.append(AppendedEntry(index: proposal.index, term: proposal.term, handles: handles))
      carryOutRaft()
    } catch {
      notProposed(handles, error)
    }
  }

  private func notProposed(_ handles: [RequestHandle?], _ refusal: ProposeRefusal) {
    let hasOwn = handles.contains { $0 == nil }
    replica.purgeInFlight = replica.purgeInFlight && !hasOwn
    replica.advanceInFlight = replica.advanceInFlight && !hasOwn
    for case .some(let handle) in handles {
      switch refusal {
      case .notLeader, .transferring: requests.setStage(.waitingForLeader, of: handle)
      case .overloaded, .tooLarge, .membershipFixed:
        statistics.overloaded += 1
        finish(handle, Reply(.overloaded))
      }
    }
    if case .notLeader = refusal { routeWaiting() }
  }

  /// Dropped tables are emptied in the background, a bounded step at a time.
  func proposePurge() {
    // Asked at the end of each turn, with nearly always nothing to do: the cheap question first.
    guard let table = replica.machine.catalog.dropped.first else { return }
    guard replica.isLeader, !replica.purgeInFlight, !replica.raft.isTransferring, hasRoomForOwnWork else { return }
    replica.purgeInFlight = true
    commands.purge(table, rows: purgeRows)
    if !replica.batch.hasRoom(for: commands.bytes) { proposeBatch() }
    replica.batch.append(commands.bytes)
    replica.batchHandles.append(nil)
    proposeBatch()
  }

  /// Older versions age by the log: the leader says how much time has passed, and drops what is old a bounded step at a
  /// time. While there is nothing old, nothing is said.
  func proposeAdvance() {
    guard now >= replica.advanceAt, replica.isLeader else { return }
    replica.advanceAt = now + settings.advanceInterval
    guard !replica.raft.isTransferring, !replica.advanceInFlight, hasRoomForOwnWork else { return }
    let elapsed = replica.takeElapsed(now)
    guard isHistoryAging else { return }
    replica.advanceInFlight = true
    commands.advance(elapsed: elapsed, retention: settings.historyRetention.wholeMilliseconds)
    if !replica.batch.hasRoom(for: commands.bytes) { proposeBatch() }
    replica.batch.append(commands.bytes)
    replica.batchHandles.append(nil)
    proposeBatch()
  }

  /// There is something old, or what is kept is not what shall be.
  var isHistoryAging: Bool {
    let history = replica.machine.totals.history
    return history.records > 0 || history.isKept != (settings.historyRetention > .zero)
  }

  /// A command of the node's own was applied.
  func ownApplied(_ outcome: Tables.Reply) {
    guard case .advanced(let isFinished) = outcome else { return replica.purgeInFlight = false }
    replica.advanceInFlight = false
    if !isFinished { replica.advanceAt = now }
  }

  // MARK: - Answers

  /// The command of a request was applied: answers it.
  func commandApplied(_ handle: RequestHandle, _ outcome: Tables.Reply) {
    guard let request = requests[handle] else { return }
    switch outcome {
    case .row(.schemaChanged), .batchFailed(_, .schemaChanged):
      // Nothing was changed, and the catalog now knows better: encode it again.
      requests.setStage(.waitingForLeader, of: handle)
      route(handle)
    default: finish(handle, reply(outcome, to: request.operation))
    }
  }

  private func reply(_ outcome: Tables.Reply, to operation: Operation) -> Reply {
    switch outcome {
    case .row(let row): return reply(row, to: operation)
    case .batch(let rows):
      var reply = Reply(status: 200)
      Tables.Reply.appendResults(rows, to: &reply.body)
      return reply
    case .batchFailed(let position, let row): return reply(row, to: operation, position: position)
    case .tableCreated(let description):
      var reply = Reply(status: 201)
      description.appendJSON(to: &reply.body)
      reply.location = Array("/v1/tables/\(description.name)".utf8)
      return reply
    case .tableDropped, .revoked: return Reply(status: 204)
    case .tableExists:
      return refused(.tableExists, "Choose another name, or drop the table first with DELETE.", operation)
    case .tableNotFound: return refused(.tableNotFound, "The table was dropped meanwhile.", operation)
    case .tooManyTables: return Reply(Problem(.tooLarge, "The limit of tables is reached. Drop one first."))
    case .purged, .advanced, .malformed:
      return Reply(Problem(.internalError, "The command was not understood. Please report this with the request id."))
    }
  }

  private func refused(_ code: ErrorCode, _ detail: String, _ operation: Operation) -> Reply {
    var problem = Problem(code, detail)
    problem.table = operation.table ?? operation.createdTable
    return Reply(problem)
  }

  private func reply(_ row: RowOutcome, to operation: Operation, position: Int? = nil) -> Reply {
    let kind = operation.kind ?? position.flatMap { place($0, in: operation)?.kind }
    if let refusal = row.refusal(table: operation.table, operation: position, kind: kind) {
      var problem = problem(refusal, of: operation)
      if case .conditionFailed(let current) = row { problem.currentETag = current }
      return Reply(problem)
    }
    var reply = Reply(status: UInt16(row.status), etag: row.etag)
    if case .created = row, case .put(let path, _, _) = operation {
      reply.location = Array("/v1/tables/\(path.table)/rows/".utf8) + path.key
    }
    return reply
  }
}

extension Node {
  /// What Tables refused, as the API says it; of a batch with the row that it is about.
  func problem(_ refusal: Refusal, of operation: Operation) -> Problem {
    var problem = Problem(refusal, of: operation)
    guard let position = refusal.operation, let place = place(position, in: operation) else { return problem }
    problem.table = place.table
    problem.key = place.key.map { String(decoding: $0, as: UTF8.self) }
    return problem
  }

  private func place(_ position: Int, in operation: Operation) -> BatchPlace? {
    guard case .batch(let body) = operation else { return nil }
    return body.withBytes { replica.machine.catalog.place(position, inBatch: $0) }
  }
}

extension Revocation {
  /// Tools print serials in either case, and that of a certificate, which is a number, with zeros in front. It is kept, and
  /// looked for, in one spelling.
  init(_ kind: Kind, spelled serial: String) {
    let lower = serial.lowercased()
    let digits = lower.drop { $0 == "0" }
    self.init(kind, kind == .certificate && !digits.isEmpty ? String(digits) : lower)
  }
}

extension Operation {
  /// The table that a row's path names.
  var table: String? {
    switch self {
    case .get(let path, _), .put(let path, _, _), .patch(let path, _, _), .delete(let path, _): path.table
    case .scan(let query): query.table
    case .snapshot(_, let read): read.table
    case .describeTable(let name), .dropTable(let name): name
    default: nil
    }
  }

  /// The name in the description of a table that is to be made.
  var createdTable: String? {
    guard case .createTable(let body) = self else { return nil }
    do throws(Refusal) {
      return try body.withBytes { (body) throws(Refusal) in try TableDescription.parse(body).name }
    } catch { return nil }
  }

  /// What is done to the one row that a path names.
  var kind: OperationKind? {
    switch self {
    case .put: .put
    case .patch: .patch
    case .delete: .delete
    default: nil
    }
  }

  /// The key as the path gave it.
  var keyText: String? {
    switch self {
    case .get(let path, _), .put(let path, _, _), .patch(let path, _, _), .delete(let path, _):
      String(decoding: path.key, as: UTF8.self)
    case .snapshot(_, let read): read.keyText
    default: nil
    }
  }
}

extension Problem {
  /// What Tables refused, as the API says it.
  init(_ refusal: Refusal, of operation: Operation) {
    self.init(ErrorCode(refusal.code), refusal.detail)
    table = refusal.table ?? operation.table
    key = operation.keyText
    self.operation = refusal.operation
  }
}

extension ErrorCode {
  init(_ code: Refusal.Code) {
    switch code {
    case .invalidJSON: self = .invalidJSON
    case .invalidKey: self = .invalidKey
    case .invalidRow: self = .invalidRow
    case .invalidArgument: self = .invalidArgument
    case .unknownColumn: self = .unknownColumn
    case .typeMismatch: self = .typeMismatch
    case .tableNotFound: self = .tableNotFound
    case .rowNotFound: self = .rowNotFound
    case .tooLarge: self = .tooLarge
    case .tableExists: self = .tableExists
    case .conditionFailed: self = .conditionFailed
    case .forbidden: self = .forbidden
    case .notSupported: self = .notSupported
    case .conflict: self = .conflict
    case .internal: self = .internalError
    case .snapshotTooOld: self = .snapshotTooOld
    }
  }
}

/// Two byte strings as pointers, for the time of `body`.
func withBytes<T>(
  _ first: [UInt8], _ second: [UInt8],
  _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(Refusal) -> T
) throws(Refusal) -> T {
  try first.withBytes { first throws(Refusal) in
    try second.withBytes { second throws(Refusal) in try body(first, second) }
  }
}

extension Catalog {
  /// By name as text; see `find` for bytes.
  func find(_ name: String) throws(Refusal) -> Table {
    if let table = table(named: name) { return table }
    return try Array(name.utf8).withBytes { bytes throws(Refusal) in try find(bytes) }
  }
}
