import Checkers
import Primitives
import Testing

@Suite struct LinearizabilityPropertyTests {
  @Test(arguments: 0..<60) func correctHistoriesAreAccepted(seed: Int) {
    var world = RegisterWorld(seed: UInt64(seed), clients: 2 + seed % 15)
    world.unknownShare = UInt64(seed % 4) * 8
    world.tellsVersions = seed % 3 != 0
    world.distinctValues = seed % 5 != 0 || world.tellsVersions
    let history = world.history(operations: 150)
    #expect(checkLinearizability(history) == .linearizable)
  }

  @Test func mutatedHistoriesAreMostlyRefused() {
    var random = SeededRandom(seed: 77)
    var (refused, tried) = (0, 0)
    for seed in 0..<150 {
      var world = RegisterWorld(seed: UInt64(seed), clients: 2 + seed % 8)
      world.unknownShare = 3
      var operations = world.history(operations: 80).operations
      guard mutate(&operations, &random) else { continue }
      tried += 1
      if !checkLinearizability(operations).isLinearizable { refused += 1 }
    }
    #expect(tried > 100)
    #expect(refused * 10 > tried * 8, "\(refused) of \(tried)")
  }

  /// Every verdict on small histories agrees with a search that tries everything.
  @Test(arguments: 0..<25) func smallHistoriesAgreeWithTheNaiveSearch(seed: Int) {
    var random = SeededRandom(seed: UInt64(1000 + seed))
    var kinds = (accepted: 0, refused: 0)
    for round in 0..<20 {
      var world = RegisterWorld(seed: random.next(), clients: 3)
      world.unknownShare = 25
      world.distinctValues = false
      var operations = world.history(operations: 6).operations
      if round % 3 != 0 { _ = mutate(&operations, &random) }
      let expected = NaiveSearch(operations).isLinearizable
      #expect(checkLinearizability(operations).isLinearizable == expected, "\(operations)")
      if expected { kinds.accepted += 1 } else { kinds.refused += 1 }
    }
    #expect(kinds.accepted > 0 && kinds.refused > 0)
  }

  /// Counted in steps of the search, which do not depend on the machine: some 20 to 50 ms in release.
  @Test(arguments: [0, 2, 10]) func theStepsGrowWithTheOperationsOnly(unknownShare: UInt64) {
    var world = RegisterWorld(seed: 5, clients: 30)
    world.unknownShare = unknownShare
    let history = world.history(operations: 3000)
    #expect(checkLinearizability(history, stepsMax: 100_000) == .linearizable)
  }

  @Test func theBoundOnStepsIsKept() {
    var world = RegisterWorld(seed: 5, clients: 10)
    let history = world.history(operations: 100)
    #expect(checkLinearizability(history, stepsMax: 10) == .undecided(key: "a", steps: 10))
  }

  /// Makes one answer a wrong one; false if there is none that fits.
  private func mutate(_ operations: inout [Operation], _ random: inout SeededRandom) -> Bool {
    for _ in 0..<20 {
      let place = Int(random.below(UInt64(operations.count)))
      guard case .ok(let answer) = operations[place].outcome else { continue }
      switch answer {
      case .found: operations[place].outcome = .ok(.notFound)
      case .created(let version): operations[place].outcome = .ok(.replaced(version: version))
      case .replaced(let version):
        let fallen = version.map { Timestamp($0.rawValue &- min(3, $0.rawValue)) }
        operations[place].outcome = .ok(.replaced(version: fallen))
      case .deleted: operations[place].outcome = .ok(.notFound)
      case .conditionFailed: operations[place].outcome = .ok(.deleted)
      case .notFound:
        guard operations[place].call == .get else { continue }
        operations[place].outcome = .ok(.found(value: random.below(100), version: Timestamp(random.below(100))))
      }
      return true
    }
    return false
  }
}

/// All orders of all subsets of unknown operations, with every version that an unknown write could have been given.
private struct NaiveSearch {
  let operations: [Operation]
  /// Doubled, so that there is a version between any two.
  let greatest: UInt64

  struct Row: Equatable { var value: UInt64, version: UInt64 }

  init(_ all: [Operation]) {
    operations = all.filter { $0.outcome != .failed && !($0.outcome == .unknown && $0.call == .get) }
    var greatest: UInt64 = 0
    for operation in all {
      if case .ok(.found(_, let told?)) = operation.outcome { greatest = max(greatest, told.rawValue) }
      if case .ok(.created(let told?)) = operation.outcome { greatest = max(greatest, told.rawValue) }
      if case .ok(.replaced(let told?)) = operation.outcome { greatest = max(greatest, told.rawValue) }
      if case .ok(.conditionFailed(.version(let told))) = operation.outcome { greatest = max(greatest, told.rawValue) }
      if case .put(_, .ifVersion(let told)) = operation.call { greatest = max(greatest, told.rawValue) }
      if case .delete(.ifVersion(let told)) = operation.call { greatest = max(greatest, told.rawValue) }
    }
    self.greatest = greatest * 2 + 1
  }

  var isLinearizable: Bool { place(Array(operations.indices), nil, 0) }

  private func place(_ rest: [Int], _ row: Row?, _ last: UInt64) -> Bool {
    let known = rest.filter { operations[$0].outcome != .unknown }
    if known.isEmpty { return true }
    let deadline = known.map { operations[$0].returned }.min() ?? .max
    for index in rest where operations[index].invoked <= deadline {
      let left = rest.filter { $0 != index }
      for (next, newLast) in outcomes(operations[index], row, last) where place(left, next, newLast) { return true }
    }
    return false
  }

  /// The rows that `operation` can leave, with the last version given.
  private func outcomes(_ operation: Operation, _ row: Row?, _ last: UInt64) -> [(Row?, UInt64)] {
    guard case .ok(let answer) = operation.outcome else {
      guard holds(operation.call, row) else { return [] }
      guard case .put(let value, _) = operation.call else { return row == nil ? [] : [(nil, last)] }
      return last >= greatest ? [] : ((last + 1)...greatest).map { (Row(value: value, version: $0), $0) }
    }
    switch answer {
    case .found(let value, let told):
      return operation.call == .get && row == Row(value: value, version: doubled(told)) ? [(row, last)] : []
    case .notFound:
      if case .put(_, let condition) = operation.call, condition == .always || condition == .ifAbsent { return [] }
      return row == nil ? [(nil, last)] : []
    case .created(let told), .replaced(let told):
      guard case .put(let value, _) = operation.call, holds(operation.call, row), doubled(told) > last else {
        return []
      }
      if case .created = answer, row != nil { return [] }
      if case .replaced = answer, row == nil { return [] }
      return [(Row(value: value, version: doubled(told)), doubled(told))]
    case .deleted:
      guard case .delete = operation.call, row != nil, holds(operation.call, row) else { return [] }
      return [(nil, last)]
    case .conditionFailed(let witness):
      if holds(operation.call, row) { return [] }
      if witness == .absent, row != nil { return [] }
      if case .version(let told) = witness, row?.version != doubled(told) { return [] }
      return [(row, last)]
    }
  }

  private func doubled(_ told: Timestamp?) -> UInt64 { (told?.rawValue ?? 0) * 2 }

  private func holds(_ call: Call, _ row: Row?) -> Bool {
    switch call {
    case .get: true
    case .put(_, .always), .delete(.always): true
    case .put(_, .ifAbsent), .delete(.ifAbsent): row == nil
    case .put(_, .ifPresent), .delete(.ifPresent): row != nil
    case .put(_, .ifVersion(let wanted)), .delete(.ifVersion(let wanted)):
      row?.version == wanted.rawValue * 2 && row != nil
    }
  }
}
