import Checkers
import Primitives

// Short hand for hand-made histories.

func version(_ number: UInt64) -> Timestamp { Timestamp(number) }

/// A history written as operations with their times: `client, [from, to], call, outcome`.
struct Script {
  var operations: [Operation] = []

  mutating func op(
    _ client: UInt32, _ invoked: UInt64, _ returned: UInt64, _ call: Call, _ answer: Answer, key: String = "a"
  ) {
    add(client, invoked, returned, call, .ok(answer), key: key)
  }

  mutating func unknown(_ client: UInt32, _ invoked: UInt64, _ call: Call, key: String = "a") {
    add(client, invoked, .max, call, .unknown, key: key)
  }

  mutating func failed(_ client: UInt32, _ invoked: UInt64, _ returned: UInt64, _ call: Call) {
    add(client, invoked, returned, call, .failed, key: "a")
  }

  private mutating func add(
    _ client: UInt32, _ invoked: UInt64, _ returned: UInt64, _ call: Call, _ outcome: Outcome, key: String
  ) {
    operations.append(
      Operation(
        id: operations.count, client: client, key: key, call: call, invoked: invoked, returned: returned,
        outcome: outcome))
  }

  var verdict: LinearizabilityVerdict { checkLinearizability(operations) }

  var violation: LinearizabilityViolation? {
    if case .refused(let violation) = verdict { return violation }
    return nil
  }
}

/// A real register, driven by many clients whose calls and answers are late by chance: its histories are linearizable
/// by construction.
struct RegisterWorld {
  var random: SeededRandom
  var clients: Int
  /// Of a hundred operations, how many have an unknown outcome (half of them executed, perhaps much later).
  var unknownShare: UInt64 = 10
  var tellsVersions = true
  var distinctValues = true

  private var value: UInt64?
  private var current: UInt64 = 0
  private var counter: UInt64 = 0
  private var lastValue: UInt64 = 0

  init(seed: UInt64, clients: Int) {
    random = SeededRandom(seed: seed)
    self.clients = clients
  }

  private enum Phase { case idle, sent(Int, Call), executed(Int, Outcome) }

  mutating func history(operations: Int, key: String = "a") -> History {
    var history = History()
    var phases = [Phase](repeating: .idle, count: clients)
    var late: [Call] = []
    var begun = 0
    while begun < operations || phases.contains(where: { if case .idle = $0 { false } else { true } }) {
      if !late.isEmpty, random.chance(1, outOf: 20) {
        _ = execute(late.remove(at: Int(random.below(UInt64(late.count)))))
      }
      let client = Int(random.below(UInt64(clients)))
      switch phases[client] {
      case .idle:
        guard begun < operations else { continue }
        begun += 1
        let call = draw()
        phases[client] = .sent(history.invoke(client: UInt32(client), key: key, call: call), call)
      case .sent(let id, let call):
        if random.chance(unknownShare, outOf: 100) {
          if random.chance(1, outOf: 2) { late.append(call) }
          phases[client] = .idle
        } else {
          phases[client] = .executed(id, .ok(execute(call)))
        }
      case .executed(let id, let outcome):
        history.finish(id, outcome)
        phases[client] = .idle
      }
    }
    return history
  }

  private mutating func draw() -> Call {
    if distinctValues { lastValue += 1 } else { lastValue = random.below(4) }
    let guess = version(max(1, current - min(current, random.below(3) * random.below(10))))
    switch random.below(10) {
    case 0...3: return .get
    case 4, 5: return .put(value: lastValue)
    case 6: return .put(value: lastValue, .ifAbsent)
    case 7: return .put(value: lastValue, .ifVersion(guess))
    case 8: return .delete()
    default: return .delete(.ifVersion(guess))
    }
  }

  private mutating func execute(_ call: Call) -> Answer {
    counter += 1 + random.below(3)
    switch call {
    case .get: return value.map { .found(value: $0, version: told(current)) } ?? .notFound
    case .put(let new, let condition):
      if let failure = failure(condition) { return failure }
      let existed = value != nil
      (value, current) = (new, counter)
      return existed ? .replaced(version: told(current)) : .created(version: told(current))
    case .delete(let condition):
      if let failure = failure(condition) { return failure }
      if value == nil { return .notFound }
      value = nil
      return .deleted
    }
  }

  private func failure(_ condition: Condition) -> Answer? {
    let holds =
      switch condition {
      case .always: true
      case .ifAbsent: value == nil
      case .ifPresent: value != nil
      case .ifVersion(let wanted): value != nil && wanted.rawValue == current
      }
    if holds { return nil }
    return .conditionFailed(value == nil ? .absent : tellsVersions ? .version(version(current)) : .untold)
  }

  private func told(_ number: UInt64) -> Timestamp? { tellsVersions ? version(number) : nil }
}
