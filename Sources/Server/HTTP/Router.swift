import Node
import Primitives
import Tables
import Transport

/// Where a request goes.
package enum Route: Equatable {
  case operation(Operation)
  /// A scan whose rows are streamed as lines, all of them or at most so many.
  case stream(ScanQuery, rowsMax: UInt64?, snapshot: Timestamp? = nil)
  case probe(Probe)
  /// Refused before the node heard of it; `allow` accompanies 405.
  case refused(Problem, allow: String? = nil)
}

/// Paths that need no identity.
package enum Probe: Equatable, Sendable { case alive, ready, metrics }

/// Method, path, query and headers to an operation. Knows the shape of the API and nothing of databases: whether a table
/// exists or a key is well formed is the node's to say.
package enum Router {
  /// What may be asked without an identity; nil for everything else.
  package static func probe(_ target: UnsafeRawBufferPointer) -> Probe? {
    var path = target
    if let mark = target.firstIndex(of: UInt8(ascii: "?")) { path = UnsafeRawBufferPointer(rebasing: target[..<mark]) }
    if path.equals("/healthz") { return .alive }
    if path.equals("/readyz") { return .ready }
    if path.equals("/metrics") { return .metrics }
    return nil
  }

  package static func route(_ head: RequestHead) -> Route {
    if let problem = checkHeaders(head) { return .refused(problem) }
    if let probe = probe(head.target) {
      return head.method == .get || head.method == .head ? .probe(probe) : notAllowed("GET, HEAD")
    }
    let target = Target(head.target)
    guard target.isWellFormed, target.count >= 2, target[0].equals("v1") else { return unknownPath(head) }
    guard let read = head.read, !read.equals("linearizable") else { return place(head, target) }
    return atSnapshot(read, place(head, target))
  }

  private static func place(_ head: RequestHead, _ target: Target) -> Route {
    let collection = target[1]
    if collection.equals("tables") { return tables(head, target) }
    guard target.count == 2 else { return deepPath(head, target) }
    if collection.equals("lookup") { return posted(head, target) { .lookup(body: $0) } }
    if collection.equals("batch") { return posted(head, target) { .batch(body: $0) } }
    if collection.equals("revocations") { return revocation(head, target) }
    if collection.equals("cluster") { return asked(head, target, .clusterStatus) }
    if collection.equals("nodes") { return asked(head, target, .nodesStatus) }
    return isPlanned(collection) ? notBuilt("This path") : unknownPath(head)
  }

  // MARK: - /v1/tables

  private static func tables(_ head: RequestHead, _ target: Target) -> Route {
    switch target.count {
    case 2: return allTables(head, target)
    case 3: return oneTable(head, target)
    case 4 where target[3].equals("rows"): return rows(head, target)
    case 5 where target[3].equals("rows"): return row(head, target)
    case 6... where target[3].equals("rows"):
      return .refused(Problem(.notFound, "A key is one segment of the path: write `/` in a key as %2F."))
    default: return unknownPath(head)
    }
  }

  private static func allTables(_ head: RequestHead, _ target: Target) -> Route {
    switch head.method {
    case .get, .head: return asked(head, target, .listTables)
    case .post: return posted(head, target) { .createTable(body: $0) }
    default: return notAllowed("GET, HEAD, POST")
    }
  }

  private static func oneTable(_ head: RequestHead, _ target: Target) -> Route {
    guard let name = decodedText(target[2]) else { return .refused(.badEncoding) }
    switch head.method {
    case .get, .head: return asked(head, target, .describeTable(name))
    case .delete: return asked(head, target, .dropTable(name))
    case .patch: return notBuilt("Changing a table")
    default: return notAllowed("GET, HEAD, DELETE, PATCH")
    }
  }

  private static func rows(_ head: RequestHead, _ target: Target) -> Route {
    guard head.method == .get || head.method == .head else { return notAllowed("GET, HEAD") }
    guard let name = decodedText(target[2]) else { return .refused(.badEncoding) }
    if let problem = noBody(head) ?? noCondition(head) { return .refused(problem) }
    do throws(Problem) {
      let query = try scanQuery(target, table: name)
      let asksForLines = head.accept?.containsIgnoringCase("application/x-ndjson") ?? false
      return asksForLines ? .stream(query, rowsMax: try streamLimit(query)) : .operation(.scan(query))
    } catch { return .refused(error) }
  }

  private static func row(_ head: RequestHead, _ target: Target) -> Route {
    guard let table = decodedText(target[2]) else { return .refused(.badEncoding) }
    let path = RowPath(table: table, key: Array(target[4]))
    do throws(Problem) {
      switch head.method {
      case .get, .head:
        if let problem = noBody(head) ?? noCondition(head) { return .refused(problem) }
        return .operation(.get(path, columns: try onlyColumns(target)))
      case .put: return try changed(head, target) { .put(path, body: $0, $1) }
      case .patch: return try changed(head, target) { .patch(path, body: $0, $1) }
      case .delete:
        if let problem = noBody(head) ?? noQuery(target) { return .refused(problem) }
        return .operation(.delete(path, try condition(head)))
      default: return notAllowed("GET, HEAD, PUT, PATCH, DELETE")
      }
    } catch { return .refused(error) }
  }

  private static func changed(
    _ head: RequestHead, _ target: Target, _ operation: ([UInt8], Condition) -> Operation
  ) throws(Problem) -> Route {
    if let problem = notJSON(head) ?? noQuery(target) { return .refused(problem) }
    return .operation(operation(Array(head.body), try condition(head)))
  }

  // MARK: - The rest of /v1

  /// Paths of three segments and more that are not about tables.
  private static func deepPath(_ head: RequestHead, _ target: Target) -> Route {
    if target[1].equals("shards"), target.count == 4, target[3].equals("leader") { return leadership(head, target) }
    return isPlanned(target[1]) || target[1].equals("nodes") ? notBuilt("This path") : unknownPath(head)
  }

  /// Parts of the API whose time has not come.
  private static func isPlanned(_ collection: UnsafeRawBufferPointer) -> Bool {
    collection.equals("shards") || collection.equals("jobs") || collection.equals("events")
      || collection.equals("transactions") || collection.equals("sql")
  }

  private static func asked(_ head: RequestHead, _ target: Target, _ operation: Operation) -> Route {
    let isDelete = operation.isWrite
    guard isDelete || head.method == .get || head.method == .head else { return notAllowed("GET, HEAD") }
    if let problem = noBody(head) ?? noQuery(target) ?? noCondition(head) { return .refused(problem) }
    return .operation(operation)
  }

  private static func posted(
    _ head: RequestHead, _ target: Target, _ operation: ([UInt8]) -> Operation
  ) -> Route {
    guard head.method == .post else { return notAllowed("POST") }
    if let problem = notJSON(head) ?? noQuery(target) ?? noCondition(head) { return .refused(problem) }
    return .operation(operation(Array(head.body)))
  }

  private static func revocation(_ head: RequestHead, _ target: Target) -> Route {
    guard head.method == .post else { return notAllowed("POST") }
    if let problem = notJSON(head) ?? noQuery(target) ?? noCondition(head) { return .refused(problem) }
    do throws(Problem) {
      let fields = try FlatObject(head.body, names: ["kind", "serial"])
      let kind: Revocation.Kind
      switch fields["kind"] {
      case "token": kind = .token
      case "certificate": kind = .certificate
      default: throw Problem(.invalidArgument, "`kind` is `token` or `certificate`.")
      }
      guard let serial = fields["serial"], !serial.isEmpty, serial.utf8.count <= 128 else {
        throw Problem(.invalidArgument, "`serial` is the serial of what is revoked, 1 to 128 bytes.")
      }
      return .operation(.revoke(kind: kind, serial: serial))
    } catch { return .refused(error) }
  }

  private static func leadership(_ head: RequestHead, _ target: Target) -> Route {
    guard head.method == .post else { return notAllowed("POST") }
    if let problem = notJSON(head) ?? noQuery(target) ?? noCondition(head) { return .refused(problem) }
    guard let shard = target[2].decimal, shard == 1 else {
      return .refused(Problem(.notFound, "There is no shard `\(target[2].text)`; this version has shard 1 only."))
    }
    do throws(Problem) {
      let fields = try FlatObject(head.body, names: ["to"])
      guard let name = fields["to"], let node = NodeID(name: name) else {
        throw Problem(.invalidArgument, "`to` is the node that shall lead: {\"to\":\"n2\"}.")
      }
      return .operation(.transferLeadership(ShardID(shard), to: node))
    } catch { return .refused(error) }
  }

  private static func unknownPath(_ head: RequestHead) -> Route {
    if head.contentType?.starts(with: "application/grpc") == true { return notBuilt("gRPC") }
    return .refused(Problem(.notFound, "There is no path `\(head.target.text)`. All paths begin with /v1/."))
  }

  private static func notBuilt(_ what: String) -> Route {
    .refused(Problem(.notSupported, "\(what) is not supported by this version."))
  }

  private static func notAllowed(_ methods: String) -> Route {
    .refused(Problem(.methodNotAllowed, "This path takes \(methods)."), allow: methods)
  }
}
