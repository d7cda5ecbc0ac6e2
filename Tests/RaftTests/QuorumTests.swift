import Primitives
import Testing

@testable import Raft

@Suite struct QuorumTests {
  /// Plain and slow: the largest value v such that those at v or above are a majority of each list.
  private func model(_ lists: [[Member]], _ values: [Member: UInt64]) -> UInt64 {
    let candidates = [0] + values.values.sorted()
    return candidates.last { v in
      lists.allSatisfy { list in list.count { values[$0]! >= v } * 2 > list.count }
    }!
  }

  @Test func quorumValueIsWhatAMajorityOfEachListReached() {
    var random = SeededRandom(seed: 1)
    for _ in 0..<2000 {
      let all = (1...7).map(member)
      let voters = Array(all.prefix(1 + Int(random.below(7))))
      let outgoing = random.chance(1, outOf: 2) ? [] : Array(all.suffix(1 + Int(random.below(7))))
      let values = Dictionary(uniqueKeysWithValues: all.map { ($0, random.below(5)) })
      let configuration = Configuration(voters: voters, outgoing: outgoing)
      let lists = outgoing.isEmpty ? [voters] : [voters, outgoing]
      #expect(configuration.quorumValue { values[$0]! } == model(lists, values))
      #expect(configuration.allVotersValue { values[$0]! } == lists.joined().map { values[$0]! }.min())
    }
  }

  @Test func everyVoteOfThreeIsDecidedAsSoonAsItCanBe() {
    let voters = (1...3).map(member)
    let configuration = Configuration(voters: voters)
    for code in 0..<27 {
      let answers = [code % 3, code / 3 % 3, code / 9]
      let granted = voters.indices.filter { answers[$0] == 1 }.map { voters[$0] }
      let refused = voters.indices.filter { answers[$0] == 2 }.map { voters[$0] }
      let expected: VoteOutcome = granted.count >= 2 ? .won : refused.count >= 2 ? .lost : .pending
      #expect(configuration.outcome(granted: granted, refused: refused) == expected)
    }
  }

  @Test func aJointVoteNeedsBothMajorities() {
    let joint = Configuration(voters: (1...3).map(member), outgoing: (3...5).map(member))
    #expect(joint.outcome(granted: [member(1), member(2)], refused: []) == .pending)
    #expect(joint.outcome(granted: [member(1), member(2), member(4)], refused: []) == .pending)
    #expect(joint.outcome(granted: [member(1), member(3), member(4)], refused: []) == .won)
    #expect(joint.outcome(granted: [member(1), member(2), member(3)], refused: [member(4), member(5)]) == .lost)
  }

  @Test func strangersDoNotCount() {
    let configuration = Configuration(voters: (1...3).map(member))
    let wiped = Member(node: NodeID(2), incarnation: Incarnation(99))
    #expect(configuration.outcome(granted: [member(1), wiped, member(7)], refused: []) == .pending)
    #expect(!configuration.contains(wiped))
  }
}
