import Glibc
import Logging
import Node
import Primitives
import Ring
import Transport

/// The link that this node opened to another one: payloads go out on it. Opened again whenever it breaks.
///
///     waiting ─► connecting ─► greeting (TLS, hello both ways) ─► open
///        ▲            └────────────┴──── any failure ──────────────┘
///        └── after 20 ms, doubled up to 500 ms ── closing
///
/// A link is dead when nothing came for `silenceMax` though it was pinged once a second: it is closed, and so the node
/// learns of it.
final class Link {
  static let silenceMax = Nanoseconds.seconds(3)
  private static let pingInterval = Nanoseconds.seconds(1)
  private static let openTime = Nanoseconds.seconds(3)
  private static let backoffMin = Nanoseconds.milliseconds(20)
  private static let backoffMax = Nanoseconds.milliseconds(500)

  enum State {
    case waiting
    case connecting
    case greeting(PeerConnection)
    case open(PeerConnection)
    /// The kernel still uses the socket's buffers.
    case closing
  }

  let peer: NodeID
  private let index: Int
  private let address: SocketAddress
  private let ring: Ring
  private let inbox: Inbox
  private let log: Logger
  private let settings: LinkSettings
  private(set) var state = State.waiting
  private var socket: SocketPump?
  /// What the socket sends from, as long as it does.
  private var sender: PeerConnection?
  private var retryAt = Instant.zero
  private var backoff = Link.backoffMin
  private var since = Instant.zero
  private var lastReceived = Instant.zero
  private var lastPing = Instant.zero
  private var isComplaining = false
  private(set) var opens: UInt64 = 0
  private(set) var dropped: UInt64 = 0
  private(set) var sentPayloads: UInt64 = 0

  init(
    _ peer: NodeID, index: Int, address: SocketAddress, ring: Ring, inbox: Inbox, log: Logger, settings: LinkSettings
  ) {
    self.peer = peer
    self.index = index
    self.address = address
    self.ring = ring
    self.inbox = inbox
    self.log = log
    self.settings = settings
  }

  var isOpen: Bool {
    if case .open = state { return true }
    return false
  }

  // MARK: - Time

  var nextDeadline: Instant {
    switch state {
    case .waiting: retryAt
    case .connecting, .greeting: since + Self.openTime
    case .open: min(lastPing + Self.pingInterval, lastReceived + Self.silenceMax)
    case .closing: .never
    }
  }

  func tick(_ now: Instant) {
    guard now >= nextDeadline else { return }
    switch state {
    case .waiting: dial(now)
    case .connecting, .greeting: fail("it does not answer", now)
    case .open(let connection):
      if now >= lastReceived + Self.silenceMax { return fail("it has been silent for too long", now) }
      lastPing = now
      [LinkFrame.Kind.ping.rawValue].withUnsafeBytes { connection.sendFrame($0) }
    case .closing: break
    }
  }

  // MARK: - Opening

  private func dial(_ now: Instant) {
    since = now
    do throws(SystemError) {
      let descriptor = try Sockets.make(for: address)
      let socket = SocketPump(
        descriptor, ring: ring, receive: Token(.linkReceive, index), send: Token(.linkSend, index),
        bufferBytes: 16 << 10, bufferBytesMax: 64 << 10)
      self.socket = socket
      try Sockets.setSendTimeout(descriptor, milliseconds: Int32(Self.silenceMax.rawValue / 1_000_000))
      socket.isConnecting = true
      state = .connecting
      ring.connect(descriptor, to: address, token: Token(.connect, index).rawValue)
    } catch { fail("\(error)", now) }
  }

  func connected(_ result: Int32, _ now: Instant) {
    socket?.isConnecting = false
    guard case .connecting = state else { return settle(now) }
    guard result == 0 else { return fail(systemText(-result), now) }
    let connection = PeerConnection(
      settings.context, expecting: .node(cluster: settings.clusterID, id: peer), scratch: settings.scratch)
    state = .greeting(connection)
    connection.start()
    takeEvents(connection, now)
    socket?.receive()
  }

  private func takeEvents(_ connection: PeerConnection, _ now: Instant) {
    while let event = connection.nextEvent() {
      switch event {
      case .opened: settings.hello.encoded(to: peer).withUnsafeBytes { connection.sendFrame($0) }
      case .frames: takeFrames(connection, now)
      case .failed(let failure): return fail("\(failure)", now)
      case .ended: return fail("it ended the connection", now)
      }
    }
  }

  private func takeFrames(_ connection: PeerConnection, _ now: Instant) {
    while let frame = connection.nextFrame() {
      switch (LinkFrame.kind(of: frame), state) {
      case (.hello, .greeting): greeted(LinkFrame.body(of: frame), connection, now)
      case (.pong, .open): break
      default: return fail("it sent a frame out of its place", now)
      }
    }
  }

  private func greeted(_ body: UnsafeRawBufferPointer, _ connection: PeerConnection, _ now: Instant) {
    do throws(DecodeError) {
      let theirs = try Hello(decoding: body)
      guard theirs.cluster == settings.hello.cluster, theirs.node == peer, theirs.to == settings.hello.node else {
        return fail("there is \(theirs.node) of the cluster \(hexadecimal(theirs.cluster))", now)
      }
      state = .open(connection)
      opens += 1
      backoff = Self.backoffMin
      isComplaining = false
      lastPing = now
      log.info("connected to a peer", metadata: ["peer": "\(peer)", "boot": "\(theirs.boot)"])
      inbox.put(.linkOpened(peer))
    } catch { fail(error.message, now) }
  }

  // MARK: - Bytes

  /// Gives a payload to the link. Dropped when the link is not open or too much waits, as a network may do.
  func send(_ payload: [UInt8]) {
    guard case .open(let connection) = state else { return }
    guard connection.outputBytes + payload.count <= settings.bytesMax else {
      dropped += 1
      return
    }
    sentPayloads += 1
    payload.withUnsafeBytes { bytes in
      var rest = bytes[...]
      while rest.count > LinkFrame.partBytes {
        settings.framed(.part, UnsafeRawBufferPointer(rebasing: rest.prefix(LinkFrame.partBytes))) {
          connection.sendFrame($0)
        }
        rest = rest.dropFirst(LinkFrame.partBytes)
      }
      let kind: LinkFrame.Kind = rest.count == bytes.count ? .payload : .lastPart
      settings.framed(kind, UnsafeRawBufferPointer(rebasing: rest)) { connection.sendFrame($0) }
    }
  }

  func received(_ result: Int32, _ now: Instant) {
    guard let socket else { preconditionFailure("a receive in flight has its socket") }
    let bytes = socket.received(result)
    guard let connection = current else { return settle(now) }
    guard bytes.count > 0 else { return fail(result < 0 ? systemText(-result) : "it ended the connection", now) }
    lastReceived = now
    connection.receive(bytes)
    takeEvents(connection, now)
    if current != nil { socket.receive() }
  }

  func sent(_ result: Int32, _ now: Instant) {
    guard let socket else { preconditionFailure("a send in flight has its socket") }
    socket.sent()
    guard let connection = current else { return settle(now) }
    guard result > 0 else { return fail(result < 0 ? systemText(-result) : "it ended the connection", now) }
    if let rest = connection.didSend(Int(result)) { socket.send(rest) }
  }

  /// Sends what the turn produced.
  func flush() {
    guard let connection = current, let socket, !socket.isSending, let bytes = connection.takeOutput() else { return }
    guard let rest = connection.didSend(socket.sendNow(bytes)) ?? connection.takeOutput() else { return }
    sender = connection
    socket.send(rest)
  }

  private var current: PeerConnection? {
    switch state {
    case .greeting(let connection), .open(let connection): connection
    default: nil
    }
  }

  // MARK: - The end

  private func fail(_ reason: String, _ now: Instant) {
    if case .closing = state { return }
    if isOpen {
      log.warning("lost the connection to a peer", metadata: ["peer": "\(peer)", "reason": "\(reason)"])
      inbox.put(.linkClosed(peer))
    } else if !isComplaining {
      isComplaining = true
      log.warning(
        "a peer cannot be reached; trying again until it can",
        metadata: ["peer": "\(peer)", "address": "\(address)", "reason": "\(reason)"])
    }
    state = .closing
    retryAt = now + backoff
    backoff = min(Nanoseconds(backoff.rawValue * 2), Self.backoffMax)
    settle(now)
  }

  /// Waits until the kernel uses nothing of the old socket; then it may be opened anew.
  private func settle(_ now: Instant) {
    guard case .closing = state else { return }
    if let socket, !socket.close() { return }
    socket = nil
    sender = nil
    state = .waiting
  }

  /// Ends the link for good: the process stops.
  func finish() {
    guard let connection = current else { return }
    connection.finish()
    flush()
  }
}

/// What all links of a node share.
final class LinkSettings {
  let context: TLSContext?
  let scratch: TransportScratch
  let clusterID: String
  let hello: Hello
  let bytesMax: Int
  private let frame = OutputBuffer(capacity: 64 << 10)

  init(context: TLSContext?, scratch: TransportScratch, clusterID: String, hello: Hello, bytesMax: Int) {
    self.context = context
    self.scratch = scratch
    self.clusterID = clusterID
    self.hello = hello
    self.bytesMax = bytesMax
  }

  /// The frame of a kind and its body, valid inside `use`.
  func framed(_ kind: LinkFrame.Kind, _ body: UnsafeRawBufferPointer, _ use: (UnsafeRawBufferPointer) -> Void) {
    frame.removeAll()
    frame.append([kind.rawValue])
    frame.append(body)
    use(frame.bytes)
  }
}
