import Journal
import Node
import Primitives
import Raft
import Store

/// Three nodes in memory, one of which leads and has the items. Time moves by the turns that they take.
///
/// Disks complete when `complete` is called, payloads arrive when a path hands them over: so a path decides what is
/// counted.
final class Trio {
  static let clusterID = "5a1d7c0e9b3f42688d04c6f1a2e37b90"

  var now = Instant(nanoseconds: 1_000_000_000)
  private(set) var machines: [Machine] = []
  private var requests: UInt64 = 0

  init() {
    let identities = (1...UInt32(3)).map { Trio.identity($0) }
    let founders = Configuration(voters: identities.map { Member(node: $0.node, incarnation: $0.incarnation) })
    for identity in identities { machines.append(Machine(identity, founders, now)) }
    settle()
    for machine in machines {
      for other in machines where other !== machine { machine.turn([.linkOpened(other.id)], nextMoment()) }
    }
    elect()
    fill()
  }

  private static func identity(_ node: UInt32) -> StoreIdentity {
    StoreIdentity(
      cluster: Array(1...16), node: NodeID(node), lane: LaneID(0), incarnation: Incarnation(UInt64(node) * 17),
      directory: UInt64(node) * 1000)
  }

  /// The moment of the next turn.
  func nextMoment() -> Instant {
    now = now + .microseconds(25)
    return now
  }

  var leader: Machine {
    guard let leader = machines.first(where: { $0.node.isLeader }) else { fatalError("nobody leads") }
    return leader
  }

  var followers: [Machine] { machines.filter { !$0.node.isLeader } }

  /// A request of a client, ready to be told.
  func request(_ operation: Operation) -> NodeEvent {
    requests += 1
    return .requested(Request(id: RequestID(requests), deadline: now + .seconds(10), operation: operation))
  }

  /// Completes disks and delivers payloads until nobody orders anything more.
  func settle() {
    while machines.contains(where: { $0.hasOrders }) {
      for machine in machines { deliver(machine) }
    }
  }

  private func deliver(_ machine: Machine) {
    machine.complete(at: nextMoment())
    for (to, payload) in machine.takeSends() {
      for target in machines where target.id == to {
        target.turn([.received(from: machine.id, payload: payload)], nextMoment())
      }
    }
  }

  private func elect() {
    for _ in 0..<1000 {
      now = now + .milliseconds(10)
      for machine in machines { machine.turn([], now) }
      settle()
      if let leader = machines.first(where: { $0.node.isLeader }), leader.node.raft.canServeRead(at: now) { return }
    }
    fatalError("nobody was elected in ten seconds")
  }

  private func fill() {
    write(.createTable(body: Items.createTable), 201)
    for from in stride(from: 0, to: Items.count, by: 500) {
      write(.batch(body: Items.batch(from: from, count: 500)), 200)
    }
  }

  private func write(_ operation: Operation, _ status: UInt16) {
    let leader = leader
    leader.turn([request(operation)], nextMoment())
    settle()
    leader.expectReplies(1, status)
  }
}
