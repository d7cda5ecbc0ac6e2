import Node
import Primitives

/// PUT of rows on the leader, from requests to replies: its turns with the requests, with its own durable write, and with
/// each follower's acknowledgement. The rows are there and are replaced.
final class PutPath: HotPath {
  let units: Int
  private let trio = Trio()
  private var number = 0

  init(atOnce: Int) { units = atOnce }

  func operate(_ count: Meter) {
    let leader = trio.leader
    let requests = trio.puts(units, from: number)
    number += units
    counted(leader, requests, count)
    let completions = leader.takeCompletions()
    let sends = leader.takeSends()
    expect(completions.count == 1 && sends.count == 2, "one write, and the entry to each follower")
    counted(leader, completions, count)
    for (to, payload) in sends {
      for (_, answer) in trio.acknowledge(payload, by: to) {
        counted(leader, [.received(from: to, payload: answer)], count)
      }
    }
    leader.expectReplies(units, 200)
    trio.settle()
  }

  private func counted(_ leader: Machine, _ events: [NodeEvent], _ count: Meter) {
    let now = trio.nextMoment()
    count { leader.turn(events, now) }
  }
}

/// A follower: its turns with the leader's payload and with its own durable write, which make an acknowledgement. The
/// payload says that the entry before is committed, so that one is applied.
final class FollowerPath: HotPath {
  let units: Int
  private let trio = Trio()
  private var number = 0

  init(atOnce: Int) { units = atOnce }

  func operate(_ count: Meter) {
    let (leader, follower) = (trio.leader, trio.followers[0])
    leader.turn(trio.puts(units, from: number), trio.nextMoment())
    number += units
    for (to, payload) in leader.takeSends() {
      guard to == follower.id else {
        deliver(trio.acknowledge(payload, by: to), from: to, to: leader)
        continue
      }
      counted(follower, [.received(from: leader.id, payload: payload)], count)
      counted(follower, follower.takeCompletions(), count)
      let answers = follower.takeSends()
      expect(!answers.isEmpty, "an acknowledgement")
      deliver(answers, from: to, to: leader)
    }
    trio.settle()
    leader.expectReplies(units, 200)
  }

  private func deliver(_ answers: [(to: NodeID, payload: [UInt8])], from: NodeID, to leader: Machine) {
    for (_, answer) in answers { leader.turn([.received(from: from, payload: answer)], trio.nextMoment()) }
  }

  private func counted(_ follower: Machine, _ events: [NodeEvent], _ count: Meter) {
    let now = trio.nextMoment()
    count { follower.turn(events, now) }
  }
}

/// A page of 100 rows as JSON, on the leader.
final class ScanPath: HotPath {
  let units = 100
  private let trio = Trio()
  private var number = 0

  func operate(_ count: Meter) {
    let leader = trio.leader
    var query = ScanQuery(table: "items")
    query.start = Items.key(number * 7 % (Items.count - units))
    query.limit = Array("\(units)".utf8)
    number += 1
    let (event, now) = (trio.request(.scan(query)), trio.nextMoment())
    count { leader.turn([event], now) }
    leader.expectReplies(1, 200)
    trio.settle()
  }
}

extension Trio {
  /// Requests to put so many items.
  func puts(_ count: Int, from first: Int) -> [NodeEvent] {
    (first..<first + count).map { number in
      // Spread over the table.
      let place = number * 37
      return request(.put(Items.path(place), body: Items.body(place), .none))
    }
  }

  /// Lets a follower take a payload and write it; what it answers.
  func acknowledge(_ payload: [UInt8], by follower: NodeID) -> [(to: NodeID, payload: [UInt8])] {
    guard let machine = machines.first(where: { $0.id == follower }) else { fatalError("\(follower) is no node") }
    machine.turn([.received(from: leader.id, payload: payload)], nextMoment())
    machine.complete(at: nextMoment())
    return machine.takeSends()
  }
}
