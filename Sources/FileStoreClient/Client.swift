import Primitives
import Ring
import Transport

/// A client of a FileStore cluster: HTTP/2 over TLS 1.3 to any of its nodes, many requests at once, safe repeats.
///
///     var configuration = ClientConfiguration(endpoints: […], authority: "ca/nodes.pem", identity: .token("fst1.…"))
///     let client = try Client(configuration)
///     let response = try client.send(ClientRequest(.get, "/v1/tables/packages/rows/bash"))
///
/// **How it works.** One thread and one io_uring. There is at most one connection to each endpoint, opened when a request
/// needs it. All requests go to one node, the *current* one, until its connection fails; then the next takes its place. A
/// request may name its node. `turn` gives requests to connections, waits for the kernel, and calls the completions; what
/// became of an attempt is judged by `RetryPolicy`.
///
/// **Invariants.** Every submitted request is completed exactly once, at its deadline at the latest (plus one tick of 20 ms). A
/// request that may not be executed twice is sent again only when it certainly was not executed. Completions run inside
/// `turn` and may submit further requests.
///
/// **What it does not do.** It knows no shards: any node forwards to the right leader. It holds no session for exactly-once
/// writes. It belongs to the thread that made it. Requests that are open when it is dropped are not completed.
public final class Client {
  /// Deadlines are met late by at most so much.
  static let tick = Nanoseconds.milliseconds(20)
  /// A node answers by the deadline it was told; so much longer is waited for that answer.
  static let answerGrace = Nanoseconds.milliseconds(500)

  public let configuration: ClientConfiguration
  let ring: Ring
  private let tls: TLSContext?
  private let scratch = TransportScratch()
  let head = HeaderBlock()
  private let policy: RetryPolicy
  private var random: SeededRandom
  let authorization: String?

  private var connections: [UInt32: Connection] = [:]
  private var nextConnection: UInt32 = 1
  /// The connection to each endpoint, if there is one that is not closing.
  private var byEndpoint: [Connection?]
  private var current = 0
  /// Exchanges that are not in flight, oldest first.
  private var waiting: [Exchange] = []
  private var sweptAt = Instant.zero

  public init(_ configuration: ClientConfiguration) throws(ClientError) {
    guard !configuration.endpoints.isEmpty else { throw .configuration("no endpoint is named") }
    self.configuration = configuration
    do throws(RingRefusal) { ring = try Ring(entries: 256) } catch { throw .configuration(error.description) }
    tls = try Client.makeContext(configuration)
    policy = RetryPolicy(endpoints: configuration.endpoints.count)
    byEndpoint = Array(repeating: nil, count: configuration.endpoints.count)
    random = SeededRandom(seed: Entropy.number())
    if case .token(let token) = configuration.identity {
      authorization = "Bearer " + token
    } else {
      authorization = nil
    }
  }

  /// The kernel has to give all buffers back before they are freed.
  deinit {
    for connection in connections.values {
      connection.exchanges = [:]
      connection.close(ring)
    }
    while !connections.isEmpty {
      for (id, connection) in connections where connection.isReleasable {
        connections[id] = nil
        Sockets.closeNow(connection.socket)
      }
      if connections.isEmpty { return }
      for completion in Array(ring.wait(until: nil)) {
        guard let (id, operation) = Connection.decode(completion.token) else { continue }
        _ = connections[id]?.complete(ring, operation, completion, now: .zero)
      }
    }
  }

  /// Nil when no endpoint is secure.
  private static func makeContext(_ configuration: ClientConfiguration) throws(ClientError) -> TLSContext? {
    guard configuration.endpoints.contains(where: \.isSecure) else { return nil }
    guard let authority = configuration.authority else {
      throw .configuration("the CA of the nodes is not named: without it no node can be trusted")
    }
    var settings = TLSContext.ClientSettings(nodeAuthority: .file(authority))
    if case .certificate(let file, let key) = configuration.identity {
      settings.certificate = .file(file)
      settings.key = .file(key)
    }
    do throws(TLSRefusal) { return try TLSContext(client: settings) } catch {
      throw .configuration(error.description)
    }
  }

  // MARK: requests

  /// Begins a request. `completion` is called inside a later `turn`.
  public func submit(_ request: ClientRequest, _ completion: @escaping (Result<ClientResponse, ClientError>) -> Void) {
    if let endpoint = request.endpoint {
      precondition(configuration.endpoints.indices.contains(endpoint), "a request names an endpoint that there is")
    }
    waiting.append(Exchange(request, now: ring.now(), completion: completion))
  }

  /// Sends a request and waits for its answer, which may be a refusal of the server's (`problem`).
  public func send(_ request: ClientRequest) throws(ClientError) -> ClientResponse {
    var result: Result<ClientResponse, ClientError>?
    submit(request) { result = $0 }
    while true {
      if let result { return try result.get() }
      try turn()
    }
  }

  /// Requests that are not completed.
  public var openRequests: Int { waiting.count + connections.values.reduce(0) { $0 + $1.exchanges.count } }

  // MARK: the loop

  /// Does what there is to do, waiting until something happens, at most one tick of 20 ms.
  public func turn() throws(ClientError) {
    dispatch(ring.now())
    for connection in connections.values { connection.send(ring) }
    let completions = Array(ring.wait(until: nextWake(ring.now())))
    let now = ring.now()
    for completion in completions { take(completion, now) }
    for connection in connections.values { drainEvents(connection, now) }
    if now >= sweptAt + Client.tick {
      sweptAt = now
      sweep(now)
    }
  }

  private func nextWake(_ now: Instant) -> Instant {
    var wake = now + Client.tick
    for exchange in waiting where exchange.notBefore > now { wake = min(wake, exchange.notBefore) }
    return wake
  }

  /// Gives waiting exchanges to connections that have room.
  private func dispatch(_ now: Instant) {
    guard !waiting.isEmpty else { return }
    let candidates = waiting
    waiting.removeAll(keepingCapacity: true)
    for exchange in candidates where exchange.notBefore > now || !start(exchange, now) { waiting.append(exchange) }
  }

  /// True when the exchange has been sent, or has been dealt with otherwise.
  private func start(_ exchange: Exchange, _ now: Instant) -> Bool {
    let endpoint = exchange.request.endpoint ?? exchange.preferred ?? current
    let connection: Connection
    if let open = byEndpoint[endpoint] {
      connection = open
    } else {
      switch connect(to: endpoint, now) {
      case .success(let made): connection = made
      case .failure(let error):
        rotate(from: endpoint)
        conclude(exchange, .notSent("\(configuration.endpoints[endpoint]): \(error)"), now)
        return true
      }
    }
    exchange.preferred = endpoint
    guard connection.state == .open, connection.exchanges.count < configuration.streamsMax else { return false }
    guard let handle = send(exchange, on: connection, now) else { return false }
    connection.exchanges[handle] = exchange
    return true
  }

  // MARK: connections

  private enum ConnectFailure: Error, CustomStringConvertible {
    case address(SocketAddress.Refusal)
    case system(SystemError)
    var description: String {
      switch self {
      case .address(let refusal): refusal.description
      case .system(let error): error.description
      }
    }
  }

  private func connect(to index: Int, _ now: Instant) -> Result<Connection, ConnectFailure> {
    let endpoint = configuration.endpoints[index]
    let address: SocketAddress
    do throws(SocketAddress.Refusal) { address = try SocketAddress(endpoint.authority) } catch {
      return .failure(.address(error))
    }
    let socket: Int32
    do throws(SystemError) { socket = try Sockets.make(for: address) } catch { return .failure(.system(error)) }
    let http = ClientConnection(
      endpoint.isSecure ? tls : nil, expecting: .host(endpoint.host), scratch: scratch)
    let connection = Connection(
      id: nextConnection, endpoint: index, socket: socket, http: http, now: now,
      openBy: now + .milliseconds(UInt64(configuration.connectMilliseconds)))
    nextConnection &+= 1
    connections[connection.id] = connection
    byEndpoint[index] = connection
    connection.connect(ring, to: address)
    return .success(connection)
  }

  private func rotate(from endpoint: Int) {
    if current == endpoint { current = (endpoint + 1) % configuration.endpoints.count }
  }

  private func take(_ completion: Completion, _ now: Instant) {
    guard let (id, operation) = Connection.decode(completion.token), let connection = connections[id] else { return }
    if let reason = connection.complete(ring, operation, completion, now: now) {
      connection.http.inputEnded(reason)
    }
    releaseIfDone(connection)
  }

  private func releaseIfDone(_ connection: Connection) {
    guard connection.isReleasable else { return }
    connections[connection.id] = nil
    Sockets.closeNow(connection.socket)
  }

  private func drainEvents(_ connection: Connection, _ now: Instant) {
    while connection.state != .closing, let event = connection.http.nextEvent() {
      switch event {
      case .opened: connection.state = .open
      case .http2(let event): handle(event, on: connection, now)
      case .failed(.tls(let failure)): end(connection, failure.description, isTrusted: false, now)
      case .failed(let failure): end(connection, failure.description, now)
      case .ended: end(connection, connection.http.http2.failure ?? "the connection has ended", now)
      }
    }
    if connection.isDraining, connection.exchanges.isEmpty, connection.state == .open {
      end(connection, "the node is stopping", now)
    }
  }

  /// Ends a connection; what was in flight is lost, what waited for it goes elsewhere.
  private func end(_ connection: Connection, _ reason: String, isTrusted: Bool = true, _ now: Instant) {
    let text = "\(configuration.endpoints[connection.endpoint]): \(reason)"
    let wasOpen = connection.state == .open
    rotate(from: connection.endpoint)
    if byEndpoint[connection.endpoint] === connection { byEndpoint[connection.endpoint] = nil }
    let lost = connection.exchanges
    connection.exchanges = [:]
    connection.close(ring)
    for (_, exchange) in lost { conclude(exchange, .lost(text), now) }
    redirect(from: connection.endpoint, now) { exchange in
      if wasOpen {
        exchange.preferred = exchange.request.endpoint
        waiting.append(exchange)
      } else {
        conclude(exchange, isTrusted ? .notSent(text) : .notTrusted(text), now)
      }
    }
    releaseIfDone(connection)
  }

  /// Takes the exchanges that wait for a connection to `endpoint` out of the queue and hands them on.
  private func redirect(from endpoint: Int, _ now: Instant, _ body: (Exchange) -> Void) {
    let stranded = waiting.filter { $0.preferred == endpoint && $0.notBefore <= now }
    waiting.removeAll { $0.preferred == endpoint && $0.notBefore <= now }
    for exchange in stranded { body(exchange) }
  }

  private func handle(_ event: HTTP2ClientSession.Event, on connection: Connection, _ now: Instant) {
    switch event {
    case .response(let handle):
      guard let exchange = connection.exchanges.removeValue(forKey: handle) else { return }
      let response = connection.http.http2.response(handle).map { ClientResponse($0, endpoint: connection.endpoint) }
      connection.http.http2.release(handle)
      guard let response else { preconditionFailure("an answer is there when it is announced") }
      conclude(exchange, .answered(response), now)
    case .failed(let handle, let failure):
      connection.http.http2.release(handle)
      guard let exchange = connection.exchanges.removeValue(forKey: handle) else { return }
      let text = "\(configuration.endpoints[connection.endpoint]): \(failure)"
      conclude(exchange, failure.isUnprocessed ? .notSent(text) : .lost(text), now)
    case .draining:
      connection.isDraining = true
      rotate(from: connection.endpoint)
      if byEndpoint[connection.endpoint] === connection { byEndpoint[connection.endpoint] = nil }
    case .head, .body: break
    }
  }

  // MARK: the end of an attempt

  private func conclude(_ exchange: Exchange, _ outcome: AttemptOutcome, _ now: Instant) {
    exchange.attempts = max(exchange.attempts, 1)
    let mayHaveExecutedBefore = exchange.mayHaveExecuted
    exchange.note(outcome)
    let decision = policy.decide(
      outcome, of: exchange.request, attempt: exchange.attempts, left: exchange.deadline - now, random: &random)
    switch decision {
    case .deliver:
      if case .answered(var response) = outcome {
        response.mayHaveExecutedBefore = mayHaveExecutedBefore
        exchange.finish(.success(response))
      } else {
        exchange.finish(.failure(exchange.error))
      }
    case .again(let after, let address):
      switch outcome {
      case .notSent, .notTrusted: exchange.attempts += 1
      case .answered, .lost: break
      }
      exchange.notBefore = now + after
      exchange.preferred = exchange.request.endpoint ?? address.flatMap(index)
      waiting.append(exchange)
    }
  }

  private func index(of address: String) -> Int? {
    guard let wanted = Endpoint(address) else { return nil }
    return configuration.endpoints.firstIndex { $0.host == wanted.host && $0.port == wanted.port }
  }

  /// Looks for deadlines that have passed.
  private func sweep(_ now: Instant) {
    let expired = waiting.filter { $0.deadline <= now }
    waiting.removeAll { $0.deadline <= now }
    for exchange in expired { exchange.finish(.failure(exchange.error)) }
    for connection in connections.values where connection.state != .closing {
      if connection.state != .open, connection.openBy <= now {
        end(connection, "no connection within \(configuration.connectMilliseconds) ms", now)
      } else {
        sweep(connection, now)
      }
    }
  }

  private func sweep(_ connection: Connection, _ now: Instant) {
    var isSilent = false
    for (handle, exchange) in connection.exchanges where exchange.attemptDeadline <= now {
      connection.exchanges[handle] = nil
      connection.http.http2.release(handle)
      if connection.heardAt < exchange.attemptStarted { isSilent = true }
      conclude(exchange, .lost("\(configuration.endpoints[connection.endpoint]): no answer in time"), now)
    }
    if isSilent { end(connection, "the node has said nothing for a whole deadline", now) }
  }
}
