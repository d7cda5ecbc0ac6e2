import FileStoreClient
import Primitives
import Ring
import Transport

/// A load generator for HTTP/2: one thread, one ring, a number of connections with a number of requests in flight on
/// each.
///
///     let load = try Load(endpoint, tls: nil, plan: plan)
///     let result = try load.run(FileStoreGet(place), .random(SeededRandom(seed: 1), count: 2_000_000))
///
/// **How it works.** All connections are opened first. Then, in each turn: requests that are there leave on connections
/// with room, one after the other; each connection's frames are sent at once; completions bring answers, which are
/// checked, and their times counted. It shares the machine with those whom it measures, so a request costs no
/// allocation of its own.
///
/// **Invariants.** Each request that left was answered rightly when `run` returns; an error, a wrong answer or silence
/// fails it. A load runs once.
final class Load {
  private static let openingMax = Nanoseconds.seconds(5)

  private let endpoint: Endpoint
  private let plan: LoadPlan
  private let ring: Ring
  private let connections: [LoadConnection]
  private let head = HeaderBlock()
  /// Connections whose handshake is done.
  private var opened = 0
  private var inFlight = 0
  private var nextConnection = 0
  private var result = LoadResult()
  private var lastAnswer = Instant.zero
  /// The first one ends the run, after all completions of its turn were taken.
  private var failure: String?
  /// Told of each request that was answered.
  var observe: ((_ arrived: Instant, _ answered: Instant) -> Void)?

  /// - Parameter tls: needed for a secure endpoint.
  init(_ endpoint: Endpoint, tls: TLSContext?, plan: LoadPlan) throws(BenchError) {
    self.endpoint = endpoint
    self.plan = plan
    ring = try BenchError.ring(entries: max(64, 4 * plan.shape.connections))
    let address: SocketAddress
    do throws(SocketAddress.Refusal) { address = try SocketAddress(endpoint.authority) } catch {
      throw .usage("\(error)")
    }
    let scratch = TransportScratch()
    var limits = HTTP2ClientLimits()
    limits.requestsMax = plan.shape.streams
    var made: [LoadConnection] = []
    for number in 0..<plan.shape.connections {
      let http = ClientConnection(
        endpoint.isSecure ? tls : nil, expecting: .host(endpoint.host), scratch: scratch, limits: limits)
      let socket = try BenchError.system { () throws(SystemError) in try Sockets.make(for: address) }
      made.append(LoadConnection(number, socket: socket, http: http, streams: plan.shape.streams))
    }
    connections = made
    for connection in connections { connection.connect(ring, to: address) }
  }

  /// The kernel has to give all buffers back before they are freed.
  deinit {
    for connection in connections { connection.close(ring) }
    while !connections.allSatisfy(\.isIdle) {
      for completion in ring.wait(until: nil) {
        _ = connections[LoadConnection.number(completion.token)].complete(ring, completion)
      }
    }
  }

  var now: Instant { ring.now() }

  func run(_ call: any Call, _ items: Items) throws(BenchError) -> LoadResult {
    var items = items
    try open(call)
    let start = ring.now()
    let latest = start + Nanoseconds(seconds: plan.secondsMax)
    var (schedule, now) = (Schedule(plan, start: start), start)
    lastAnswer = start
    while inFlight > 0 || !schedule.isOver(at: now) {
      send(call, &items, &schedule, now)
      try turn(call, until: wake(schedule, now))
      now = ring.now()
      if inFlight > 0, now >= lastAnswer + silenceMax { throw failed("no answer for \(plan.silenceSecondsMax) s") }
      if now >= latest { throw failed("not done within \(plan.secondsMax) s") }
    }
    result.seconds = Double((lastAnswer - start).rawValue) / 1e9
    return result
  }

  private var silenceMax: Nanoseconds { Nanoseconds(seconds: plan.silenceSecondsMax) }

  private func failed(_ reason: String) -> BenchError { .failed("\(endpoint): \(reason)") }

  private func open(_ call: any Call) throws(BenchError) {
    let latest = ring.now() + Load.openingMax
    while opened < connections.count {
      try turn(call, until: latest)
      if ring.now() >= latest { throw failed("\(opened) of \(connections.count) connections within 5 s") }
    }
  }

  /// Lets requests leave, each on the next connection with room.
  private func send(_ call: any Call, _ items: inout Items, _ schedule: inout Schedule, _ now: Instant) {
    while inFlight < plan.shape.inFlight, let arrived = schedule.begin(at: now) {
      while !connections[nextConnection].hasRoom { nextConnection = (nextConnection + 1) % connections.count }
      let item = items.next()
      let body = call.make(item, into: head)
      guard connections[nextConnection].submit(head, body: body, .init(item: item, arrived: arrived)) else {
        failure = "a connection takes no more requests"
        return
      }
      inFlight += 1
      nextConnection = (nextConnection + 1) % connections.count
    }
  }

  /// When there is something to do even if nothing happens.
  private func wake(_ schedule: Schedule, _ now: Instant) -> Instant {
    let silence = (inFlight > 0 ? lastAnswer : now) + silenceMax
    guard inFlight < plan.shape.inFlight, !schedule.isOver(at: now) else { return silence }
    return min(silence, schedule.nextArrival ?? now)
  }

  private func turn(_ call: any Call, until deadline: Instant) throws(BenchError) {
    for connection in connections { connection.flush(ring) }
    for completion in ring.wait(until: deadline) {
      let connection = connections[LoadConnection.number(completion.token)]
      if let reason = connection.complete(ring, completion) { failure = failure ?? reason }
      takeEvents(of: connection, call)
    }
    if let failure { throw failed(failure) }
  }

  private func takeEvents(of connection: LoadConnection, _ call: any Call) {
    while let event = connection.http.nextEvent() {
      switch event {
      case .opened: opened += 1
      case .http2(.response(let handle)): answered(handle, connection, call)
      case .http2(.failed(_, let reason)): failure = failure ?? reason.description
      case .http2(.draining): failure = failure ?? "the server is stopping"
      case .failed(let reason): failure = failure ?? reason.description
      case .ended: failure = failure ?? "the server has ended the connection"
      case .http2(.head), .http2(.body): preconditionFailure("no answer is streamed")
      }
    }
  }

  private func answered(_ handle: StreamHandle, _ connection: LoadConnection, _ call: any Call) {
    guard let answer = connection.http.http2.response(handle) else {
      preconditionFailure("an answer is there when it is announced")
    }
    let request = connection.finish(handle)
    inFlight -= 1
    do throws(WrongAnswer) { try call.check(answer, to: request.item) } catch { failure = failure ?? "\(error)" }
    connection.http.http2.release(handle)
    lastAnswer = ring.now()
    result.add(lastAnswer - request.arrived)
    observe?(request.arrived, lastAnswer)
  }
}

/// What a load has measured.
struct LoadResult {
  private(set) var latencies = Latencies()
  /// From the first request to the last answer.
  var seconds = 0.0

  var requests: Int { latencies.count }
  var perSecond: Double { seconds > 0 ? Double(requests) / seconds : 0 }

  mutating func add(_ time: Nanoseconds) { latencies.add(time.rawValue) }
}
