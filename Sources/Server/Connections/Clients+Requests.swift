import Node
import Primitives
import Transport

// From events of a connection to requests of the node, and back from its replies.

extension Clients {
  func takeEvents(_ connection: Connection) {
    while let event = connection.transport.nextEvent() {
      switch event {
      case .opened(let kind): opened(connection, kind)
      case .http2(let event):
        if let session = connection.transport.http2 { http2(event, connection, session) }
      case .http1(let request): probe(request, connection)
      case .frames: arrivals.takeFrames(connection, self)
      case .failed(let failure): failed(connection, failure)
      case .ended: markDirty(connection)
      }
    }
  }

  private func opened(_ connection: Connection, _ kind: ApplicationProtocol) {
    switch kind {
    case .http2:
      connection.isOpened = true
      if isDraining { connection.transport.http2?.drain() }
    case .http1: break
    case .peer: arrivals.opened(connection, self)
    }
  }

  private func failed(_ connection: Connection, _ failure: ServerConnection.Failure) {
    if case .tls(let tls) = failure { counters.countHandshakeFailure(tls.cause) }
    say(.warning, "a connection failed", ["reason": "\(failure)", "peer": connection.peer.map { "\($0)" } ?? "client"])
    markDirty(connection)
  }

  private func http2(_ event: HTTP2ServerSession.Event, _ connection: Connection, _ session: HTTP2ServerSession) {
    switch event {
    case .request(let handle): requested(handle, connection, session)
    case .refused(let handle, let reason): answer(refusal(reason), to: handle, session)
    case .closed(let handle, _): connection.streams[handle.rawValue] = nil
    case .drained(let handle): fetchMore(handle, connection, session)
    }
  }

  private func refusal(_ reason: HTTP2ServerSession.Refusal) -> Problem {
    switch reason {
    case .headersTooLarge:
      Problem(.tooLarge, "The headers of a request are at most \(limits.http2.headerBytesMax) bytes.")
    case .bodyTooLarge: Problem(.tooLarge, "A request is at most \(limits.http2.bodyBytesMax) bytes.")
    case .overBudget: .edgeOverloaded("as many bytes of requests as it takes at once")
    }
  }

  // MARK: - One request

  private func requested(_ handle: StreamHandle, _ connection: Connection, _ session: HTTP2ServerSession) {
    guard let view = session.request(handle) else { return }
    let head = RequestHead(view)
    if Router.probe(head.target) == nil, let problem = identityProblem(view, connection) {
      answer(problem, to: handle, session)
      if connection.remembered.failures > limits.tokenFailuresMax {
        session.terminate("a client sends wrong tokens without end")
      }
      return
    }
    switch Router.route(head) {
    case .operation(let operation):
      submit(operation, head, view.startedAt, handle, connection, session)
    case .stream(let query, let rowsMax, let snapshot):
      let timeout = Nanoseconds.milliseconds(Router.timeoutMilliseconds(head) ?? Router.timeoutDefault)
      connection.streams[handle.rawValue] = RowStream(
        query: query, rowsLeft: rowsMax, timeout: timeout, snapshot: snapshot)
      fetch(handle, connection, session)
    case .probe(let probe): answer(probe, to: handle, session)
    case .refused(let problem, let allow): answer(problem, allow: allow, to: handle, session)
    }
  }

  private func identityProblem(_ view: RequestView, _ connection: Connection) -> Problem? {
    authenticator.refusal(
      view.header(.authorization), connection.transport.identity, &connection.remembered, now: wallSeconds)
  }

  private func submit(
    _ operation: Operation, _ head: RequestHead, _ startedAt: Instant, _ handle: StreamHandle,
    _ connection: Connection, _ session: HTTP2ServerSession
  ) {
    let kind = RequestKind(operation)
    if let problem = overload(kind) { return answer(problem, to: handle, session) }
    let milliseconds = Router.timeoutMilliseconds(head) ?? Router.timeoutDefault
    session.dropBody(handle)
    let id = pending.insert(
      PendingRequest(
        connection: connection.number, slot: Int32(connection.slot), kind: kind, isStream: false, stream: handle,
        startedAt: startedAt))
    ask(Request(id: id, deadline: now + .milliseconds(milliseconds), operation: operation), kind)
  }

  /// Gives a request to the node, a large one only when few of its kind are there.
  func ask(_ request: Request, _ kind: RequestKind) {
    guard kind.isLarge else { return inbox.put(.requested(request)) }
    guard largePending < limits.largeRequestsMax else { return largeWaiting.append(request) }
    largePending += 1
    inbox.put(.requested(request))
  }

  private func largeAnswered() {
    largePending -= 1
    guard !largeWaiting.isEmpty else { return }
    largePending += 1
    inbox.put(.requested(largeWaiting.removeFirst()))
  }

  /// Why a request is not taken now.
  private func overload(_ kind: RequestKind) -> Problem? {
    if pending.count >= limits.requestsMax { return .edgeOverloaded("as many requests as it takes at once") }
    if kind == .read || kind == .scan, waitingBytes > limits.waitingBytesMax {
      return .edgeOverloaded("as many unread answers as it keeps")
    }
    return nil
  }

  // MARK: - Replies

  package func reply(_ id: RequestID, _ reply: Reply) {
    guard let request = pending.remove(id) else { preconditionFailure("the node answers each request once") }
    if request.kind.isLarge { largeAnswered() }
    counters.latencies[Int(request.kind.rawValue)].record(now - request.startedAt)
    guard let connection = connections[Int(request.slot)], connection.number == request.connection,
      !connection.isEnding, let session = connection.transport.http2
    else { return }
    if request.isStream {
      pageCame(reply, request.stream, connection, session)
    } else {
      answer(reply, to: request.stream, session)
    }
    markDirty(connection)
  }

  private func answer(_ reply: Reply, to handle: StreamHandle, _ session: HTTP2ServerSession) {
    if let problem = reply.problem { return answer(problem, to: handle, session) }
    counters.answers[Int(reply.status) / 100] += 1
    answers.send(reply, to: handle, of: session)
  }

  func answer(_ problem: Problem, allow: String? = nil, to handle: StreamHandle, _ session: HTTP2ServerSession) {
    counters.answers[Int(problem.code.status) / 100] += 1
    if problem.code == .overloaded { counters.overloaded += 1 }
    let id = answers.send(problem, allow: allow, to: handle, of: session)
    if problem.code == .internalError {
      say(.error, "a request failed inside the server", ["request_id": "\(id)", "detail": "\(problem.detail)"])
    }
  }

  // MARK: - Probes

  private var readiness: Problem? {
    if let failure = node.failure { return Problem(.notReady, "The node serves no more: \(failure.text).") }
    if isDraining { return Problem(.draining, "The node is stopping.") }
    return node.isReady ? nil : Problem(.notReady, "The node knows no leader.")
  }

  private func answer(_ probe: Probe, to handle: StreamHandle, _ session: HTTP2ServerSession) {
    counters.probes += 1
    switch probe {
    case .alive: answers.sendText(200, Array("ok\n".utf8), to: handle, of: session)
    case .ready:
      if let problem = readiness { return answer(problem, to: handle, session) }
      answers.sendText(200, Array("ready\n".utf8), to: handle, of: session)
    case .metrics: answers.sendText(200, metrics(), to: handle, of: session)
    }
  }

  /// HTTP/1.1: a probe, or one line that says what is spoken here.
  private func probe(_ request: HTTP1Probe.Request, _ connection: Connection) {
    counters.probes += 1
    markDirty(connection)
    let transport = connection.transport
    guard case .probe(let path, let isHead) = request else {
      if request == .malformed {
        return transport.answerProbe(status: 400, reason: "Bad Request", body: Array("This is no HTTP.\n".utf8))
      }
      return refuseHTTP1(transport)
    }
    switch Array(path.utf8).withUnsafeBytes({ Router.probe($0) }) {
    case .alive: transport.answerProbe(status: 200, reason: "OK", body: Array("ok\n".utf8), withBody: !isHead)
    case .ready:
      guard let problem = readiness else {
        return transport.answerProbe(status: 200, reason: "OK", body: Array("ready\n".utf8), withBody: !isHead)
      }
      let body = problemBody(problem, requestID: answers.nextRequestID())
      transport.answerProbe(
        status: 503, reason: "Service Unavailable", contentType: "application/problem+json", body: body,
        withBody: !isHead)
    case .metrics: transport.answerProbe(status: 200, reason: "OK", body: metrics(), withBody: !isHead)
    case nil: refuseHTTP1(transport)
    }
  }

  private func refuseHTTP1(_ transport: ServerConnection) {
    let line = "This port speaks HTTP/2 (curl --http2); HTTP/1.1 only for GET /healthz, /readyz and /metrics.\n"
    transport.answerProbe(status: 505, reason: "HTTP Version Not Supported", body: Array(line.utf8))
  }
}

extension Problem {
  static func edgeOverloaded(_ what: String) -> Problem {
    Problem(.overloaded, "This node has \(what). Wait as long as retry-after says, then repeat.")
  }
}
