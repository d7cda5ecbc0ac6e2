import Primitives
import Testing

@testable import fsbench

@Suite struct ScheduleTests {
  private let start = Instant(nanoseconds: 1_000_000_000)
  private func after(_ milliseconds: UInt64) -> Instant { start + .milliseconds(milliseconds) }

  private func schedule(_ amount: LoadPlan.Amount, perSecond: Double? = nil) -> Schedule {
    Schedule(LoadPlan(shape: .single, amount: amount, perSecond: perSecond), start: start)
  }

  @Test func withoutARateSoManyLeaveAtOnce() {
    var schedule = schedule(.requests(2))
    #expect(schedule.begin(at: after(5)) == after(5))
    #expect(!schedule.isOver(at: after(5)))
    #expect(schedule.begin(at: after(7)) == after(7))
    #expect(schedule.isOver(at: after(7)))
    #expect(schedule.begin(at: after(8)) == nil)
  }

  @Test func withoutARateTheyLeaveUntilTheTimeIsOver() {
    var schedule = schedule(.seconds(0.01))
    for _ in 0..<1000 { #expect(schedule.begin(at: after(9)) == after(9)) }
    #expect(schedule.begin(at: after(10)) == nil)
    #expect(schedule.isOver(at: after(10)))
    #expect(schedule.nextArrival == nil)
  }

  @Test func withARateEachArrivesAtItsMoment() {
    var schedule = schedule(.seconds(0.003), perSecond: 1000)
    #expect(schedule.begin(at: after(0)) == after(0))
    #expect(schedule.begin(at: after(0)) == nil, "the next one arrives after 1 ms")
    #expect(schedule.nextArrival == after(1))
    #expect(schedule.begin(at: after(1)) == after(1))
    #expect(schedule.begin(at: after(2)) == after(2))
    #expect(schedule.isOver(at: after(2)), "1000 a second are three in 3 ms")
  }

  @Test func timeCountsFromTheArrivalHoweverLateARequestLeaves() {
    var schedule = schedule(.requests(100), perSecond: 1000)
    let arrivals = (0..<100).compactMap { _ in schedule.begin(at: after(500)) }
    #expect(arrivals == (0..<100).map { after($0) })
    #expect(schedule.isOver(at: after(500)))
  }

  @Test func timeThatIsOverEndsNoArrivals() {
    var schedule = schedule(.seconds(1), perSecond: 10)
    for number in 0..<10 { #expect(schedule.begin(at: after(5000)) == after(UInt64(number) * 100)) }
    #expect(schedule.isOver(at: after(5000)))
  }
}

@Suite struct ItemsTests {
  @Test func aSequenceGoesOn() {
    var items = Items.sequence(7)
    #expect((0..<3).map { _ in items.next() } == [7, 8, 9])
  }

  @Test func randomItemsAreSpreadEvenlyAndFollowTheSeed() {
    func drawn(_ seed: UInt64) -> [UInt64] {
      var items = Items.random(SeededRandom(seed: seed), count: 10)
      return (0..<10_000).map { _ in items.next() }
    }
    #expect(drawn(1) == drawn(1))
    #expect(drawn(1) != drawn(2))
    for item in UInt64(0)..<10 {
      let times = drawn(1).count { $0 == item }
      #expect((850...1150).contains(times), "\(item) was drawn \(times) times of 10000")
    }
  }

  @Test(arguments: [(1, 128, 1), (128, 128, 1), (129, 128, 2), (1000, 500, 2)])
  func groupsHoldEachKeyOnce(keys: UInt64, size: UInt64, count: Int) {
    let groups = KeyGroups(keys: keys, size: size)
    #expect(groups.count == count)
    #expect((0..<count).flatMap { Array(groups.range(UInt64($0))) } == Array(0..<keys))
  }
}
