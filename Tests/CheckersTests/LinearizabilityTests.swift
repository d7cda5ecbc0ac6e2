import Checkers
import Primitives
import Testing

@Suite struct LinearizabilityTests {
  @Test func nothingIsLinearizable() { #expect(checkLinearizability(History()) == .linearizable) }

  @Test func oneClientAfterTheOther() {
    var script = Script()
    script.op(1, 1, 2, .get, .notFound)
    script.op(1, 3, 4, .put(value: 5), .created(version: version(10)))
    script.op(2, 5, 6, .get, .found(value: 5, version: version(10)))
    script.op(2, 7, 8, .put(value: 6, .ifVersion(version(10))), .replaced(version: version(11)))
    script.op(1, 9, 10, .put(value: 7, .ifVersion(version(10))), .conditionFailed(.version(version(11))))
    script.op(1, 11, 12, .put(value: 7, .ifAbsent), .conditionFailed(.version(version(11))))
    script.op(1, 13, 14, .delete(), .deleted)
    script.op(2, 15, 16, .delete(), .notFound)
    script.op(2, 17, 18, .put(value: 8, .ifAbsent), .created(version: version(12)))
    #expect(script.verdict == .linearizable)
  }

  @Test func concurrentOperationsTakeAnyOrder() {
    var script = Script()
    script.op(1, 1, 10, .put(value: 1), .replaced(version: version(3)))
    script.op(2, 2, 9, .put(value: 2), .created(version: version(2)))
    script.op(3, 3, 4, .get, .notFound)
    script.op(3, 5, 6, .get, .found(value: 2, version: version(2)))
    script.op(3, 11, 12, .get, .found(value: 1, version: version(3)))
    #expect(script.verdict == .linearizable)
  }

  @Test func equalTimesAreConcurrent() {
    var script = Script()
    script.op(1, 1, 5, .put(value: 1), .created(version: version(1)))
    script.op(2, 5, 6, .get, .notFound)
    #expect(script.verdict == .linearizable)
  }

  @Test func aStaleReadIsRefused() throws {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(1)))
    script.op(1, 3, 4, .put(value: 2), .replaced(version: version(2)))
    script.op(2, 5, 6, .get, .found(value: 1, version: version(1)))
    let violation = try #require(script.violation)
    #expect(violation.prefix.count == 2)
    #expect(violation.blocked.map(\.id) == [2])
    #expect(
      violation.description == """
        the history of key "a" is not linearizable
          the longest order found has 2 operations, the last of them:
            #0 client 1 [1, 2] put 1 -> created at version 1
            #1 client 1 [3, 4] put 2 -> replaced at version 2
          then the register holds 2 at version 2, and none of these can be next:
            #2 client 2 [5, 6] get -> 1 at version 1
        """)
  }

  @Test func aReadThatGoesBackIsRefused() {
    var script = Script()
    script.op(1, 1, 20, .put(value: 1), .created(version: version(1)))
    script.op(2, 2, 3, .get, .found(value: 1, version: version(1)))
    script.op(3, 4, 5, .get, .notFound)
    #expect(script.violation != nil)
  }

  @Test func aLostUpdateIsRefused() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(1)))
    script.op(1, 3, 6, .put(value: 2, .ifVersion(version(1))), .replaced(version: version(2)))
    script.op(2, 4, 5, .put(value: 3, .ifVersion(version(1))), .replaced(version: version(3)))
    #expect(script.violation != nil)
  }

  @Test func aLostAcknowledgedWriteIsRefused() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(1)))
    script.op(2, 3, 4, .get, .notFound)
    #expect(script.violation != nil)
  }

  @Test func aRepeatedVersionIsRefused() throws {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(1)))
    script.op(2, 3, 4, .put(value: 2), .replaced(version: version(1)))
    let violation = try #require(script.violation)
    #expect(violation.reason?.contains("the same version") == true)
  }

  @Test func aVersionThatFallsIsRefused() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(5)))
    script.op(1, 3, 4, .delete(), .deleted)
    script.op(1, 5, 6, .put(value: 2), .created(version: version(4)))
    #expect(script.violation != nil)
  }

  @Test func oneValueAtTwoVersionsIsRefused() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(5)))
    script.op(1, 3, 4, .get, .found(value: 1, version: version(6)))
    #expect(script.violation != nil)
  }

  @Test func createdTwiceWithoutADeleteIsRefused() {
    var script = Script()
    script.op(1, 1, 10, .put(value: 1, .ifAbsent), .created(version: version(1)))
    script.op(2, 1, 10, .put(value: 2, .ifAbsent), .created(version: version(2)))
    #expect(script.violation != nil)
    script.unknown(3, 1, .delete())
    #expect(script.verdict == .linearizable)
  }

  @Test func aFailedOperationHasNoEffect() {
    var script = Script()
    script.failed(1, 1, 2, .put(value: 1))
    script.op(2, 3, 4, .get, .notFound)
    #expect(script.verdict == .linearizable)
    script.op(2, 5, 6, .get, .found(value: 1, version: version(1)))
    #expect(script.violation != nil)
  }

  @Test func keysAreIndependent() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(1)))
    script.op(1, 3, 4, .get, .notFound, key: "b")
    #expect(script.verdict == .linearizable)
    script.op(1, 5, 6, .get, .found(value: 1, version: version(1)), key: "b")
    #expect(script.violation?.key == "b")
  }
}

@Suite struct UnknownOutcomeTests {
  @Test func itMayHaveHappenedOrNot() {
    for answer in [Answer.notFound, .found(value: 1, version: version(4))] {
      var script = Script()
      script.unknown(1, 1, .put(value: 1))
      script.op(2, 2, 3, .get, answer)
      #expect(script.verdict == .linearizable)
    }
  }

  @Test func itMayHappenMuchLater() {
    var script = Script()
    script.unknown(1, 1, .put(value: 1))
    script.op(2, 2, 3, .put(value: 2), .created(version: version(2)))
    script.op(2, 4, 5, .delete(), .deleted)
    script.op(2, 6, 7, .get, .notFound)
    script.op(2, 8, 9, .get, .found(value: 1, version: version(9)))
    #expect(script.verdict == .linearizable)
  }

  @Test func itDoesNotHappenTwice() {
    var script = Script()
    script.unknown(1, 1, .put(value: 1))
    script.op(2, 2, 3, .get, .found(value: 1, version: version(1)))
    script.op(2, 4, 5, .put(value: 2), .replaced(version: version(2)))
    script.op(2, 6, 7, .get, .found(value: 1, version: version(3)))
    #expect(script.violation != nil)
  }

  @Test func itDoesNotHappenBeforeItsInvocation() {
    var script = Script()
    script.op(2, 1, 2, .get, .found(value: 1, version: version(1)))
    script.unknown(1, 3, .put(value: 1))
    #expect(script.violation != nil)
  }

  @Test func itsVersionIsOneAndRises() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(5)))
    script.unknown(1, 3, .put(value: 2))
    script.op(2, 4, 5, .get, .found(value: 2, version: version(7)))
    script.op(2, 6, 7, .get, .found(value: 2, version: version(7)))
    #expect(script.verdict == .linearizable)
    var falling = script
    falling.op(2, 8, 9, .get, .found(value: 2, version: version(8)))
    #expect(falling.violation != nil)
    var below = Script()
    below.op(1, 1, 2, .put(value: 1), .created(version: version(5)))
    below.unknown(1, 3, .put(value: 2))
    below.op(2, 4, 5, .get, .found(value: 2, version: version(4)))
    #expect(below.violation != nil)
  }

  @Test func twoInARowCanBeNeeded() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(1)))
    script.unknown(1, 3, .delete())
    script.unknown(2, 3, .put(value: 2, .ifAbsent))
    script.op(3, 4, 5, .get, .found(value: 2, version: version(3)))
    #expect(script.verdict == .linearizable)
    var without = script
    without.operations.remove(at: 1)
    #expect(without.violation != nil)
  }

  @Test func aToldVersionMayBeItsOwn() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 4), .created(version: nil))
    script.unknown(2, 3, .put(value: 6))
    script.op(3, 5, 6, .put(value: 8, .ifVersion(version(1))), .conditionFailed(.version(version(9))))
    script.op(3, 7, 8, .get, .found(value: 6, version: version(9)))
    #expect(script.verdict == .linearizable)
  }

  @Test func aConditionStillHoldsForIt() {
    var script = Script()
    script.op(1, 1, 2, .put(value: 1), .created(version: version(1)))
    script.op(1, 3, 4, .put(value: 2), .replaced(version: version(2)))
    script.unknown(2, 5, .put(value: 3, .ifVersion(version(1))))
    script.op(1, 6, 7, .get, .found(value: 3, version: version(4)))
    #expect(script.violation != nil)
    script.operations[2].call = .put(value: 3, .ifVersion(version(2)))
    #expect(script.verdict == .linearizable)
  }

  @Test func manyOfThemDoNotSlowARefusal() {
    var script = Script()
    for n in 0..<300 { script.unknown(UInt32(n), 1, n % 3 == 0 ? .delete() : .put(value: UInt64(n))) }
    script.op(1, 2, 3, .put(value: 1000), .created(version: version(10)))
    for n in 0..<20 { script.op(2, UInt64(4 + n), UInt64(4 + n), .get, .found(value: 1000, version: version(10))) }
    script.op(1, 50, 51, .delete(), .deleted)
    script.op(1, 52, 53, .get, .found(value: 1000, version: version(10)))
    #expect(script.violation != nil)
  }
}
