import Node
import Primitives
import Testing

@testable import Server

@Suite struct ProblemTests {
  @Test func aProblemSaysAllThatItKnows() {
    var problem = Problem(.conditionFailed, "Read \"it\" again.")
    problem.table = "packages"
    problem.key = "g++,\"x\""
    problem.operation = 3
    problem.currentETag = Timestamp(12)
    let text = String(decoding: problemBody(problem, requestID: "n1-2-3"), as: UTF8.self)
    #expect(
      text == #"{"type":"urn:filestore:condition-failed","title":"The condition did not hold","status":412,"#
        + #""detail":"Read \"it\" again.","code":"condition-failed","retry":"never","table":"packages","#
        + #""key":"g++,\"x\"","operation":3,"current_etag":"12","request_id":"n1-2-3"}"#)
  }

  @Test func aLeaderIsNamedWithItsAddress() {
    var problem = Problem(.draining, "Ask another node.")
    problem.leader = "n2"
    let text = String(decoding: problemBody(problem, requestID: "1", leaderAddress: "https://h:1"), as: UTF8.self)
    #expect(text.contains(#""leader":"n2","leader_address":"https://h:1""#))
    #expect(text.contains(#""retry":"elsewhere""#))
  }

  @Test func everyCodeHasAStatusOfAnErrorAndATitle() {
    for code in ErrorCode.allCases {
      #expect(code.status >= 400 && code.status < 600)
      #expect(!code.title.isEmpty && code.name.utf8.allSatisfy { $0 == 0x2D || (0x61...0x7A).contains($0) })
    }
    #expect(Set(ErrorCode.allCases.map(\.name)).count == ErrorCode.allCases.count)
  }
}
