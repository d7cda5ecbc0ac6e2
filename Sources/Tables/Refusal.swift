/// Why a request is refused: deterministic, and the requester's to mend. Becomes a problem+json answer (API.md 4).
package struct Refusal: Error, Equatable, Sendable {
  package enum Code: UInt8, Sendable, CaseIterable {
    case invalidJSON = 1
    case invalidKey = 2
    case invalidRow = 3
    case invalidArgument = 4
    case unknownColumn = 5
    case typeMismatch = 6
    case tableNotFound = 7
    case rowNotFound = 8
    case tooLarge = 9
    case tableExists = 10
    case conditionFailed = 11
    case forbidden = 12
    case notSupported = 13
    case conflict = 14
    case `internal` = 15
    case snapshotTooOld = 16
  }

  package var code: Code
  package var table: String?
  package var column: String?
  /// Position in the batch, from zero.
  package var operation: Int?
  /// The limit that was exceeded, in bytes or pieces as `detail` says.
  package var limit: Int?
  /// What is wrong and what to do next.
  package var detail: String

  package init(
    _ code: Code, _ detail: String, table: String? = nil, column: String? = nil, operation: Int? = nil,
    limit: Int? = nil
  ) {
    self.code = code
    self.detail = detail
    self.table = table
    self.column = column
    self.operation = operation
    self.limit = limit
  }

  /// The same refusal, said of `table`, and of `operation` where it is given.
  package func of(table: String, operation: Int? = nil) -> Refusal {
    var copy = self
    copy.table = copy.table ?? table
    copy.operation = copy.operation ?? operation
    return copy
  }

  package func of(operation: Int) -> Refusal {
    var copy = self
    copy.operation = copy.operation ?? operation
    return copy
  }
}

extension Refusal.Code {
  /// The code as API.md writes it.
  package var name: String {
    switch self {
    case .invalidJSON: "invalid-json"
    case .invalidKey: "invalid-key"
    case .invalidRow: "invalid-row"
    case .invalidArgument: "invalid-argument"
    case .unknownColumn: "unknown-column"
    case .typeMismatch: "type-mismatch"
    case .tableNotFound: "table-not-found"
    case .rowNotFound: "row-not-found"
    case .tooLarge: "too-large"
    case .tableExists: "table-exists"
    case .conditionFailed: "condition-failed"
    case .forbidden: "forbidden"
    case .notSupported: "not-supported"
    case .conflict: "conflict"
    case .internal: "internal"
    case .snapshotTooOld: "snapshot-too-old"
    }
  }

  /// The HTTP status that belongs to the code.
  package var status: Int {
    switch self {
    case .invalidJSON, .invalidKey, .invalidRow, .invalidArgument, .unknownColumn, .typeMismatch: 400
    case .forbidden: 403
    case .tableNotFound, .rowNotFound: 404
    case .tableExists, .conflict: 409
    case .snapshotTooOld: 410
    case .conditionFailed: 412
    case .tooLarge: 413
    case .internal: 500
    case .notSupported: 501
    }
  }
}
