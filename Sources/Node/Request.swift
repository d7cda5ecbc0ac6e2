import Primitives
import Tables

// What a client asks and what it gets, free of HTTP: the edge translates both ways, the simulator speaks this directly.

/// The edge's name of a request that waits for its reply. Opaque to the node.
package struct RequestID: Hashable, Sendable {
  package var rawValue: UInt64
  package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A row as a path names it: the table's name and the percent-encoded key, both as they came.
package struct RowPath: Equatable, Sendable {
  package var table: String
  package var key: [UInt8]
  package init(table: String, key: [UInt8]) {
    self.table = table
    self.key = key
  }
}

/// The parameters of a scan as they stand in the URL, still percent-encoded.
package struct ScanQuery: Equatable, Sendable {
  package var table: String
  package var start: [UInt8]?
  package var end: [UInt8]?
  package var prefix: [UInt8]?
  package var limit: [UInt8]?
  package var order: [UInt8]?
  package var columns: [UInt8]?
  package var cursor: [UInt8]?
  /// One row a line instead of an object with an array: what a stream of pages is made of.
  package var lines = false
  package init(table: String) { self.table = table }
}

package enum Operation: Equatable, Sendable {
  /// `columns` as in the URL: names with commas between.
  case get(RowPath, columns: [UInt8]?)
  case put(RowPath, body: [UInt8], Condition)
  case patch(RowPath, body: [UInt8], Condition)
  case delete(RowPath, Condition)
  case scan(ScanQuery)
  case lookup(body: [UInt8])
  /// A get, scan or lookup of the rows as the command with this version left them.
  indirect case snapshot(Timestamp, Operation)
  case batch(body: [UInt8])
  case createTable(body: [UInt8])
  case listTables
  case describeTable(String)
  case dropTable(String)
  /// Tokens and client certificates are revoked by serial (in any spelling).
  case revoke(kind: Revocation.Kind, serial: String)
  /// Hand the shard's leadership to a node.
  case transferLeadership(ShardID, to: NodeID)
  /// `/v1/cluster` and `/v1/nodes`: answered by any node from what the nodes say of themselves.
  case clusterStatus
  case nodesStatus

  /// Writes are never sent twice: after a lost connection their outcome is unknown.
  package var isWrite: Bool {
    switch self {
    case .get, .scan, .lookup, .snapshot, .listTables, .describeTable, .clusterStatus, .nodesStatus: false
    default: true
    }
  }

  /// Asked of the nodes, not of a shard: any node answers, also one that failed or drains.
  package var isAboutNodes: Bool { self == .clusterStatus || self == .nodesStatus }

  var isReadOfRows: Bool { !isWrite && !isAboutNodes }

  /// Whether it can be asked of a snapshot.
  package var hasSnapshots: Bool {
    switch self {
    case .get, .scan, .lookup: true
    default: false
    }
  }

  /// Bytes that the request holds while it waits, for the budget.
  package var byteCount: Int {
    switch self {
    case .get(let path, _), .delete(let path, _): path.key.count + 64
    case .put(let path, let body, _), .patch(let path, let body, _): path.key.count + body.count + 64
    case .lookup(let body), .batch(let body), .createTable(let body): body.count + 64
    case .scan(let query): (query.start?.count ?? 0) + (query.end?.count ?? 0) + (query.cursor?.count ?? 0) + 128
    case .snapshot(_, let read): read.byteCount
    default: 64
    }
  }
}

package struct Request: Equatable, Sendable {
  package var id: RequestID
  package var deadline: Instant
  package var operation: Operation
  package init(id: RequestID, deadline: Instant, operation: Operation) {
    self.id = id
    self.deadline = deadline
    self.operation = operation
  }
}

/// A finished answer. `body` is JSON (or lines of it); headers stand in fields of their own.
package struct Reply: Equatable, Sendable {
  package var status: UInt16
  package var etag: Timestamp?
  package var location: [UInt8]?
  /// Where a scan goes on; only with `lines`, otherwise it stands in the body.
  package var cursor: [UInt8]?
  /// The moment that a scan or a lookup shows: the version of the last command that counted.
  package var snapshot: Timestamp?
  package var body: [UInt8]
  package var problem: Problem?

  package init(status: UInt16, etag: Timestamp? = nil, body: [UInt8] = []) {
    self.status = status
    self.etag = etag
    self.body = body
  }

  package init(_ problem: Problem) {
    status = problem.code.status
    body = []
    etag = problem.currentETag
    self.problem = problem
  }
}
