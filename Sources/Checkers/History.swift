import Primitives

// What clients did and saw: the input of the linearizability checker.

/// What must be true of a row for a write to it to be executed.
package enum Condition: Hashable, Sendable {
  /// Always executed.
  case always
  /// Only if there is no row (`if-none-match: *`).
  case ifAbsent
  /// Only if there is a row (PATCH; `if-match: *`).
  case ifPresent
  /// Only if the row has this version (`if-match`).
  case ifVersion(Timestamp)
}

/// What a client asked of one key. Values are fingerprints: the check is as strong as they are distinct.
package enum Call: Hashable, Sendable {
  case get
  case put(value: UInt64, Condition = .always)
  case delete(Condition = .always)
}

/// What the answer to a failed condition told about the row.
package enum Witness: Hashable, Sendable {
  case untold
  case absent
  case version(Timestamp)
}

/// What the database answered. A version of nil is one that the answer did not tell.
package enum Answer: Hashable, Sendable {
  case found(value: UInt64, version: Timestamp?)
  case notFound
  case created(version: Timestamp?)
  case replaced(version: Timestamp?)
  case deleted
  case conditionFailed(Witness)
}

/// How an operation ended for its client.
package enum Outcome: Hashable, Sendable {
  case ok(Answer)
  /// Certainly not executed, now or later.
  case failed
  /// Executed at any time after the invocation, or never: a timeout, a lost connection, a client that died.
  case unknown
}

/// One operation of one client on one key.
package struct Operation: Hashable, Sendable {
  /// Its place in the history, for people.
  package var id: Int
  package var client: UInt32
  package var key: String
  package var call: Call
  /// When it was sent: any clock that all clients share and that never goes back. Two moments that are equal count as
  /// concurrent.
  package var invoked: UInt64
  /// When the answer came. Ignored for `.unknown`, which never ends.
  package var returned: UInt64
  package var outcome: Outcome

  package init(
    id: Int, client: UInt32, key: String, call: Call, invoked: UInt64, returned: UInt64 = .max, outcome: Outcome
  ) {
    self.id = id
    self.client = client
    self.key = key
    self.call = call
    self.invoked = invoked
    self.returned = returned
    self.outcome = outcome
  }
}

/// Records operations as they begin and end. The order of the calls to it is the order of real time.
package struct History: Sendable {
  package private(set) var operations: [Operation] = []
  private var moment: UInt64 = 0

  package init() {}

  /// An operation is about to be sent; its outcome is unknown until `finish`. Returns its id.
  package mutating func invoke(client: UInt32, key: String, call: Call) -> Int {
    moment += 1
    let id = operations.count
    operations.append(Operation(id: id, client: client, key: key, call: call, invoked: moment, outcome: .unknown))
    return id
  }

  /// Operation `id` has ended. An `.unknown` one may be finished again, when its fate became known later.
  package mutating func finish(_ id: Int, _ outcome: Outcome) {
    precondition(operations.indices.contains(id), "an operation that was invoked")
    precondition(operations[id].outcome == .unknown, "an operation ends once")
    moment += 1
    operations[id].returned = moment
    operations[id].outcome = outcome
  }
}

extension Condition: CustomStringConvertible {
  package var description: String {
    switch self {
    case .always: ""
    case .ifAbsent: " if absent"
    case .ifPresent: " if present"
    case .ifVersion(let version): " if version \(version)"
    }
  }
}

extension Call: CustomStringConvertible {
  package var description: String {
    switch self {
    case .get: "get"
    case .put(let value, let condition): "put \(value)\(condition)"
    case .delete(let condition): "delete\(condition)"
    }
  }
}

extension Answer: CustomStringConvertible {
  package var description: String {
    switch self {
    case .found(let value, let version): "\(value)\(at(version))"
    case .notFound: "not found"
    case .created(let version): "created\(at(version))"
    case .replaced(let version): "replaced\(at(version))"
    case .deleted: "deleted"
    case .conditionFailed(.untold): "condition failed"
    case .conditionFailed(.absent): "condition failed: no row"
    case .conditionFailed(.version(let version)): "condition failed\(at(version))"
    }
  }

  private func at(_ version: Timestamp?) -> String { version.map { " at version \($0)" } ?? "" }
}

extension Operation: CustomStringConvertible {
  /// `#7 client 2 [14, 19] put 5 if absent -> created at version 30`.
  package var description: String {
    let head = "#\(id) client \(client)"
    switch outcome {
    case .ok(let answer): return "\(head) [\(invoked), \(returned)] \(call) -> \(answer)"
    case .failed: return "\(head) [\(invoked), \(returned)] \(call) -> not executed"
    case .unknown: return "\(head) [\(invoked), ...] \(call) -> unknown"
    }
  }
}
