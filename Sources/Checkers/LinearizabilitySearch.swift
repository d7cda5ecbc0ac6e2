import Primitives

/// The search for an order of one key's operations. See Linearizability.swift for how and why.
///
/// Invariants: the linked list holds exactly the entries of operations not taken; `frames.count == moves.count + 1`;
/// `visited` holds each configuration entered with what it had used.
struct LinearizabilitySearch {
  enum Ending { case found, exhausted, gaveUp }

  /// Known operations, by invocation. Bit i of `taken` and entries `2 i` (call) and `2 i + 1` (answer) belong to `known[i]`.
  private let known: [Known]
  private let kinds: [UnknownKind]
  /// The told versions of all known operations that tell one, ascending.
  private let toldVersions: [Timestamp]

  private var list: EntryList
  private var taken: BitSet
  private var takenWithVersion = 0
  /// Reads not taken yet of each value that only one operation can have written.
  private var readsLeft: [UInt64: Int]
  /// Whether dead ends are seen ahead. Without it the search gets further before it fails, which explains better.
  private let looksAhead: Bool
  /// How many operations of each unknown kind are taken; always the first ones.
  private var used: [UInt16]
  private var visited: [Configuration: [[UInt16]]] = [:]
  private var frames: [Frame] = []
  private var moves: [Move] = []
  /// The longest order met, and the state and the operations that could not follow it.
  private var best: (order: [Operation], state: RegisterState, blocked: [Operation])?

  init(_ operations: [Operation], looksAhead: Bool = true) {
    self.looksAhead = looksAhead
    readsLeft = looksAhead ? readsOfUniqueValues(operations) : [:]
    known = operations.compactMap(Known.init).sorted {
      ($0.operation.invoked, $0.operation.id) < ($1.operation.invoked, $1.operation.id)
    }
    kinds = unknownKinds(operations)
    toldVersions = known.map(\.told).filter { $0 != .zero }.sorted()
    list = EntryList(known.map { ($0.operation.invoked, $0.operation.returned) })
    taken = BitSet(count: known.count)
    used = [UInt16](repeating: 0, count: kinds.count)
  }

  mutating func run(stepsMax: Int) -> Ending {
    frames.append(Frame(state: RegisterState(), cursor: list.first))
    var steps = 0
    while moves.count < known.count {
      steps += 1
      if steps > stepsMax { return .gaveUp }
      if let move = nextMove() {
        enter(move)
      } else {
        rememberDeadEnd()
        frames.removeLast()
        guard let move = moves.popLast() else { return .exhausted }
        undo(move)
      }
    }
    return .found
  }

  /// Takes `move`, unless it leads to a configuration that was tried already.
  private mutating func enter(_ move: Move) {
    list.lift(move.operation)
    taken.insert(move.operation)
    if known[move.operation].told != .zero { takenWithVersion += 1 }
    countRead(move.operation, -1)
    for kind in move.chain { used[kind] += 1 }
    guard isNew(Configuration(taken: taken.trimmed, state: move.state)) else { return undo(move) }
    moves.append(move)
    frames.append(Frame(state: move.state, cursor: list.first))
  }

  /// Whether `configuration` was not yet tried with at most the unknown operations that are used now: fewer used leave
  /// more to choose from.
  private mutating func isNew(_ configuration: Configuration) -> Bool {
    let place = visited.index(forKey: configuration)
    if let place, visited.values[place].contains(where: { tried in zip(tried, used).allSatisfy { $0 <= $1 } }) {
      return false
    }
    visited[configuration, default: []].append(used)
    return true
  }

  private mutating func undo(_ move: Move) {
    for kind in move.chain { used[kind] -= 1 }
    if known[move.operation].told != .zero { takenWithVersion -= 1 }
    countRead(move.operation, 1)
    taken.remove(move.operation)
    list.unlift(move.operation)
  }

  /// The next move to try from the present configuration; nil when all have been tried.
  private mutating func nextMove() -> Move? {
    let top = frames.count - 1
    let state = frames[top].state
    if frames[top].isFresh {
      frames[top].isFresh = false
      if let move = harmlessMove(from: state) {
        frames[top].close(at: list.end)
        return move
      }
    }
    while list.isCall(frames[top].cursor) {
      let operation = frames[top].cursor / 2
      frames[top].cursor = list.next(frames[top].cursor)
      if let next = follow(state, by: operation) { return Move(operation: operation, state: next, chain: []) }
    }
    if frames[top].chainMoves == nil { frames[top].chainMoves = chainMoves(from: state) }
    return frames[top].chainMoves?.popLast()
  }

  /// An operation that is possible now and changes nothing. If any order goes on from here, one goes on with it, so no
  /// other move needs to be tried.
  private func harmlessMove(from state: RegisterState) -> Move? {
    var entry = list.first
    while list.isCall(entry) {
      if follow(state, by: entry / 2) == state { return Move(operation: entry / 2, state: state, chain: []) }
      entry = list.next(entry)
    }
    return nil
  }

  /// The state after known operation `operation`, nil if it cannot be next.
  private func follow(_ state: RegisterState, by operation: Int) -> RegisterState? {
    let candidate = known[operation]
    if looksAhead, candidate.told != .zero, candidate.told != toldVersions[takenWithVersion] { return nil }
    guard let next = state.after(candidate.operation.call, answered: candidate.answer) else { return nil }
    return isDeadEnd(next, from: state) ? nil : next
  }

  /// Whether a told version could no longer be given, or a value no longer be read that was read.
  private func isDeadEnd(_ next: RegisterState, from state: RegisterState) -> Bool {
    guard looksAhead else { return false }
    let lowestTold = takenWithVersion < toldVersions.count ? toldVersions[takenWithVersion] : Timestamp(.max)
    if next.floor > lowestTold { return true }
    guard state.isPresent, !next.isSameRow(as: state) else { return false }
    return state.version == lowestTold || readsLeft[state.value, default: 0] > 0
  }

  private mutating func countRead(_ operation: Int, _ change: Int) {
    guard case .found(let value, _) = known[operation].answer, let left = readsLeft[value] else { return }
    readsLeft[value] = left + change
  }
}

// MARK: operations of unknown outcome

extension LinearizabilitySearch {
  /// All moves that begin with operations of unknown outcome, the one to try first at the end.
  private func chainMoves(from state: RegisterState) -> [Move] {
    var found: [Move] = []
    if !kinds.isEmpty, let deadline = firstDeadline {
      extendChain([], from: state, before: nil, deadline: deadline, into: &found)
      found.reverse()
    }
    return found
  }

  /// When the first answer among the operations not taken came: what was invoked later cannot be next.
  private var firstDeadline: UInt64? {
    var entry = list.first
    while list.isCall(entry) { entry = list.next(entry) }
    return list.isEnd(entry) ? nil : known[entry / 2].operation.returned
  }

  /// Adds one more unknown operation to `chain`, which led from `before` (nil: from a known operation) to `state`.
  private func extendChain(
    _ chain: [Int], from state: RegisterState, before: RegisterState?, deadline: UInt64, into found: inout [Move]
  ) {
    for kind in kinds.indices {
      let position = Int(used[kind]) + chain.count { $0 == kind }
      guard position < kinds[kind].members.count else { continue }
      let member = kinds[kind].members[position]
      guard member.invoked <= deadline, let after = state.afterUntold(member.call) else { continue }
      // What would change the register as well without the one before it makes that one pointless.
      if after == state || after == before || before?.afterUntold(member.call) != nil { continue }
      if isDeadEnd(after, from: state) { continue }
      let longer = chain + [kind]
      addFollowers(of: longer, from: state, to: after, into: &found)
      extendChain(longer, from: after, before: state, deadline: deadline, into: &found)
    }
  }

  /// A move for each known operation that is possible in `after`, and in `state` impossible or possible only by taking
  /// the version that it tells for that of a row whose version nobody was told: it may be the unknown write's instead.
  private func addFollowers(
    of chain: [Int], from state: RegisterState, to after: RegisterState, into found: inout [Move]
  ) {
    let hasUntoldVersion = state.isPresent && state.version == .zero
    var entry = list.first
    while list.isCall(entry) {
      let operation = entry / 2
      let isNeeded = hasUntoldVersion || follow(state, by: operation) == nil
      if isNeeded, let next = follow(after, by: operation) {
        found.append(Move(operation: operation, state: next, chain: chain))
      }
      entry = list.next(entry)
    }
  }
}

// MARK: explaining a refusal

extension LinearizabilitySearch {
  private mutating func rememberDeadEnd() {
    guard moves.count > (best?.order.count ?? -1), let frame = frames.last else { return }
    best = (order(), frame.state, candidates())
  }

  /// The operations taken, in order, with the unknown ones that they needed.
  private func order() -> [Operation] {
    var counts = [Int](repeating: 0, count: kinds.count)
    var order: [Operation] = []
    for move in moves {
      for kind in move.chain {
        order.append(kinds[kind].members[counts[kind]])
        counts[kind] += 1
      }
      order.append(known[move.operation].operation)
    }
    return order
  }

  /// The known operations that could be next by their time, the one with the earliest answer first.
  private func candidates() -> [Operation] {
    var found: [Operation] = []
    var entry = list.first
    while list.isCall(entry) {
      found.append(known[entry / 2].operation)
      entry = list.next(entry)
    }
    return found.sorted { ($0.returned, $0.id) < ($1.returned, $1.id) }
  }

  func explanation(key: String) -> LinearizabilityViolation {
    LinearizabilityViolation(
      key: key, prefix: best?.order ?? [], state: best?.state.description ?? "", blocked: best?.blocked ?? [],
      reason: nil)
  }
}

// MARK: the parts

/// An operation that was answered.
private struct Known {
  let operation: Operation
  let answer: Answer
  /// The version told by the answer, zero if none.
  let told: Timestamp

  init?(_ operation: Operation) {
    guard case .ok(let answer) = operation.outcome else { return nil }
    self.operation = operation
    self.answer = answer
    told = answer.toldVersion
  }
}

/// Operations of unknown outcome that can stand for each other, by invocation.
private struct UnknownKind {
  var members: [Operation]
}

/// The writes of unknown outcome, those that cannot be told apart together.
private func unknownKinds(_ operations: [Operation]) -> [UnknownKind] {
  var seen: Set<UInt64> = []
  for operation in operations {
    if case .ok(.found(let value, _)) = operation.outcome { seen.insert(value) }
  }
  var places: [Call: Int] = [:]
  var kinds: [UnknownKind] = []
  let unknown = operations.filter { $0.outcome == .unknown && $0.call != .get }
  for operation in unknown.sorted(by: { ($0.invoked, $0.id) < ($1.invoked, $1.id) }) {
    var call = operation.call
    if case .put(let value, let condition) = call, !seen.contains(value) { call = .put(value: unseen(seen), condition) }
    if let place = places[call] {
      kinds[place].members.append(operation)
    } else {
      places[call] = kinds.count
      kinds.append(UnknownKind(members: [operation]))
    }
  }
  return kinds
}

/// How often each value was read that exactly one operation can have written.
private func readsOfUniqueValues(_ operations: [Operation]) -> [UInt64: Int] {
  var writers: [UInt64: Int] = [:]
  for operation in operations where operation.outcome != .failed {
    if case .put(let value, _) = operation.call { writers[value, default: 0] += 1 }
  }
  var reads: [UInt64: Int] = [:]
  for operation in operations {
    guard case .ok(.found(let value, _)) = operation.outcome, writers[value] == 1 else { continue }
    reads[value, default: 0] += 1
  }
  return reads
}

/// A value that is not in `seen`.
private func unseen(_ seen: Set<UInt64>) -> UInt64 {
  var value: UInt64 = 0
  while seen.contains(value) { value += 1 }
  return value
}

private struct Move {
  let operation: Int
  let state: RegisterState
  /// Kinds of the unknown operations that are taken before it.
  let chain: [Int]
}

private struct Frame {
  let state: RegisterState
  /// The next entry to try.
  var cursor: Int
  var chainMoves: [Move]?
  /// No move has been tried yet.
  var isFresh = true

  /// No further move is to be tried.
  mutating func close(at end: Int) {
    cursor = end
    chainMoves = []
  }
}

private struct Configuration: Hashable {
  let taken: BitSet
  let state: RegisterState
}
