import Logging
import Node
import Primitives
import Ring
import Server
import Transport

/// The edge of the leader of a `Trio` toward clients, as `Boot` puts it together, and `Server`'s loop around it.
final class Edge {
  private let trio: Trio
  private let leader: Machine
  private let ring: Ring
  private let inbox = Inbox()
  private let clients: Clients
  private var events: [NodeEvent] = []
  private var sleepsUntil = Instant.zero

  /// `context` nil: plain text.
  init(_ trio: Trio, context: TLSContext?) {
    self.trio = trio
    leader = trio.leader
    ring = certainly("io_uring") { () throws(RingRefusal) in try Ring(entries: 64) }
    let verifier = certainly("the authority") { () throws(TLSRefusal) in
      try TokenVerifier(authority: .text(Credential.authority), cluster: Trio.clusterID)
    }
    let hello = Hello(
      cluster: Array(1...16), node: leader.id, to: leader.id, incarnation: Incarnation(17), boot: 1, nonce: 1)
    let arrivals = PeerArrivals(
      hello: hello, clusterID: Trio.clusterID, peers: trio.followers.map(\.id), node: leader.node, inbox: inbox)
    clients = Clients(
      ring: ring, node: leader.node, inbox: inbox, log: Logger(label: "budgets") { _ in SwiftLogNoOpLogHandler() },
      limits: EdgeLimits(), context: context, scratch: TransportScratch(),
      answers: Answers(prefix: "n1-1", addresses: []), authenticator: Authenticator(verifier, node: leader.node),
      arrivals: arrivals)
  }

  func accept(_ descriptor: Int32) {
    clients.beginTurn(trio.nextMoment())
    clients.accepted(descriptor, isMore: true)
  }

  /// What `Server.run` does between one sleep and the next, but for files and links. It does not sleep: what has
  /// completed is taken.
  func turn() {
    let completions = ring.wait(until: .zero)
    let now = trio.nextMoment()
    clients.beginTurn(now)
    for completion in completions { complete(completion) }
    clients.sweep()
    if now >= leader.node.nextDeadline { step(.tick, now) }
    inbox.take(into: &events)
    for event in events { step(event, now) }
    events.removeAll(keepingCapacity: true)
    step(.turnEnded, now)
    for (id, reply) in leader.effects.replies { clients.reply(id, reply) }
    leader.effects.replies.removeAll(keepingCapacity: true)
    clients.flush()
    sleepsUntil = min(leader.node.nextDeadline, clients.nextDeadline)
  }

  private func step(_ event: NodeEvent, _ now: Instant) { leader.node.step(event, at: now, into: &leader.effects) }

  private func complete(_ completion: Completion) {
    let index = Token.index(of: completion.token)
    switch Token.kind(of: completion.token) {
    case .receive: clients.received(index, completion.result)
    case .send: clients.sent(index, completion.result)
    default: fatalError("only a socket's completions come here")
    }
  }
}
