import Checkers
import Node
import Primitives

// Clients act, and what they saw goes into the history.

extension Simulation {
  /// The table that all clients use, created before anything else through the first node.
  func createTable() {
    requestNumber += 1
    let request = ClientRequest(
      number: requestNumber, client: Client.founderIndex, node: 0,
      operation: .createTable(body: Array(Workload.description.utf8)),
      timeout: .seconds(10))
    queue.add(.requestArrives(request), at: now + .milliseconds(900))
  }

  func clientActs(_ index: Int) {
    guard index >= 0, !isHealing, clients[index].waiting == nil else { return }
    requestNumber += 1
    let (operation, calls) = drawOperation(index)
    let parts = calls.map { key, call in
      Client.Part(
        historyID: history.invoke(client: UInt32(index), key: Workload.keyName(key), call: call), key: key, call: call)
    }
    clients[index].waiting = (requestNumber, parts)
    let timeout = Nanoseconds.milliseconds(200 + clients[index].random.below(5000))
    let node = clients[index].chooseNode(of: machines.count)
    let request = ClientRequest(
      number: requestNumber, client: index, node: node, operation: operation, timeout: timeout)
    counters.operations += 1
    queue.add(.requestArrives(request), at: now + .microseconds(30 + random.below(200)))
  }

  func requestArrives(_ request: ClientRequest) {
    let machine = machines[request.node]
    guard machine.isUp, machine.node?.isOpen == true else {
      // Connection refused: certainly not executed.
      return finish(request.number, request.client, nil, executed: false)
    }
    if isPaused(machine) { return queue.add(.requestArrives(request), at: machine.pausedUntil) }
    underWay.append((request.number, request.client, request.node))
    tell(
      machine,
      .requested(
        Request(
          id: RequestID(request.number), deadline: machine.clock(now) + request.timeout, operation: request.operation)))
  }

  func sendReply(_ reply: NodeReply, number: UInt64, from machine: Machine) {
    guard let request = underWay.first(where: { $0.number == number }) else { return }
    underWay.removeAll { $0.number == number }
    story.feed(now.nanoseconds, number << 16 | UInt64(reply.status))
    let answer = ClientReply(number: number, client: request.client, reply: reply)
    queue.add(.replyArrives(answer), at: now + .microseconds(30 + random.below(200)))
  }

  func replyArrives(_ answer: ClientReply) {
    if answer.client == Client.founderIndex { return tableCreated(answer.reply) }
    if answer.client == Client.probeIndex { return probeAnswered(answer.number, answer.reply) }
    finish(answer.number, answer.client, answer.reply, executed: nil)
  }

  private func tableCreated(_ reply: NodeReply) {
    guard reply.status != 201, reply.problem?.code != .tableExists else { return }
    story.tell(now, "the table was not created yet: \(reply.problem?.detail ?? "")")
    createTable()
  }

  /// The node that held the request died.
  func connectionLost(_ number: UInt64) {
    guard let request = underWay.first(where: { $0.number == number }) else { return }
    underWay.removeAll { $0.number == number }
    if request.client == Client.founderIndex { return createTable() }
    finish(number, request.client, nil, executed: nil)
  }

  /// Ends a client's request: with a reply, as certainly not executed, or with an unknown outcome.
  private func finish(_ number: UInt64, _ index: Int, _ reply: NodeReply?, executed: Bool?) {
    guard index >= 0 else {
      if index == Client.founderIndex { createTable() }
      return
    }
    guard let waiting = clients[index].waiting, waiting.number == number else { return }
    clients[index].waiting = nil
    if let reply { compareMoments(reply, client: index, isScan: waiting.parts.count == options.keys) }
    clients[index].snapshot = nil
    for (position, part) in waiting.parts.enumerated() {
      let outcome: Outcome =
        if let reply {
          outcomeOf(part, position: position, of: waiting.parts.count, reply)
        } else {
          executed == false || part.call == .get ? .failed : .unknown
        }
      note(outcome, part, client: index)
      history.finish(part.historyID, outcome)
    }
    queue.add(.clientActs(index), at: now + clients[index].pause())
  }

  private func note(_ outcome: Outcome, _ part: Client.Part, client: Int) {
    switch outcome {
    case .ok(.found(_, let version)): clients[client].versions[part.key] = version
    case .ok(.created(let version)), .ok(.replaced(let version)):
      clients[client].versions[part.key] = version
      counters.acknowledgedWrites += 1
    case .ok(.deleted): counters.acknowledgedWrites += 1
    case .unknown: counters.unknownOutcomes += 1
    default: break
    }
  }
}

// MARK: Moments of the past

extension Simulation {
  /// A page of a scan, and the moment that it showed.
  struct Moment {
    var snapshot: Timestamp
    var body: [UInt8]
  }

  private static let momentsMax = 64

  /// A scan is remembered; asked for again by its moment, whoever leads then and whatever has crashed, it is the same, or too
  /// old to be had.
  private func compareMoments(_ reply: NodeReply, client: Int, isScan: Bool) {
    guard let asked = clients[client].snapshot else {
      if isScan, let snapshot = reply.snapshot { remember(Moment(snapshot: snapshot, body: reply.body)) }
      return
    }
    if reply.problem?.code == .snapshotTooOld { return counters.count(.snapshotTooOld) }
    if let problem = reply.problem {
      let isRefusal = problem.retry == .never
      if isRefusal { fail("a moment that was shown is no wrong request", "\(asked): \(problem.detail)") }
      return
    }
    guard let moment = moments.first(where: { $0.snapshot == asked }) else { return }
    counters.count(.snapshotRead)
    if reply.body != moment.body || reply.snapshot != asked {
      fail(
        "a moment of the past does not change",
        "\(asked): \(String(decoding: moment.body, as: UTF8.self)), later \(String(decoding: reply.body, as: UTF8.self))"
      )
    }
  }

  private func remember(_ moment: Moment) {
    if let same = moments.first(where: { $0.snapshot == moment.snapshot }) {
      if same.body != moment.body { fail("one moment is one state", "\(moment.snapshot) was shown twice") }
      return
    }
    if moments.count == Simulation.momentsMax { moments.removeFirst() }
    moments.append(moment)
  }
}
