import Primitives
import Tables
import Testing

@testable import Node

/// What a refusal names: the table, the row and the operation that it is about.
@Suite struct RefusalTests {
  private let world: Harness
  private let node: Harness.Machine

  init() throws {
    world = try Harness(1)
    node = try world.elect()
    world.request(node, Harness.createTable)
  }

  private func problem(_ operation: Operation) throws -> Problem {
    try #require(world.reply(world.request(node, operation))?.problem)
  }

  private func batch(_ operations: String) throws -> Problem {
    try problem(.batch(body: Array("{\"operations\":[\(operations)]}".utf8)))
  }

  private let put = #"{"op":"put","table":"t","key":"x","row":{"v":1}}"#

  @Test func aTableThatExistsIsNamed() throws {
    let problem = try problem(Harness.createTable)
    #expect(problem.code == .tableExists && problem.table == "t")
  }

  @Test(arguments: [
    (#"{"op":"delete","table":"t","key":"a b"}"#, ErrorCode.rowNotFound),
    (#"{"op":"check","table":"t","key":"a b","if_match":"7"}"#, .conditionFailed),
    (#"{"op":"put","table":"t","key":"a b","row":{"v":"no number"}}"#, .typeMismatch),
    (#"{"op":"put","table":"t","key":"a b","row":{"w":1}}"#, .unknownColumn),
  ])
  func aBatchNamesTheRowOfTheOperationThatFailed(operation: String, code: ErrorCode) throws {
    let problem = try batch(put + "," + operation)
    #expect(problem.code == code)
    #expect(problem.operation == 1 && problem.table == "t" && problem.key == "a%20b")
  }

  @Test func aBatchNamesATableThatIsNotThere() throws {
    let problem = try batch(put + #",{"op":"delete","table":"none","key":1}"#)
    #expect(problem.code == .tableNotFound && problem.operation == 1)
    #expect(problem.table == "none" && problem.key == nil)
  }

  @Test func whoDeletesARowThatIsNotThereIsNotToldToCreateIt() throws {
    let path = RowPath(table: "t", key: Array("a".utf8))
    for problem in [
      try batch(#"{"op":"delete","table":"t","key":"a"}"#), try problem(.delete(path, .none)),
      try batch(#"{"op":"check","table":"t","key":"a"}"#),
    ] {
      #expect(problem.code == .rowNotFound && problem.key == "a")
      #expect(!problem.detail.contains("create"), "\(problem.detail)")
    }
    for problem in [
      try batch(#"{"op":"patch","table":"t","key":"a","row":{"v":1}}"#),
      try problem(.patch(path, body: Array("{\"v\":1}".utf8), .none)),
    ] {
      #expect(problem.code == .rowNotFound && problem.detail.contains("create"))
    }
  }
}

@Suite struct TransferRefusalTests {
  @Test func aTransferThatFailsSpeaksOfTheLeadershipAndOfNoTable() throws {
    let world = try Harness(3)
    let leader = try world.elect()
    let target = try #require(world.machines.first { $0 !== leader }).identity.node
    world.isolated = [target.rawValue]
    let id = world.request(leader, .transferLeadership(Node.onlyShard, to: target))
    world.pass(.seconds(1))
    let problem = try #require(world.reply(id)?.problem)
    #expect(problem.code == .conflict && problem.retry == .later)
    #expect(problem.detail.contains("did not take over"))
    #expect(!problem.code.title.contains("table"))
  }
}
