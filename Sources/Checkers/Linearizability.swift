import Primitives

// # Linearizability
//
// A history is linearizable when every operation can be given one moment between its invocation and its answer so that,
// executed in the order of these moments, a single register would have given the same answers. Keys are independent
// (linearizability is a local property), so each is searched alone.
//
// The search is Wing and Gong's with Lowe's improvements (G. Lowe, "Testing for linearizability", 2017; the same as in
// Porcupine): calls and answers stand in a doubly linked list in the order of time; an operation may be next if its call
// stands before the first answer in the list; taking it lifts it out of the list, a dead end puts it back; each
// configuration (set of operations taken, state) is entered once. Two things make it quick here:
//
// 1. **Versions.** Every answer that tells a version says where it stands: along a correct order the told versions never
//    fall. So of all operations with a told version only those with the lowest one not taken yet may be next, and the
//    search of a history with versions hardly ever turns back. Likewise a value that only one operation can have written
//    is not overwritten before all its reads have been taken.
// 2. **Operations of unknown outcome** are never taken for themselves. They can always be moved later or left out,
//    unless the operation directly after needs them. So one is taken only together with an operation that is impossible
//    without it (or with a chain of them: an unknown delete, an unknown put-if-absent, then a get that finds it). Those
//    whose value nobody ever saw are alike, and only the first of them is tried. A configuration is not entered again
//    with more of them used up.
//
// The search is exponential in the worst case; a bound on its steps ends it with `.undecided`, which a caller has to
// treat as a failure of the test, not of the database.

/// What the checker found.
package enum LinearizabilityVerdict: Equatable, Sendable {
  case linearizable
  case refused(LinearizabilityViolation)
  /// The bound on steps was reached at this key.
  case undecided(key: String, steps: Int)

  package var isLinearizable: Bool { self == .linearizable }
}

/// Why a key's history is not linearizable.
package struct LinearizabilityViolation: Error, Equatable, Sendable {
  package let key: String
  /// The longest order that was found; operations of unknown outcome that it needs included.
  package let prefix: [Operation]
  /// The register after it, in words.
  package let state: String
  /// Operations that could be next by their time and fit nowhere; the first is the one that has to be placed before any
  /// other can be.
  package let blocked: [Operation]
  /// What is wrong, when it can be said without a search.
  package let reason: String?
}

/// Checks every key of `history`. Operations in any order.
///
/// - Parameter stepsMax: the bound on the search of each key; two million steps are about a second.
package func checkLinearizability(_ history: [Operation], stepsMax: Int = 4_000_000) -> LinearizabilityVerdict {
  for operations in partitionByKey(history) {
    let verdict = checkOneKey(operations, stepsMax: stepsMax)
    if !verdict.isLinearizable { return verdict }
  }
  return .linearizable
}

package func checkLinearizability(_ history: History, stepsMax: Int = 4_000_000) -> LinearizabilityVerdict {
  checkLinearizability(history.operations, stepsMax: stepsMax)
}

/// The operations of each key, keys in the order of their first operation.
private func partitionByKey(_ history: [Operation]) -> [[Operation]] {
  var places: [String: Int] = [:]
  var parts: [[Operation]] = []
  for operation in history {
    if let place = places[operation.key] {
      parts[place].append(operation)
    } else {
      places[operation.key] = parts.count
      parts.append([operation])
    }
  }
  return parts
}

private func checkOneKey(_ operations: [Operation], stepsMax: Int) -> LinearizabilityVerdict {
  let key = operations.first?.key ?? ""
  if let repeated = repeatedVersion(operations) {
    return .refused(
      LinearizabilityViolation(
        key: key, prefix: [], state: "", blocked: [repeated.1],
        reason: "two writes were given the same version, this one and \(repeated.0)"))
  }
  var search = LinearizabilitySearch(operations)
  switch search.run(stepsMax: stepsMax) {
  case .found: return .linearizable
  case .gaveUp: return .undecided(key: key, steps: stepsMax)
  case .exhausted: return .refused(explain(operations, after: search, key: key))
  }
}

/// The explanation by a second search that does not look ahead, if that one gets further.
private func explain(
  _ operations: [Operation], after search: LinearizabilitySearch, key: String
) -> LinearizabilityViolation {
  var patient = LinearizabilitySearch(operations, looksAhead: false)
  _ = patient.run(stepsMax: 20_000)
  let (short, long) = (search.explanation(key: key), patient.explanation(key: key))
  return long.prefix.count > short.prefix.count ? long : short
}

/// Two writes that were given one version.
private func repeatedVersion(_ operations: [Operation]) -> (Operation, Operation)? {
  var writers: [Timestamp: Operation] = [:]
  for operation in operations {
    guard case .ok(let answer) = operation.outcome, let version = answer.givenVersion else { continue }
    if let other = writers.updateValue(operation, forKey: version) { return (other, operation) }
  }
  return nil
}

extension LinearizabilityViolation: CustomStringConvertible {
  package var description: String {
    let shown = 12
    var lines = ["the history of key \"\(key)\" is not linearizable"]
    if let reason { lines.append("  \(reason)") }
    if !prefix.isEmpty {
      lines.append("  the longest order found has \(prefix.count) operations, the last of them:")
      for operation in prefix.suffix(shown) { lines.append("    \(operation)") }
    }
    if reason == nil { lines.append("  then the register holds \(state), and none of these can be next:") }
    for operation in blocked.prefix(shown) { lines.append("    \(operation)") }
    if blocked.count > shown { lines.append("    and \(blocked.count - shown) more") }
    return lines.joined(separator: "\n")
  }
}
