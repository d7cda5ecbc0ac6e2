import Primitives

/// One operation of a batch as the request names it.
struct BatchRequest {
  var kind: OperationKind
  var table: String
  /// Where the key's JSON stands in the request.
  var key: Range<Int>
  var row: Range<Int>?
  var condition: Condition
}

/// Walks over the operations of `{"operations":[…]}`. Keys and rows are passed lightly: they are scanned in full when
/// they are encoded.
struct BatchReader {
  private var first = true
  private var count = 0

  fileprivate enum Member: String, CaseIterable {
    case op
    case table
    case key
    case row
    case ifMatch = "if_match"
    case ifNoneMatch = "if_none_match"

    /// By the name's bytes: no text is made of what nearly every operation has.
    init?(_ name: UnsafeRawBufferPointer) {
      let candidate: Member? =
        switch name.count {
        case 2: .op
        case 3: name[0] == UInt8(ascii: "k") ? .key : .row
        case 5: .table
        case 8: .ifMatch
        case 13: .ifNoneMatch
        default: nil
        }
      guard let candidate, name.elementsEqual(candidate.rawValue.utf8) else { return nil }
      self = candidate
    }
  }

  /// Passes all up to the first operation.
  func open(_ scanner: inout JSONScanner) throws(Refusal) {
    let name: String
    do throws(JSONFault) {
      guard scanner.take(UInt8(ascii: "{")) else { throw scanner.fault(.notObject) }
      name = scanner.text(try scanner.string())
      try scanner.expect(UInt8(ascii: ":"))
    } catch { throw error.refusal }
    guard name == "operations" else {
      throw Refusal(.invalidArgument, "A batch has the one member operations, not \"\(name)\".")
    }
    guard scanner.take(UInt8(ascii: "[")) else { throw scanner.fault(.notArray).refusal }
  }

  /// The next operation; nil behind the last one, which must end the request.
  mutating func next(_ scanner: inout JSONScanner) throws(Refusal) -> BatchRequest? {
    do throws(JSONFault) {
      guard try scanner.another(first: &first, close: UInt8(ascii: "]")) else {
        try scanner.expect(UInt8(ascii: "}"))
        try scanner.expectEnd()
        return nil
      }
    } catch { throw error.refusal }
    defer { count += 1 }
    do throws(Refusal) { return try operation(&scanner) } catch { throw error.of(operation: count) }
  }

  private func operation(_ scanner: inout JSONScanner) throws(Refusal) -> BatchRequest {
    var fields = Fields()
    var first = true
    guard scanner.take(UInt8(ascii: "{")) else {
      throw Refusal(.invalidArgument, "An operation is an object with op, table and key.")
    }
    while let member = try member(&scanner, &first) {
      try take(member, &scanner, &fields)
    }
    return try fields.request()
  }

  private func member(_ scanner: inout JSONScanner, _ first: inout Bool) throws(Refusal) -> Member? {
    let name: JSONString
    do throws(JSONFault) {
      guard try scanner.another(first: &first, close: UInt8(ascii: "}")) else { return nil }
      name = try scanner.string()
      try scanner.expect(UInt8(ascii: ":"))
    } catch { throw error.refusal }
    if !name.hasEscapes, let member = Member(scanner.slice(name)) { return member }
    let text = scanner.text(name)
    guard let member = Member(rawValue: text) else {
      throw Refusal(
        .invalidArgument, "An operation has no member \"\(text)\": use op, table, key, row, if_match and if_none_match."
      )
    }
    return member
  }

  private func take(_ member: Member, _ scanner: inout JSONScanner, _ fields: inout Fields) throws(Refusal) {
    let start = scanner.offset
    let part: Range<Int>
    do throws(JSONFault) { part = try scanner.skipLightly() } catch { throw error.refusal }
    let isNew =
      switch member {
      case .op: fields.op.set(part)
      case .table: fields.table.set(part)
      case .key: fields.key.set(part)
      case .row: fields.row.set(part)
      case .ifMatch: fields.ifMatch.set(part)
      case .ifNoneMatch: fields.ifNoneMatch.set(part)
      }
    guard isNew else { throw JSONFault(kind: .duplicateName, offset: start).refusal }
    switch member {
    case .op, .table, .ifMatch, .ifNoneMatch:
      let bytes = scanner.bytes.part(part.lowerBound, part.count)
      if fields.takePlain(member, bytes) { return }
      try fields.take(member.rawValue, try JSONValue.parse(bytes))
    case .key, .row: break
    }
  }
}

extension Optional {
  /// Sets what was nil; false when it was not.
  fileprivate mutating func set(_ value: Wrapped) -> Bool {
    if self != nil { return false }
    self = value
    return true
  }
}

/// What an operation's members say, before it is known whether they fit together.
private struct Fields {
  var op: Range<Int>?
  var table: Range<Int>?
  var key: Range<Int>?
  var row: Range<Int>?
  var ifMatch: Range<Int>?
  var ifNoneMatch: Range<Int>?

  private var kind: OperationKind?
  private var tableName: String?
  private var version: Timestamp?
  private var mustBeAbsent = false

  /// Takes `op` and `table` where they are strings without escapes; false for all else, which is parsed.
  mutating func takePlain(_ member: BatchReader.Member, _ value: UnsafeRawBufferPointer) -> Bool {
    guard value.count >= 2, value[0] == UInt8(ascii: "\""), !value.contains(UInt8(ascii: "\\")) else { return false }
    let text = value.part(1, value.count - 2)
    switch member {
    case .op:
      kind = Fields.kinds.first { text.elementsEqual($0.name.utf8) }?.kind
      return kind != nil
    case .table:
      tableName = String(decoding: text, as: UTF8.self)
      return true
    default: return false
    }
  }

  private static let kinds: [(name: String, kind: OperationKind)] = [
    ("put", .put), ("patch", .patch), ("delete", .delete), ("check", .check),
  ]

  mutating func take(_ member: String, _ value: JSONValue) throws(Refusal) {
    switch (member, value) {
    case ("op", .string("put")): kind = .put
    case ("op", .string("patch")): kind = .patch
    case ("op", .string("delete")): kind = .delete
    case ("op", .string("check")): kind = .check
    case ("op", _): throw Refusal(.invalidArgument, "op is \"put\", \"patch\", \"delete\" or \"check\".")
    case ("table", .string(let name)): tableName = name
    case ("table", _): throw Refusal(.invalidArgument, "table is the name of a table, as a string.")
    case ("if_match", .string(let etag)):
      version = withText(etag) { Condition.version(etag: $0) }
      if version == nil { throw Refusal(.invalidArgument, "if_match is an etag as an answer gave it.") }
    case ("if_match", _): throw Refusal(.invalidArgument, "if_match is an etag as an answer gave it, as a string.")
    case ("if_none_match", .bool(let value)): mustBeAbsent = value
    default: throw Refusal(.invalidArgument, "if_none_match is true or false.")
    }
  }

  func request() throws(Refusal) -> BatchRequest {
    guard let kind else { throw Refusal(.invalidArgument, "The operation has no op: add it.") }
    guard let tableName else { throw Refusal(.invalidArgument, "The operation has no table: add it.") }
    guard let key else { throw Refusal(.invalidArgument, "The operation has no key: add it.", table: tableName) }
    let needsRow = kind == .put || kind == .patch
    guard needsRow == (row != nil) else {
      throw Refusal(
        .invalidArgument,
        needsRow ? "The operation has no row: add it." : "Only put and patch have a row: leave it out.",
        table: tableName)
    }
    guard version == nil || !mustBeAbsent else {
      throw Refusal(.invalidArgument, "if_match and if_none_match exclude each other: give one.", table: tableName)
    }
    let condition: Condition = mustBeAbsent ? .ifNoneMatch : version.map { .ifMatch($0) } ?? .none
    return BatchRequest(kind: kind, table: tableName, key: key, row: row, condition: condition)
  }
}
