import Journal
import Primitives
import Raft
import Tables

// Requests: taken, routed, finished. A request is in the table exactly while somebody waits for it.

extension Node {
  func accept(_ request: Request) {
    statistics.requests += 1
    let deadline = min(request.deadline, now + settings.limits.deadlineMax)
    admit(
      PendingRequest(
        origin: .client(request.id), deadline: deadline, operation: request.operation, stage: .waitingForLeader))
  }

  /// Serves a request at once where that is possible, otherwise keeps it.
  func admit(_ request: PendingRequest) {
    if let problem = refusal(of: request) { return answer(request.origin, Reply(problem)) }
    if replica.isLeader, request.operation.isReadOfRows, replica.canRead(at: now), serveNow(request) { return }
    guard let handle = requests.insert(request) else {
      statistics.overloaded += 1
      return answer(request.origin, Reply(.overloaded))
    }
    wheel.add(handle, deadline: request.deadline)
    if request.operation.isAboutNodes { return startStatusRound(handle) }
    route(handle)
  }

  private func refusal(of request: PendingRequest) -> Problem? {
    if let fault, !request.operation.isAboutNodes { return .failed(fault.text) }
    if isClosing, !request.operation.isAboutNodes { return .draining(leader: leaderName) }
    if request.deadline <= now { return .deadlinePassed(executed: false) }
    if isDraining, case .client = request.origin, !request.operation.isAboutNodes {
      return .draining(leader: leaderName)
    }
    return nil
  }

  var leaderName: String? { replica.raft.leader?.node.description }

  /// Sends a request on its way: runs it here, forwards it, or lets it wait for a leader. Nothing of it was executed.
  func route(_ handle: RequestHandle) {
    guard let request = requests[handle] else { return }
    if replica.isLeader { return runAsLeader(handle, request) }
    if case .peer(_, let id) = request.origin {
      _ = requests.remove(handle)
      return send(.forwardReply(id: id, .notLeader(replica.raft.leader?.node)), to: request.origin)
    }
    guard let leader = replica.raft.leader?.node, leader != settings.me.node, isLinkOpen(leader) else {
      return requests.setStage(.waitingForLeader, of: handle)
    }
    requests.setStage(.forwarded(leader), of: handle)
    statistics.forwarded += 1
    send(.forward(id: handle.rawValue, remaining: request.deadline - now, request.operation), to: leader)
  }

  private func runAsLeader(_ handle: RequestHandle, _ request: PendingRequest) {
    if case .transferLeadership(_, let target) = request.operation { return transfer(handle, to: target) }
    if request.operation.isWrite { return plan(handle, request) }
    read(handle)
  }

  /// Tries again what waits for a leader. Called when one is known or its link opens.
  func routeWaiting() {
    for handle in requests.handles(where: { $0.stage == .waitingForLeader }) { route(handle) }
  }

  // MARK: - Ends

  /// Answers and forgets a request; nothing happens when it was answered already.
  func finish(_ handle: RequestHandle, _ reply: Reply) {
    guard let request = requests.remove(handle) else { return }
    answer(request.origin, reply)
  }

  func answer(_ origin: Origin, _ reply: Reply) {
    statistics.replies += 1
    answerBytes += reply.body.count
    switch origin {
    case .client(let id): effects.replies.append((id, reply))
    case .peer(_, let id): send(.forwardReply(id: id, .answered(reply)), to: origin)
    }
  }

  private func send(_ message: PeerMessage, to origin: Origin) {
    guard case .peer(let node, _) = origin else { preconditionFailure("only peers get peer messages") }
    send(message, to: node)
  }

  func expireRequests() {
    for handle in wheel.expire(at: now) {
      guard let request = requests[handle] else { continue }
      guard request.deadline <= now else {
        wheel.add(handle, deadline: request.deadline)
        continue
      }
      statistics.deadlinesMissed += 1
      // What this turn has taken in is proposed at its end all the same.
      let executed = request.stage == .batched || request.stage.mayHaveExecuted(write: request.operation.isWrite)
      finish(handle, Reply(expired(request, executed: executed)))
    }
  }

  private func expired(_ request: PendingRequest, executed: Bool) -> Problem {
    if request.stage == .waitingForLeader { return .noQuorum }
    return .deadlinePassed(executed: executed)
  }

  // MARK: - Forwarded here, and forwarded away

  func receivedForward(id: UInt64, remaining: Nanoseconds, _ operation: Operation, from node: NodeID) {
    let origin = Origin.peer(node, id: id)
    guard replica.isLeader || fault != nil else {
      return send(.forwardReply(id: id, .notLeader(replica.raft.leader?.node)), to: node)
    }
    let remaining = min(remaining, settings.limits.deadlineMax)
    admit(
      PendingRequest(
        origin: origin, deadline: now + remaining, operation: operation, stage: .waitingForLeader))
  }

  func receivedForwardReply(id: UInt64, _ outcome: ForwardOutcome, from node: NodeID) {
    let handle = RequestHandle(id)
    guard let request = requests[handle], case .forwarded(let target) = request.stage else { return }
    switch outcome {
    case .answered(let reply):
      // A read that was sent on may still be answered by whom it was sent to first.
      if target == node || !request.operation.isWrite { finish(handle, reply) }
    case .notLeader:
      guard target == node else { return }
      requests.setStage(.waitingForLeader, of: handle)
      // Asked again when this node learns of a leader; at once if it knows of another one already.
      if let leader = replica.raft.leader?.node, leader != node { route(handle) }
    }
  }

  /// A write that was sent and not answered is never sent again; a read is.
  func abandonForwards(to node: NodeID) {
    for handle in requests.handles(where: { $0.stage == .forwarded(node) }) {
      guard let request = requests[handle] else { continue }
      if request.operation.isWrite {
        finish(handle, Reply(.outcomeUnknown("The connection to \(node) broke after the request was sent to it.")))
      } else {
        requests.setStage(.waitingForLeader, of: handle)
        route(handle)
      }
    }
  }

  /// There is another leader: reads follow it, writes get a short time for the old one's answer.
  func leaderChanged(to leader: NodeID) {
    routeWaiting()
    let handles = requests.handles { request in
      if case .forwarded(let node) = request.stage { return node != leader }
      return false
    }
    for handle in handles {
      guard let request = requests[handle] else { continue }
      guard request.operation.isWrite else {
        route(handle)
        continue
      }
      let limit = now + settings.limits.forwardGrace
      requests.shorten(handle, to: limit)
      wheel.add(handle, deadline: limit)
    }
  }
}

extension Problem {
  static let overloaded = Problem(
    .overloaded, "Wait as long as retry-after says, then repeat, with fewer requests in flight.")
  static let noQuorum = Problem(
    .noQuorum,
    "No leader was found before the deadline. Check that a majority of the nodes runs and reaches each other.")
  static func failed(_ text: String) -> Problem {
    Problem(.notReady, "This node serves no more: \(text). Ask another node.")
  }
  static func draining(leader: String?) -> Problem {
    var problem = Problem(.draining, "This node is stopping. Ask another node.")
    problem.leader = leader
    return problem
  }
  static func deadlinePassed(executed: Bool) -> Problem {
    executed
      ? Problem(
        .deadlineExceeded, "The deadline passed after the request was appended: read the row to find out.",
        retry: .unknown)
      : Problem(.deadlineExceeded, "Nothing was executed. Repeat with a longer fs-timeout-ms.")
  }
  static func outcomeUnknown(_ why: String) -> Problem {
    Problem(.outcomeUnknown, "\(why) Read the row to find out whether it was executed.")
  }
}
