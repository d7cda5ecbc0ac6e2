import Primitives

/// Every error code of the API, with its status and what a client may do about it. Codes are stable: they stand in
/// `urn:filestore:<code>` and in clients.
package enum ErrorCode: UInt8, CaseIterable, Sendable {
  case invalidJSON = 1
  case invalidKey, invalidRow, invalidArgument, unknownColumn, typeMismatch
  case unauthenticated, forbidden
  case notFound, tableNotFound, rowNotFound, nodeNotFound
  case methodNotAllowed, tooLarge, unsupportedType
  case tableExists, conflict
  case conditionFailed
  case wrongNode
  case overloaded
  case internalError
  case notSupported
  case noQuorum, notReady, diskFull, draining, outcomeUnknown
  case deadlineExceeded
  case snapshotTooOld

  package var name: String {
    switch self {
    case .invalidJSON: "invalid-json"
    case .invalidKey: "invalid-key"
    case .invalidRow: "invalid-row"
    case .invalidArgument: "invalid-argument"
    case .unknownColumn: "unknown-column"
    case .typeMismatch: "type-mismatch"
    case .unauthenticated: "unauthenticated"
    case .forbidden: "forbidden"
    case .notFound: "not-found"
    case .tableNotFound: "table-not-found"
    case .rowNotFound: "row-not-found"
    case .nodeNotFound: "node-not-found"
    case .methodNotAllowed: "method-not-allowed"
    case .tooLarge: "too-large"
    case .unsupportedType: "unsupported-type"
    case .tableExists: "table-exists"
    case .conflict: "conflict"
    case .conditionFailed: "condition-failed"
    case .wrongNode: "wrong-node"
    case .overloaded: "overloaded"
    case .internalError: "internal"
    case .notSupported: "not-supported"
    case .noQuorum: "no-quorum"
    case .notReady: "not-ready"
    case .diskFull: "disk-full"
    case .draining: "draining"
    case .outcomeUnknown: "outcome-unknown"
    case .deadlineExceeded: "deadline-exceeded"
    case .snapshotTooOld: "snapshot-too-old"
    }
  }

  /// The HTTP status that carries this code.
  package var status: UInt16 {
    switch self {
    case .invalidJSON, .invalidKey, .invalidRow, .invalidArgument, .unknownColumn, .typeMismatch: 400
    case .unauthenticated: 401
    case .forbidden: 403
    case .notFound, .tableNotFound, .rowNotFound, .nodeNotFound: 404
    case .methodNotAllowed: 405
    case .tableExists, .conflict: 409
    case .snapshotTooOld: 410
    case .conditionFailed: 412
    case .tooLarge: 413
    case .unsupportedType: 415
    case .wrongNode: 421
    case .overloaded: 429
    case .internalError: 500
    case .notSupported: 501
    case .noQuorum, .notReady, .diskFull, .draining, .outcomeUnknown: 503
    case .deadlineExceeded: 504
    }
  }

  package var title: String {
    switch self {
    case .invalidJSON: "The body is not valid JSON"
    case .invalidKey: "The key is not valid"
    case .invalidRow: "The row is not valid"
    case .invalidArgument: "An argument is not valid"
    case .unknownColumn: "The table has no such column"
    case .typeMismatch: "A value has the wrong type"
    case .unauthenticated: "No valid identity was presented"
    case .forbidden: "This identity may not do that"
    case .notFound: "There is nothing at this path"
    case .tableNotFound: "There is no such table"
    case .rowNotFound: "There is no such row"
    case .nodeNotFound: "There is no such node"
    case .methodNotAllowed: "The method does not apply to this path"
    case .tooLarge: "A limit was exceeded"
    case .unsupportedType: "The content type is not supported"
    case .tableExists: "A table of this name exists"
    case .conflict: "The request could not be carried out now"
    case .conditionFailed: "The condition did not hold"
    case .wrongNode: "This node does not lead the shard"
    case .overloaded: "The node has as much work as it takes"
    case .internalError: "The server failed"
    case .notSupported: "Not supported"
    case .noQuorum: "No majority of the replicas can be reached"
    case .notReady: "The node does not serve"
    case .diskFull: "The log or the disk is full"
    case .draining: "The node is stopping"
    case .outcomeUnknown: "The request may or may not have been executed"
    case .deadlineExceeded: "The deadline passed"
    case .snapshotTooOld: "The snapshot is no longer kept"
    }
  }

  /// What a client may do, where it does not depend on whether the command was appended.
  package var retry: Retry {
    switch self {
    case .overloaded, .noQuorum, .notReady, .diskFull, .conflict, .deadlineExceeded: .later
    case .wrongNode, .draining: .elsewhere
    case .outcomeUnknown, .internalError: .unknown
    default: .never
    }
  }
}

/// What a client may do after an error (the field `retry` of every problem).
package enum Retry: UInt8, Sendable {
  /// The request is wrong.
  case never
  /// Not executed; wait, then repeat.
  case later
  /// Not executed; ask the node named in `leader`.
  case elsewhere
  /// May or may not have been executed.
  case unknown

  package var name: String {
    switch self {
    case .never: "never"
    case .later: "later"
    case .elsewhere: "elsewhere"
    case .unknown: "unknown"
    }
  }
}

/// An error as the API shows it (RFC 9457). The edge adds the request id and writes the JSON.
package struct Problem: Error, Equatable, Sendable {
  package var code: ErrorCode
  package var retry: Retry
  /// Says what to do next.
  package var detail: String
  package var leader: String?
  package var table: String?
  /// The key as a path gives it, where the error is about one row.
  package var key: String?
  /// The position in a batch of the operation that failed.
  package var operation: Int?
  package var currentETag: Timestamp?
  /// Seconds, with `overloaded` and other `later` answers.
  package var retryAfterSeconds: UInt32?

  package init(_ code: ErrorCode, _ detail: String, retry: Retry? = nil) {
    self.code = code
    self.retry = retry ?? code.retry
    self.detail = detail
    if self.retry == .later { retryAfterSeconds = 1 }
  }
}
