import Primitives
import Store
import Tables

// Reads, performed on the applied state.

extension Node {
  /// The answer to a read, from the state as it is now. After a miss hand in the same `partial` again.
  func perform(_ operation: Operation, _ partial: inout PartialRead) throws(PageMissing) -> Reply {
    do throws(Refusal) {
      switch operation {
      case .listTables:
        var reply = Reply(status: 200)
        replica.machine.catalog.appendJSON(to: &reply.body)
        return reply
      case .describeTable(let name):
        var reply = Reply(status: 200)
        try replica.machine.catalog.find(name).description.appendJSON(to: &reply.body)
        return reply
      case .snapshot(let version, let read):
        reads.snapshot = version
        defer { reads.snapshot = nil }
        try encodeRead(read)
      default: try encodeRead(operation)
      }
    } catch {
      return Reply(Problem(error, of: operation))
    }
    return try performEncoded(operation, &partial)
  }

  /// Leaves the read in `reads.bytes`.
  private func encodeRead(_ operation: Operation) throws(Refusal) {
    let catalog = replica.machine.catalog
    switch operation {
    case .get(let path, let columns):
      let table = try catalog.find(path.table)
      try withBytes(path.key, columns ?? []) { (key, text) throws(Refusal) in
        try reads.get(table, path: key, columns: columns == nil ? nil : text)
      }
    case .lookup(let body):
      try withBytes(body, []) { (body, _) throws(Refusal) in try reads.lookup(json: body, catalog: catalog) }
    case .scan(let query): try encodeScan(query, try catalog.find(query.table))
    default: preconditionFailure("only reads are performed")
    }
  }

  private func encodeScan(_ query: ScanQuery, _ table: Table) throws(Refusal) {
    var joined: [UInt8] = []
    let texts = [query.start, query.end, query.prefix, query.limit, query.order, query.columns, query.cursor]
    let ranges = texts.map { text -> Range<Int>? in
      guard let text else { return nil }
      joined.append(contentsOf: text)
      return joined.count - text.count..<joined.count
    }
    try withBytes(joined, []) { (bytes, _) throws(Refusal) in
      func part(_ index: Int) -> UnsafeRawBufferPointer? {
        ranges[index].map { UnsafeRawBufferPointer(rebasing: bytes[$0]) }
      }
      var parameters = ScanParameters()
      parameters.start = part(0)
      parameters.end = part(1)
      parameters.prefix = part(2)
      parameters.limit = part(3)
      parameters.order = part(4)
      parameters.columns = part(5)
      parameters.cursor = part(6)
      parameters.asLines = query.lines
      try reads.scan(table, parameters)
    }
  }

  /// Bytes that there is memory for, beside the answers of this turn and what is printed of others.
  private var answerRoom: Int { settings.limits.answerBytesMax - answerBytes - requests.partialBytes }

  private static let shortPageBytes = 64 << 10

  private func noRoomForAnswers() -> Reply {
    statistics.overloaded += 1
    return Reply(.overloaded)
  }

  private func performEncoded(
    _ operation: Operation, _ partial: inout PartialRead
  ) throws(PageMissing) -> Reply {
    let present = replica.presentVersion
    // A page of a scan can always be a short one.
    let room = operation.isScan ? max(answerRoom, Self.shortPageBytes) : answerRoom
    guard room > 0 else { return noRoomForAnswers() }
    let outcome = try reads.bytes.withBytes { raw throws(PageMissing) in
      try replica.machine.read(
        raw, present: present, store: store, progress: &partial.progress,
        bytesMax: operation.isStreamed ? min(room, settings.limits.streamPageBytes) : room, into: &partial.body)
    }
    if outcome == .noRoom { return noRoomForAnswers() }
    var reply = Reply(status: 200, body: partial.body)
    if let refusal = outcome.refusal(table: operation.table) { return Reply(Problem(refusal, of: operation)) }
    switch outcome {
    case .row(let version): reply.etag = version
    case .rows(let cursor):
      reply.cursor = cursor
      if case .snapshot(let version, _) = operation {
        reply.snapshot = version
      } else {
        reply.snapshot = partial.progress.moment
      }
    default: break
    }
    return reply
  }
}

extension Operation {
  fileprivate var isScan: Bool {
    switch self {
    case .scan: true
    case .snapshot(_, let read): read.isScan
    default: false
    }
  }

  /// One page of a stream of rows.
  fileprivate var isStreamed: Bool {
    switch self {
    case .scan(let query): query.lines
    case .snapshot(_, let read): read.isStreamed
    default: false
    }
  }
}

/// What a read has printed before it missed a page.
struct PartialRead {
  var progress = ReadProgress()
  var body: [UInt8] = []
}
