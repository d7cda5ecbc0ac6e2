import Primitives
import Testing

@testable import Tables

/// A table as a plain dictionary, and what each operation means in a few lines.
private struct Model {
  struct Row: Equatable {
    var version: UInt64
    var v: String
    var n: Int?
  }

  enum Action {
    case put(v: String, n: Int?)
    case patch(v: String?, n: Int??)
    case delete
    case check
  }

  struct Operation {
    var table: Int
    var key: String
    var action: Action
    var condition: Condition
  }

  var rows: [[String: Row]]

  mutating func apply(_ operation: Operation, version: UInt64) -> RowOutcome {
    let row = rows[operation.table][operation.key]
    switch operation.condition {
    case .none: break
    case .ifMatch(let wanted):
      if row?.version != wanted.rawValue { return .conditionFailed(current: row.map { Timestamp($0.version) }) }
    case .ifNoneMatch: if let row { return .conditionFailed(current: Timestamp(row.version)) }
    }
    switch operation.action {
    case .put(let v, let n):
      rows[operation.table][operation.key] = Row(version: version, v: v, n: n)
      return row == nil ? .created(Timestamp(version)) : .replaced(Timestamp(version))
    case .patch(let v, let n):
      guard let row else { return .rowNotFound }
      rows[operation.table][operation.key] = Row(version: version, v: v ?? row.v, n: n ?? row.n)
      return .patched(Timestamp(version))
    case .delete:
      guard row != nil else { return .rowNotFound }
      rows[operation.table][operation.key] = nil
      return .deleted(Timestamp(version))
    case .check:
      if row == nil, operation.condition == .none { return .rowNotFound }
      return .checked(row.map { Timestamp($0.version) })
    }
  }

  mutating func apply(_ operations: [Operation], version: UInt64) -> Reply {
    let before = rows
    var outcomes: [RowOutcome] = []
    for (index, operation) in operations.enumerated() {
      let outcome = apply(operation, version: version)
      guard outcome.isSuccess else {
        rows = before
        return .batchFailed(operation: index, outcome)
      }
      outcomes.append(outcome)
    }
    return .batch(outcomes)
  }
}

@Suite struct ModelTests {
  private func text(_ value: Int?) -> String { value.map { "\($0)" } ?? "null" }

  private func json(_ operation: Model.Operation) -> (op: String, row: String?) {
    switch operation.action {
    case .put(let v, let n): return ("put", "{\"v\":\"\(v)\",\"n\":\(text(n))}")
    case .patch(let v, let n):
      let parts = [v.map { "\"v\":\"\($0)\"" }, n.map { "\"n\":\(text($0))" }].compactMap { $0 }
      return ("patch", "{\(parts.joined(separator: ","))}")
    case .delete: return ("delete", nil)
    case .check: return ("check", nil)
    }
  }

  private func random(_ random: inout SeededRandom, _ model: Model) -> Model.Operation {
    let table = Int(random.below(2))
    let key = "key\(random.below(60))"
    let sizes = [3, 3, 3, 40, 300, 6000]
    let v = String(repeating: "x", count: sizes[Int(random.below(6))]) + "\(random.below(1000))"
    let n = random.chance(1, outOf: 2) ? Int(random.below(100)) : nil
    let action: Model.Action =
      switch random.below(8) {
      case 0...3: .put(v: v, n: n)
      case 4, 5:
        .patch(v: random.chance(1, outOf: 2) ? v : nil, n: random.chance(1, outOf: 2) ? .some(n) : nil)
      case 6: .delete
      default: .check
      }
    let condition: Condition
    switch random.below(6) {
    case 0: condition = .ifNoneMatch
    case 1: condition = .ifMatch(Timestamp(model.rows[table][key]?.version ?? random.below(100)))
    default: condition = .none
    }
    return Model.Operation(table: table, key: key, action: action, condition: condition)
  }

  private func batch(_ operations: [Model.Operation]) -> String {
    let parts = operations.map { operation -> String in
      let (op, row) = json(operation)
      var text = "{\"op\":\"\(op)\",\"table\":\"t\(operation.table)\",\"key\":\"\(operation.key)\""
      if let row { text += ",\"row\":\(row)" }
      switch operation.condition {
      case .none: break
      case .ifMatch(let version): text += ",\"if_match\":\"\(version.rawValue)\""
      case .ifNoneMatch: text += ",\"if_none_match\":true"
      }
      return text + "}"
    }
    return "{\"operations\":[\(parts.joined(separator: ","))]}"
  }

  @Test(arguments: [1, 2] as [UInt64])
  func tenThousandOperationsAgreeWithADictionary(_ seed: UInt64) throws {
    var shard = Shard(coolPercent: 4, seed: seed)
    var random = SeededRandom(seed: seed)
    for i in 0..<2 { _ = try shard.create(simple.replacing("simple", with: "t\(i)")) }
    var model = Model(rows: [[:], [:]])
    var operations = 0
    var failed = 0
    while operations < 5000 {
      let count = random.chance(1, outOf: 3) ? Int(random.below(12)) + 1 : 1
      var trial = model
      let list = (0..<count).map { _ in
        let operation = self.random(&random, trial)
        _ = trial.apply(operation, version: shard.version + 1)
        return operation
      }
      operations += count
      let reply = try shard.batch(batch(list))
      #expect(reply == model.apply(list, version: shard.version))
      if case .batchFailed = reply { failed += 1 }
      if random.chance(1, outOf: 200) {
        shard.checkInvariants()
        try compare(&shard, model)
      }
    }
    shard.checkInvariants()
    try compare(&shard, model)
    #expect(failed > 100)
    #expect(shard.disk.loads > 200)
  }

  private func compare(_ shard: inout Shard, _ model: Model) throws {
    for i in 0..<2 {
      let table = try #require(shard.machine.catalog.table(named: "t\(i)"))
      let rows = model.rows[i].sorted { $0.key < $1.key }
      let expected = rows.map { "{\"k\":\"\($0.key)\",\"v\":\"\($0.value.v)\",\"n\":\(text($0.value.n))}" }
      #expect(try shard.scan(table, [:]).json == "{\"rows\":[\(expected.joined(separator: ","))]}")
      for (key, row) in rows.prefix(5) {
        #expect(try shard.get(table, key).outcome == .row(Timestamp(row.version)))
      }
    }
  }

  @Test func replicasThatMissDifferentPagesEndEqual() throws {
    var replicas = [Shard(coolPercent: 0, seed: 1), Shard(coolPercent: 10, seed: 2), Shard(coolPercent: 30, seed: 3)]
    var random = SeededRandom(seed: 5)
    var model = Model(rows: [[:], [:]])
    for r in replicas.indices {
      for i in 0..<2 { _ = try replicas[r].create(simple.replacing("simple", with: "t\(i)")) }
    }
    for _ in 0..<200 {
      let list = (0...random.below(5)).map { _ in self.random(&random, model) }
      let expected = model.apply(list, version: replicas[0].version + 1)
      for r in replicas.indices {
        #expect(try replicas[r].batch(batch(list)) == expected)
        #expect(replicas[r].machine.totals == replicas[0].machine.totals)
      }
    }
    for r in replicas.indices { replicas[r].checkInvariants() }
  }
}
