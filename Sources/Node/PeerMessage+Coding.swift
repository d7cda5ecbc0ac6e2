import Primitives
import Raft
import Tables

// Layout (Docs/Formats.md, "Peer messages"): kind u8, length u32, body. Inside bodies: varints for numbers that are
// usually small, fixed width for times and hashes, a varint length before every byte string.

enum PeerLimits {
  static let textBytesMax = 64 << 10
  static let bodyBytesMax = 17 << 20
  static let entryBytesMax = 2 << 20
  static let entriesMax = 1 << 16
  /// Versions hold 44 bits of an index; a million are left for what follows it in a message.
  static let indexMax: UInt64 = 1 << 44 - 1 << 20
  /// Each election raises the term by one; a million are left for those that follow.
  static let termMax: UInt64 = 1 << 48 - 1 << 20
  static let operationsMax: UInt64 = 1 << 20
}

private enum Kind: UInt8 {
  case raft = 1
  case forward, forwardReply, statusRequest, statusReply
}

extension PeerMessage {
  /// Appends this message to a payload.
  package func encode(into writer: inout ByteWriter) {
    writer.write(kind.rawValue)
    let lengthAt = writer.count
    writer.write(UInt32(0))
    switch self {
    case .raft(let message): message.encode(into: &writer)
    case .forward(let id, let remaining, let operation):
      writer.write(id)
      writer.write(remaining.rawValue)
      operation.encode(into: &writer)
    case .forwardReply(let id, let outcome):
      writer.write(id)
      outcome.encode(into: &writer)
    case .statusRequest(let id): writer.write(id)
    case .statusReply(let id, let status):
      writer.write(id)
      status.encode(into: &writer)
    }
    writer.patch(UInt32(writer.count - lengthAt - 4), at: lengthAt)
  }

  private var kind: Kind {
    switch self {
    case .raft: .raft
    case .forward: .forward
    case .forwardReply: .forwardReply
    case .statusRequest: .statusRequest
    case .statusReply: .statusReply
    }
  }

  /// Taking it again does no harm.
  var mayRepeat: Bool {
    if case .forward = self { return false }
    return true
  }

  /// All messages of a payload behind its envelope. Kinds that this version does not know are skipped.
  package static func decodeAll(_ payload: [UInt8], from start: Int = 0) throws(DecodeError) -> [PeerMessage] {
    guard start <= payload.count else { throw .truncated }
    return try payload.withBytes { raw throws(DecodeError) in
      var reader = ByteReader(raw, offset: start)
      var messages: [PeerMessage] = []
      while !reader.isAtEnd {
        let kind = Kind(rawValue: try reader.read())
        let length: UInt32 = try reader.read()
        var body = ByteReader(try reader.readBytes(Int(length)))
        guard let kind else { continue }
        messages.append(try decodeBody(kind, &body))
        if !body.isAtEnd { throw .invalid("a peer message with bytes behind its end") }
      }
      return messages
    }
  }

  private static func decodeBody(_ kind: Kind, _ body: inout ByteReader) throws(DecodeError) -> PeerMessage {
    switch kind {
    case .raft: return .raft(try RaftMessage(from: &body))
    case .forward:
      let id: UInt64 = try body.read()
      let remaining = Nanoseconds(try body.read())
      return .forward(id: id, remaining: remaining, try Operation(from: &body))
    case .forwardReply:
      let id: UInt64 = try body.read()
      return .forwardReply(id: id, try ForwardOutcome(from: &body))
    case .statusRequest: return .statusRequest(id: try body.read())
    case .statusReply:
      let id: UInt64 = try body.read()
      return .statusReply(id: id, try NodeStatus(from: &body))
    }
  }
}

extension ByteWriter {
  mutating func write(_ member: Member) {
    writeVarint(UInt64(member.node.rawValue))
    write(member.incarnation.rawValue)
  }
  mutating func write(_ flag: Bool) { write(UInt8(flag ? 1 : 0)) }
  mutating func writeOptional(_ text: String?) {
    write(text != nil)
    if let text { writeSized(text) }
  }
  mutating func writeOptional(_ bytes: [UInt8]?) {
    write(bytes != nil)
    if let bytes { writeSized(bytes) }
  }
  mutating func write(_ texts: [String]) {
    writeVarint(UInt64(texts.count))
    for text in texts { writeSized(text) }
  }
}

extension ByteReader {
  mutating func readMember() throws(DecodeError) -> Member {
    let node = try readVarint()
    guard node <= UInt64(UInt32.max) else { throw .invalid("a node id over 32 bits") }
    return Member(node: NodeID(UInt32(node)), incarnation: Incarnation(try read()))
  }
  mutating func readFlag() throws(DecodeError) -> Bool {
    let value: UInt8 = try read()
    guard value <= 1 else { throw .invalid("a flag that is neither 0 nor 1") }
    return value == 1
  }
  mutating func readOwned(limit: Int) throws(DecodeError) -> [UInt8] { [UInt8](try readSized(limit: limit)) }
  mutating func readOptionalText() throws(DecodeError) -> String? {
    try readFlag() ? try readText(limit: PeerLimits.textBytesMax) : nil
  }
  mutating func readOptionalBytes() throws(DecodeError) -> [UInt8]? {
    try readFlag() ? try readOwned(limit: PeerLimits.textBytesMax) : nil
  }
  mutating func readTexts() throws(DecodeError) -> [String] {
    let count = try readVarint()
    guard count <= 1000 else { throw .invalid("more texts than a message holds") }
    var texts: [String] = []
    for _ in 0..<count { texts.append(try readText(limit: PeerLimits.textBytesMax)) }
    return texts
  }
  mutating func readIndex() throws(DecodeError) -> LogIndex {
    let index = try readVarint()
    guard index <= PeerLimits.indexMax else { throw .invalid("an index beyond every log") }
    return LogIndex(index)
  }
  mutating func readTerm() throws(DecodeError) -> Term {
    let term = try readVarint()
    guard term <= PeerLimits.termMax else { throw .invalid("a term beyond every election") }
    return Term(term)
  }
}

extension Operation {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .get(let path, let columns):
      writer.write(UInt8(1))
      path.encode(into: &writer)
      writer.writeOptional(columns)
    case .put(let path, let body, let condition):
      writer.write(UInt8(2))
      path.encode(into: &writer)
      writer.writeSized(body)
      condition.encode(into: &writer)
    case .patch(let path, let body, let condition):
      writer.write(UInt8(3))
      path.encode(into: &writer)
      writer.writeSized(body)
      condition.encode(into: &writer)
    case .delete(let path, let condition):
      writer.write(UInt8(4))
      path.encode(into: &writer)
      condition.encode(into: &writer)
    case .scan(let query):
      writer.write(UInt8(5))
      query.encode(into: &writer)
    case .lookup(let body):
      writer.write(UInt8(6))
      writer.writeSized(body)
    case .batch(let body):
      writer.write(UInt8(7))
      writer.writeSized(body)
    case .createTable(let body):
      writer.write(UInt8(8))
      writer.writeSized(body)
    case .listTables: writer.write(UInt8(9))
    case .describeTable(let name):
      writer.write(UInt8(10))
      writer.writeSized(name)
    case .dropTable(let name):
      writer.write(UInt8(11))
      writer.writeSized(name)
    case .revoke(let kind, let serial):
      writer.write(UInt8(12))
      writer.write(kind.rawValue)
      writer.writeSized(serial)
    case .transferLeadership(let shard, let node):
      writer.write(UInt8(13))
      writer.writeVarint(shard.rawValue)
      writer.writeVarint(UInt64(node.rawValue))
    case .snapshot(let version, let read):
      writer.write(UInt8(14))
      writer.write(version.rawValue)
      read.encode(into: &writer)
    case .clusterStatus, .nodesStatus: preconditionFailure("every node answers these itself")
    }
  }

  init(from reader: inout ByteReader, isOfSnapshot: Bool = false) throws(DecodeError) {
    let kind: UInt8 = try reader.read()
    switch kind {
    case 1: self = .get(try RowPath(from: &reader), columns: try reader.readOptionalBytes())
    case 2:
      let path = try RowPath(from: &reader)
      let body = try reader.readOwned(limit: PeerLimits.bodyBytesMax)
      self = .put(path, body: body, try Condition(from: &reader))
    case 3:
      let path = try RowPath(from: &reader)
      let body = try reader.readOwned(limit: PeerLimits.bodyBytesMax)
      self = .patch(path, body: body, try Condition(from: &reader))
    case 4: self = .delete(try RowPath(from: &reader), try Condition(from: &reader))
    case 5: self = .scan(try ScanQuery(from: &reader))
    case 6: self = .lookup(body: try reader.readOwned(limit: PeerLimits.bodyBytesMax))
    case 7: self = .batch(body: try reader.readOwned(limit: PeerLimits.bodyBytesMax))
    case 8: self = .createTable(body: try reader.readOwned(limit: PeerLimits.bodyBytesMax))
    case 9: self = .listTables
    case 10: self = .describeTable(try reader.readText(limit: PeerLimits.textBytesMax))
    case 11: self = .dropTable(try reader.readText(limit: PeerLimits.textBytesMax))
    case 12:
      guard let kind = Revocation.Kind(rawValue: try reader.read()) else { throw .invalid("an unknown kind of serial") }
      self = .revoke(kind: kind, serial: try reader.readText(limit: PeerLimits.textBytesMax))
    case 13:
      let shard = ShardID(try reader.readVarint())
      let node = try reader.readVarint()
      guard node <= UInt64(UInt32.max) else { throw .invalid("a node id over 32 bits") }
      self = .transferLeadership(shard, to: NodeID(UInt32(node)))
    case 14:
      // A snapshot of a snapshot would nest as deep as a message is long.
      guard !isOfSnapshot else { throw .invalid("a snapshot of a snapshot") }
      let version = Timestamp(try reader.read())
      let read = try Operation(from: &reader, isOfSnapshot: true)
      guard read.hasSnapshots else { throw .invalid("a snapshot of what has none") }
      self = .snapshot(version, read)
    default: throw .invalid("an unknown operation")
    }
  }
}

extension RowPath {
  func encode(into writer: inout ByteWriter) {
    writer.writeSized(table)
    writer.writeSized(key)
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    table = try reader.readText(limit: PeerLimits.textBytesMax)
    key = try reader.readOwned(limit: PeerLimits.textBytesMax)
  }
}

extension Condition {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .none: writer.write(UInt8(0))
    case .ifMatch(let version):
      writer.write(UInt8(1))
      writer.write(version.rawValue)
    case .ifNoneMatch: writer.write(UInt8(2))
    }
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    let kind: UInt8 = try reader.read()
    switch kind {
    case 0: self = .none
    case 1: self = .ifMatch(Timestamp(try reader.read()))
    case 2: self = .ifNoneMatch
    default: throw .invalid("an unknown condition")
    }
  }
}

extension ScanQuery {
  func encode(into writer: inout ByteWriter) {
    writer.writeSized(table)
    for part in [start, end, prefix, limit, order, columns, cursor] { writer.writeOptional(part) }
    writer.write(lines)
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    self.init(table: try reader.readText(limit: PeerLimits.textBytesMax))
    start = try reader.readOptionalBytes()
    end = try reader.readOptionalBytes()
    prefix = try reader.readOptionalBytes()
    limit = try reader.readOptionalBytes()
    order = try reader.readOptionalBytes()
    columns = try reader.readOptionalBytes()
    cursor = try reader.readOptionalBytes()
    lines = try reader.readFlag()
  }
}

extension ForwardOutcome {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .answered(let reply):
      writer.write(UInt8(1))
      reply.encode(into: &writer)
    case .notLeader(let leader):
      writer.write(UInt8(2))
      writer.writeVarint(UInt64(leader?.rawValue ?? 0))
    }
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    let kind: UInt8 = try reader.read()
    switch kind {
    case 1: self = .answered(try Reply(from: &reader))
    case 2:
      let node = try reader.readVarint()
      guard node <= UInt64(UInt32.max) else { throw .invalid("a node id over 32 bits") }
      self = .notLeader(node == 0 ? nil : NodeID(UInt32(node)))
    default: throw .invalid("an unknown outcome")
    }
  }
}

extension Reply {
  func encode(into writer: inout ByteWriter) {
    writer.write(status)
    writer.write(etag?.rawValue ?? 0)
    writer.writeOptional(location)
    writer.writeOptional(cursor)
    writer.write(snapshot?.rawValue ?? 0)
    writer.writeSized(body)
    writer.write(problem != nil)
    problem?.encode(into: &writer)
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    let status: UInt16 = try reader.read()
    let etag: UInt64 = try reader.read()
    self.init(status: status, etag: etag == 0 ? nil : Timestamp(etag))
    location = try reader.readOptionalBytes()
    cursor = try reader.readOptionalBytes()
    let moment: UInt64 = try reader.read()
    snapshot = moment == 0 ? nil : Timestamp(moment)
    body = try reader.readOwned(limit: PeerLimits.bodyBytesMax)
    problem = try reader.readFlag() ? try Problem(from: &reader) : nil
  }
}

extension Problem {
  func encode(into writer: inout ByteWriter) {
    writer.write(code.rawValue)
    writer.write(retry.rawValue)
    writer.writeSized(detail)
    writer.writeOptional(leader)
    writer.writeOptional(table)
    writer.writeOptional(key)
    writer.writeVarint(operation.map { UInt64($0) + 1 } ?? 0)
    writer.write(currentETag?.rawValue ?? 0)
    writer.write(retryAfterSeconds ?? 0)
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    guard let code = ErrorCode(rawValue: try reader.read()), let retry = Retry(rawValue: try reader.read()) else {
      throw .invalid("an unknown error code")
    }
    self.init(code, try reader.readText(limit: PeerLimits.textBytesMax), retry: retry)
    leader = try reader.readOptionalText()
    table = try reader.readOptionalText()
    key = try reader.readOptionalText()
    let position = try reader.readVarint()
    guard position <= PeerLimits.operationsMax else { throw .invalid("a position beyond every batch") }
    operation = position == 0 ? nil : Int(position - 1)
    let version: UInt64 = try reader.read()
    currentETag = version == 0 ? nil : Timestamp(version)
    let seconds: UInt32 = try reader.read()
    retryAfterSeconds = seconds == 0 ? nil : seconds
  }
}

extension NodeStatus {
  func encode(into writer: inout ByteWriter) {
    writer.writeVarint(UInt64(node.rawValue))
    writer.writeSized(version)
    writer.writeSized(state)
    writer.write(limits)
    writer.writeVarint(UInt64(replicas.count))
    for replica in replicas { replica.encode(into: &writer) }
    for bytes in [disk.data, disk.garbage, disk.free, disk.log, disk.limit] { writer.writeVarint(bytes) }
    scrub.encode(into: &writer)
    for bytes in [memory.resident, memory.budget] { writer.writeVarint(bytes) }
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    let node = NodeID(UInt32(truncatingIfNeeded: try reader.readVarint()))
    let version = try reader.readText(limit: PeerLimits.textBytesMax)
    let state = try reader.readText(limit: PeerLimits.textBytesMax)
    let limits = try reader.readTexts()
    self.init(node: node, version: version, state: state, limits: limits, replicas: [])
    let count = try reader.readVarint()
    guard count <= 1 << 16 else { throw .invalid("more replicas than a node has") }
    for _ in 0..<count { replicas.append(try ReplicaStatus(from: &reader)) }
    disk.data = try reader.readVarint()
    disk.garbage = try reader.readVarint()
    disk.free = try reader.readVarint()
    disk.log = try reader.readVarint()
    disk.limit = try reader.readVarint()
    scrub = try ScrubStatus(from: &reader)
    memory.resident = try reader.readVarint()
    memory.budget = try reader.readVarint()
  }
}

extension ScrubStatus {
  func encode(into writer: inout ByteWriter) {
    writer.write(state.rawValue)
    for number in [percent, passes, damage, rewritten] { writer.writeVarint(number) }
    writer.write(finishedBefore != nil)
    if let finishedBefore { writer.writeVarint(finishedBefore.rawValue) }
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    self.init()
    guard let state = State(rawValue: try reader.read()) else { throw .invalid("an unknown state of scrubbing") }
    self.state = state
    percent = try reader.readVarint()
    passes = try reader.readVarint()
    damage = try reader.readVarint()
    rewritten = try reader.readVarint()
    finishedBefore = try reader.readFlag() ? Nanoseconds(try reader.readVarint()) : nil
  }
}

extension ReplicaStatus {
  func encode(into writer: inout ByteWriter) {
    writer.writeVarint(shard.rawValue)
    writer.writeSized(role)
    writer.writeVarint(term.rawValue)
    writer.writeVarint(UInt64(leader?.rawValue ?? 0))
    for index in [commitIndex, appliedIndex, lastIndex, heldByAll] { writer.writeVarint(index.rawValue) }
    writer.write(stateHash != nil)
    if let stateHash { writer.write(stateHash) }
    for number in [rows, logBytes, logBytesMax] { writer.writeVarint(number) }
  }
  init(from reader: inout ByteReader) throws(DecodeError) {
    shard = ShardID(try reader.readVarint())
    role = try reader.readText(limit: PeerLimits.textBytesMax)
    term = Term(try reader.readVarint())
    let node = UInt32(truncatingIfNeeded: try reader.readVarint())
    leader = node == 0 ? nil : NodeID(node)
    commitIndex = try reader.readIndex()
    appliedIndex = try reader.readIndex()
    lastIndex = try reader.readIndex()
    heldByAll = try reader.readIndex()
    stateHash = try reader.readFlag() ? try reader.read() : nil
    rows = try reader.readVarint()
    logBytes = try reader.readVarint()
    logBytesMax = try reader.readVarint()
  }
}
