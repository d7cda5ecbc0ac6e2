import Node
import Primitives
import Tables
import Transport

// Headers and parameters: read strictly. What is known and not built is refused as such, what is not known as wrong.

extension Router {
  /// Deadline of a request that names none, and the longest, in milliseconds.
  package static let timeoutDefault: UInt64 = 10_000
  package static let timeoutMax: UInt64 = 120_000

  /// Refuses what no call of this version takes.
  static func checkHeaders(_ head: RequestHead) -> Problem? {
    if let name = head.unknownHeader {
      return Problem(.invalidArgument, "There is no header `\(name.text)`. Leave it out.")
    }
    if let name = head.repeated, isMeaningful(name) {
      return Problem(.invalidArgument, "The header `\(name.name)` came twice. Send it once.")
    }
    if head.route != nil { return notSupported("fs-route") }
    if head.transaction != nil { return notSupported("fs-transaction") }
    if head.idempotencyKey != nil { return notSupported("idempotency-key") }
    if let read = head.read, !read.equals("linearizable") {
      if read.equals("follower") { return notSupported("fs-read: follower") }
      guard snapshot(read) != nil else {
        return Problem(
          .invalidArgument,
          "`fs-read` is `linearizable`, `follower` or `snapshot=N` with the number that an answer's `fs-snapshot` or `etag` "
            + "has, not `\(read.text)`.")
      }
    }
    if head.timeout != nil, timeoutMilliseconds(head) == nil {
      return Problem(.invalidArgument, "`fs-timeout-ms` is a number of milliseconds from 1 to \(timeoutMax).")
    }
    return nil
  }

  private static func isMeaningful(_ name: KnownHeader) -> Bool {
    switch name {
    case .ifMatch, .ifNoneMatch, .fsTimeout, .fsRead, .fsRoute, .fsTransaction, .idempotencyKey, .authorization,
      .contentType:
      true
    default: false
    }
  }

  private static func snapshot(_ read: UnsafeRawBufferPointer) -> Timestamp? {
    guard read.starts(with: "snapshot=" as StaticString), let equals = read.firstIndex(of: UInt8(ascii: "=")),
      let version = Condition.version(etag: UnsafeRawBufferPointer(rebasing: read[(equals + 1)...])),
      version > .zero, version.rawValue < .max
    else { return nil }
    return version
  }

  /// The same read of the past.
  static func atSnapshot(_ read: UnsafeRawBufferPointer, _ route: Route) -> Route {
    guard let snapshot = snapshot(read) else { return route }
    switch route {
    case .operation(let operation) where operation.hasSnapshots: return .operation(.snapshot(snapshot, operation))
    case .stream(let query, let rowsMax, _): return .stream(query, rowsMax: rowsMax, snapshot: snapshot)
    case .refused: return route
    default:
      return .refused(Problem(.invalidArgument, "`fs-read: snapshot` belongs to reads of rows: get, scan and lookup."))
    }
  }

  private static func notSupported(_ header: String) -> Problem {
    Problem(.notSupported, "`\(header)` is not supported by this version. Leave it out.")
  }

  /// The request's deadline; nil when the header is no number in the range.
  package static func timeoutMilliseconds(_ head: RequestHead) -> UInt64? {
    guard let text = head.timeout else { return timeoutDefault }
    guard let value = text.decimal, value >= 1, value <= timeoutMax else { return nil }
    return value
  }

  // MARK: - Conditions

  static func condition(_ head: RequestHead) throws(Problem) -> Condition {
    switch (head.ifMatch, head.ifNoneMatch) {
    case (nil, nil): return .none
    case (.some, .some): throw Problem(.invalidArgument, "Send `if-match` or `if-none-match`, not both.")
    case (.some(let tag), nil): return .ifMatch(try version(tag))
    case (nil, .some(let tag)):
      guard tag.equals("*") else {
        throw Problem(.invalidArgument, "`if-none-match` takes `*` only: the row must not exist.")
      }
      return .ifNoneMatch
    }
  }

  /// A tag that is no number is no row's version: it matches nothing, as version 0 does.
  private static func version(_ tag: UnsafeRawBufferPointer) throws(Problem) -> Timestamp {
    let quote = UInt8(ascii: "\"")
    guard tag.count >= 2, tag[0] == quote, tag[tag.count - 1] == quote else {
      throw Problem(.invalidArgument, "`if-match` takes one etag with its quotes, as an answer's `etag` has it.")
    }
    let inner = UnsafeRawBufferPointer(rebasing: tag[1..<tag.count - 1])
    guard !inner.contains(quote) else {
      throw Problem(.invalidArgument, "`if-match` takes one etag, not a list.")
    }
    guard inner.first != UInt8(ascii: "0"), let value = UInt64(String(decoding: inner, as: UTF8.self)) else {
      return .zero
    }
    return Timestamp(value)
  }

  static func noCondition(_ head: RequestHead) -> Problem? {
    guard head.ifMatch != nil || head.ifNoneMatch != nil else { return nil }
    return Problem(.invalidArgument, "`if-match` and `if-none-match` belong to PUT, PATCH and DELETE of one row.")
  }

  // MARK: - Bodies

  static func noBody(_ head: RequestHead) -> Problem? {
    head.body.count == 0 ? nil : Problem(.invalidArgument, "\(head.method.name) takes no body.")
  }

  /// JSON without a type or with curl's own for `-d` is taken too. A browser's form cannot pass for it: it would
  /// percent-encode the braces.
  static func notJSON(_ head: RequestHead) -> Problem? {
    guard let type = head.contentType else { return nil }
    var end = 0
    while end < type.count, type[end] != UInt8(ascii: ";"), type[end] != UInt8(ascii: " ") { end += 1 }
    let name = UnsafeRawBufferPointer(rebasing: type[..<end])
    let isJSON =
      end == 16 && name.containsIgnoringCase("application/json")
      || end == 33 && name.containsIgnoringCase("application/x-www-form-urlencoded")
    guard !isJSON else { return nil }
    if name.starts(with: "application/grpc") { return Problem(.notSupported, "gRPC is not supported by this version.") }
    return Problem(.unsupportedType, "Send JSON with `content-type: application/json`, not `\(type.text)`.")
  }

  // MARK: - Queries

  static func noQuery(_ target: Target) -> Problem? {
    target.hasQuery ? Problem(.invalidArgument, "This call takes no parameters behind `?`.") : nil
  }

  static func onlyColumns(_ target: Target) throws(Problem) -> [UInt8]? {
    var columns: [UInt8]?
    try eachParameter(target) { (name, value) throws(Problem) in
      guard name.equals("columns") else { throw unknownParameter(name, "columns") }
      columns = Array(value)
    }
    return columns
  }

  static func scanQuery(_ target: Target, table: String) throws(Problem) -> ScanQuery {
    var query = ScanQuery(table: table)
    try eachParameter(target) { (name, value) throws(Problem) in
      if name.equals("start") {
        query.start = Array(value)
      } else if name.equals("end") {
        query.end = Array(value)
      } else if name.equals("prefix") {
        query.prefix = Array(value)
      } else if name.equals("limit") {
        query.limit = Array(value)
      } else if name.equals("order") {
        query.order = Array(value)
      } else if name.equals("columns") {
        query.columns = Array(value)
      } else if name.equals("cursor") {
        query.cursor = Array(value)
      } else {
        throw unknownParameter(name, "start, end, prefix, limit, order, columns and cursor")
      }
    }
    return query
  }

  /// Each parameter once.
  private static func eachParameter(
    _ target: Target, _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) throws(Problem) -> Void
  ) throws(Problem) {
    var problem: Problem?
    var seen: [[UInt8]] = []
    target.forEachParameter { name, value in
      do throws(Problem) {
        let bytes = Array(name)
        guard !seen.contains(bytes) else {
          throw Problem(.invalidArgument, "The parameter `\(name.text)` stands there twice.")
        }
        seen.append(bytes)
        try body(name, value)
        return true
      } catch {
        problem = error
        return false
      }
    }
    if let problem { throw problem }
  }

  private static func unknownParameter(_ name: UnsafeRawBufferPointer, _ known: String) -> Problem {
    Problem(.invalidArgument, "There is no parameter `\(name.text)`; this call takes \(known).")
  }

  /// Rows of a whole stream; nil: all.
  static func streamLimit(_ query: ScanQuery) throws(Problem) -> UInt64? {
    guard let text = query.limit else { return nil }
    guard let rows = text.withUnsafeBytes({ $0.decimal }), rows > 0 else {
      throw Problem(.invalidArgument, "`limit` is a number of rows, at least 1.")
    }
    return rows
  }
}

extension Problem {
  static let badEncoding = Problem(.invalidArgument, "The path or query is not percent-encoded UTF-8.")
}
