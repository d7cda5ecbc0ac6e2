import Glibc
import Logging
import Node
import Primitives
import Ring
import Transport

/// All accepted connections of a thread: taken in, fed, answered, ended.
///
///     accept ─► handshake ─► HTTP/2: requests ─► authenticate ─► route ─► node … reply ─► answer
///                        ├─► HTTP/1.1: one probe, one answer, close
///                        └─► another node: hello, then payloads to the inbox
///
/// **Invariants.** A connection has at most one receive and one send in flight; its slot is free again only when both have
/// completed. A request is answered once, or its stream has gone. Everything is bounded by `EdgeLimits`: who does not read
/// his answers is not read from; who does not finish a handshake, a request or a read in time is cut off.
package final class Clients {
  let ring: Ring
  let node: Node
  let inbox: Inbox
  let log: Logger
  let limits: EdgeLimits
  let answers: Answers
  let authenticator: Authenticator
  let arrivals: PeerArrivals
  private let context: TLSContext?
  private let scratch: TransportScratch
  private let bodies: BodyBudget
  var connections: [Connection?] = []
  private var freeSlots: [Int] = []
  private var nextNumber: UInt64 = 1
  private var dirty: [Connection] = []
  var pending = PendingTable()
  var largePending = 0
  /// Scans and lookups that wait until fewer are being worked on, in order.
  var largeWaiting: [Request] = []
  var waitingBytes = 0
  /// What connections hold of memory, when that was last looked at.
  private(set) var heldBytes = 0
  var counters = EdgeCounters()
  private var throttle = LogThrottle()
  private var nextSweep = Instant.zero
  private var listener: ListenerBox?
  private(set) var isDraining = false
  /// Answers `/metrics`; set by the server.
  var metrics: () -> [UInt8] = { [] }
  /// Of this turn.
  var now = Instant.zero
  /// Seconds since 1970, of this turn.
  var wallSeconds: UInt64 = 0

  package init(
    ring: Ring, node: Node, inbox: Inbox, log: Logger, limits: EdgeLimits, context: TLSContext?,
    scratch: TransportScratch, answers: Answers, authenticator: Authenticator, arrivals: PeerArrivals
  ) {
    self.ring = ring
    self.node = node
    self.inbox = inbox
    self.log = log
    self.limits = limits
    self.context = context
    self.scratch = scratch
    self.answers = answers
    self.authenticator = authenticator
    self.arrivals = arrivals
    bodies = BodyBudget(limitBytes: limits.bodyBytesMax)
  }

  var count: Int { connections.count - freeSlots.count }

  package func beginTurn(_ now: Instant) {
    self.now = now
    wallSeconds = wallTime() / 1_000_000_000
  }

  // MARK: - Accepting

  func listen(_ listener: ListenerBox) {
    self.listener = listener
    ring.accept(on: listener.listener.descriptor, token: Token(.accept).rawValue)
  }

  /// No new connections; those that are there are told to go elsewhere.
  func drain() {
    isDraining = true
    ring.cancel(Token(.accept).rawValue)
    for case let connection? in connections {
      connection.transport.http2?.drain()
      markDirty(connection)
    }
  }

  package func accepted(_ result: Int32, isMore: Bool) {
    if result >= 0 { take(result) } else { acceptFailed(-result) }
    if isDraining {
      if !isMore { listener = nil }
      return
    }
    if !isMore, let listener { ring.accept(on: listener.listener.descriptor, token: Token(.accept).rawValue) }
  }

  private func acceptFailed(_ code: Int32) {
    guard code != ECANCELED, code != ECONNABORTED, code != EINTR else { return }
    counters.acceptFailures += 1
    say(.warning, "a connection could not be accepted", ["reason": "\(systemText(code))"])
  }

  private func take(_ descriptor: Int32) {
    counters.accepted += 1
    guard count < limits.connectionsMax, heldBytes <= limits.connectionBytesMax, !isDraining else {
      counters.refused += 1
      let limit = "\(limits.connectionsMax) connections, \(limits.connectionBytesMax) bytes"
      say(.warning, "a connection was refused: there are as many as allowed", ["limit": "\(limit)"])
      return ring.close(descriptor)
    }
    let slot = freeSlots.popLast() ?? connections.count
    if slot == connections.count { connections.append(nil) }
    let socket = SocketPump(
      descriptor, ring: ring, receive: Token(.receive, slot), send: Token(.send, slot), bufferBytes: 16 << 10,
      bufferBytesMax: 256 << 10)
    let transport = ServerConnection(context, scratch: scratch, limits: limits.http2, budget: bodies)
    let connection = Connection(slot: slot, number: nextNumber, transport: transport, socket: socket, now: now)
    nextNumber += 1
    connections[slot] = connection
    socket.receive()
  }

  // MARK: - Bytes

  package func received(_ slot: Int, _ result: Int32) {
    guard let connection = connections[slot] else { preconditionFailure("a receive in flight has its connection") }
    let bytes = connection.socket.received(result)
    if connection.isEnding { return end(connection) }
    guard bytes.count > 0 else {
      connection.transport.inputEnded()
      takeEvents(connection)
      return end(connection)
    }
    counters.bytesReceived += UInt64(bytes.count)
    connection.lastReceived = now
    connection.isSpare = false
    connection.transport.receive(bytes, at: now)
    takeEvents(connection)
    markDirty(connection)
    receiveMore(connection)
  }

  /// Reads on, unless so many answers wait that the client should first take them.
  private func receiveMore(_ connection: Connection) {
    guard !connection.isEnding, !connection.socket.isReceiving else { return }
    connection.isPaused = connection.waitingBytes > limits.connectionWaitingBytesMax
    if !connection.isPaused { connection.socket.receive() }
  }

  package func sent(_ slot: Int, _ result: Int32) {
    guard let connection = connections[slot] else { preconditionFailure("a send in flight has its connection") }
    connection.socket.sent()
    if connection.isEnding { return end(connection) }
    guard result > 0 else { return end(connection) }
    counters.bytesSent += UInt64(result)
    if let rest = connection.transport.didSend(Int(result)) { return submit(rest, connection) }
    markDirty(connection)
  }

  /// What the socket does not take at once, and what is produced after it took all, goes by the ring.
  private func send(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) {
    let taken = connection.socket.sendNow(bytes)
    counters.bytesSent += UInt64(taken)
    if let rest = connection.transport.didSend(taken) ?? connection.transport.takeOutput() { submit(rest, connection) }
  }

  private func submit(_ bytes: UnsafeRawBufferPointer, _ connection: Connection) {
    connection.sendingSince = now
    connection.socket.send(bytes)
  }

  func markDirty(_ connection: Connection) {
    guard !connection.isDirty else { return }
    connection.isDirty = true
    dirty.append(connection)
  }

  /// Sends what the turn produced, everybody's at once.
  package func flush() {
    var index = 0
    while index < dirty.count {
      let connection = dirty[index]
      index += 1
      connection.isDirty = false
      flush(connection)
    }
    dirty.removeAll(keepingCapacity: true)
  }

  private func flush(_ connection: Connection) {
    guard !connection.isEnding else { return }
    if !connection.socket.isSending, let bytes = connection.transport.takeOutput() { send(bytes, connection) }
    takeEvents(connection)
    countWaiting(connection)
    if connection.transport.isFinished || isDrained(connection) { return end(connection) }
    if connection.isPaused { receiveMore(connection) }
  }

  private func isDrained(_ connection: Connection) -> Bool {
    connection.transport.http2?.isDrained == true && !connection.socket.isSending
  }

  /// Only while something is being sent can anything wait.
  private func countWaiting(_ connection: Connection) {
    var waiting = 0
    if connection.socket.isSending {
      waiting = connection.transport.outputBytes + (connection.transport.http2?.waitingBytes ?? 0)
    }
    waitingBytes += waiting - connection.waitingBytes
    connection.waitingBytes = waiting
  }

  // MARK: - The end

  /// Begins or goes on ending a connection; its slot is free once the kernel uses nothing of it any more.
  func end(_ connection: Connection) {
    if !connection.isEnding {
      connection.isEnding = true
      connection.transport.inputEnded()
      connection.streams = [:]
      waitingBytes -= connection.waitingBytes
      connection.waitingBytes = 0
      if let peer = connection.peer { arrivals.ended(peer, connection.number) }
    }
    guard connection.socket.close(), connections[connection.slot] === connection else { return }
    connections[connection.slot] = nil
    freeSlots.append(connection.slot)
  }

  /// Says goodbye to everybody.
  func finishAll() {
    for case let connection? in connections where !connection.isEnding {
      connection.transport.finish()
      markDirty(connection)
    }
    flush()
  }

  // MARK: - Deadlines

  package var nextDeadline: Instant { count == 0 ? .never : nextSweep }

  /// Once a second: cuts off whoever takes longer than is allowed.
  package func sweep() {
    guard now >= nextSweep else { return }
    nextSweep = now + .seconds(1)
    throttle.refill()
    for case let connection? in connections where !connection.isEnding { check(connection) }
    measureHeld()
  }

  /// Connections that rest give back memory; what all of them hold then is known until the next sweep.
  private func measureHeld() {
    heldBytes = 0
    for case let connection? in connections {
      let rests = connection.openStreams == 0 && !connection.socket.isSending
      if rests, !connection.isSpare, now - connection.lastReceived > .seconds(1) {
        connection.transport.releaseSpare()
        connection.isSpare = true
      }
      heldBytes += Self.connectionBytes + connection.socket.heldBytes + connection.transport.heldBytes
    }
  }

  /// TLS, HTTP/2 and tables of one connection, about.
  private static let connectionBytes = 64 << 10

  private func check(_ connection: Connection) {
    if !connection.isOpened, now - connection.acceptedAt > limits.handshakeTime {
      counters.handshakesTimedOut += 1
      say(.info, "a connection did not say in time what it wants")
      return end(connection)
    }
    if connection.socket.isSending, now - connection.sendingSince > limits.stalledTime {
      counters.stalled += 1
      say(.info, "a connection was cut off: its client does not read")
      return end(connection)
    }
    if connection.peer != nil {
      if now - connection.lastReceived > Link.silenceMax { end(connection) }
      return
    }
    if let session = connection.transport.http2, session.openStreams > 0 {
      checkStreams(connection, session)
    } else if now - connection.lastReceived > limits.idleTime {
      connection.transport.http2?.drain()
      markDirty(connection)
    }
  }

  private func checkStreams(_ connection: Connection, _ session: HTTP2ServerSession) {
    let limit = limits.uploadTime
    if now.nanoseconds > limit.rawValue {
      let moment = Instant(nanoseconds: now.nanoseconds - limit.rawValue)
      counters.uploadsTimedOut += UInt64(session.expireIncomplete(startedBefore: moment))
    }
    for (name, stream) in connection.streams where stream.fullSince != .zero && now - stream.fullSince > stream.timeout
    {
      connection.streams[name] = nil
      session.reset(StreamHandle(rawValue: name))
    }
    markDirty(connection)
  }

  /// Writes a line about clients, of which there may be many: some a second.
  func say(_ level: Logger.Level, _ text: Logger.Message, _ fields: Logger.Metadata = [:]) {
    guard throttle.take() else { return }
    var fields = fields
    if throttle.suppressed > 0 { fields["lines_left_out"] = "\(throttle.takeSuppressed())" }
    log.log(level: level, text, metadata: fields)
  }
}

/// What `/metrics` tells of connections.
struct EdgeCounters {
  var accepted: UInt64 = 0
  var refused: UInt64 = 0
  var acceptFailures: UInt64 = 0
  var bytesReceived: UInt64 = 0
  var bytesSent: UInt64 = 0
  var handshakesTimedOut: UInt64 = 0
  var uploadsTimedOut: UInt64 = 0
  var stalled: UInt64 = 0
  var probes: UInt64 = 0
  var overloaded: UInt64 = 0
  /// By cause, in the order of `TLSFailure.Cause.allCases`.
  var handshakeFailures = [UInt64](repeating: 0, count: TLSFailure.Cause.allCases.count)
  /// By hundreds of the status: 2xx at index 2.
  var answers = InlineArray<6, UInt64>(repeating: 0)
  /// By `RequestKind`.
  var latencies = [Histogram](repeating: Histogram(), count: RequestKind.allCases.count)

  mutating func countHandshakeFailure(_ cause: TLSFailure.Cause) {
    guard let index = TLSFailure.Cause.allCases.firstIndex(of: cause) else { return }
    handshakeFailures[index] += 1
  }
}

/// So many lines a second; counts those that are left out.
struct LogThrottle {
  private var left = 20
  private(set) var suppressed = 0

  mutating func refill() { left = 20 }

  mutating func take() -> Bool {
    left -= 1
    if left < 0 { suppressed += 1 }
    return left >= 0
  }

  mutating func takeSuppressed() -> Int {
    defer { suppressed = 0 }
    return suppressed
  }
}

/// A listener that several parts hold.
final class ListenerBox {
  let listener: Listener
  init(_ address: SocketAddress) throws(SystemError) { listener = try Listener(address) }
}
