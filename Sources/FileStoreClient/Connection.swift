import Primitives
import Ring
import Transport

/// One connection to a node: its socket, its operations on the ring, its HTTP/2 session, the exchanges in flight on it.
///
///     connecting ──► opening (TLS) ──► open ──► closing ──► closed
///
/// **Invariant.** The buffers live until the last operation on the socket has completed, however the connection ends:
/// `isReleasable` says when the connection may be dropped.
final class Connection {
  enum State: Equatable {
    case connecting
    case opening
    case open
    /// Ended; only the completions of its operations are awaited.
    case closing
  }

  enum Operation: UInt64 {
    case connect = 1
    case receive = 2
    case send = 3
  }

  let id: UInt32
  let endpoint: Int
  let socket: Int32
  let http: ClientConnection
  let openBy: Instant
  var state = State.connecting
  var exchanges: [StreamHandle: Exchange] = [:]
  /// The last moment at which the node showed life.
  var heardAt: Instant
  /// The server takes no further requests here.
  var isDraining = false

  private let buffer: UnsafeMutableRawBufferPointer
  private var operations = 0

  init(
    id: UInt32, endpoint: Int, socket: Int32, http: ClientConnection, now: Instant, openBy: Instant
  ) {
    self.id = id
    self.endpoint = endpoint
    self.socket = socket
    self.http = http
    self.openBy = openBy
    heardAt = now
    buffer = .allocate(byteCount: 64 << 10, alignment: 16)
  }

  deinit {
    precondition(operations == 0, "a connection is dropped after its last completion")
    buffer.deallocate()
  }

  var isReleasable: Bool { state == .closing && operations == 0 }

  private func token(_ operation: Operation) -> UInt64 { UInt64(id) << 8 | operation.rawValue }

  static func decode(_ token: UInt64) -> (id: UInt32, operation: Operation)? {
    Operation(rawValue: token & 0xFF).map { (UInt32(truncatingIfNeeded: token >> 8), $0) }
  }

  // MARK: operations

  func connect(_ ring: Ring, to address: SocketAddress) {
    operations += 1
    ring.connect(socket, to: address, token: token(.connect))
  }

  func receive(_ ring: Ring) {
    guard state != .closing else { return }
    operations += 1
    ring.receive(socket, into: buffer, token: token(.receive))
  }

  /// Sends what waits, unless something is on its way.
  func send(_ ring: Ring) {
    guard state == .opening || state == .open, let bytes = http.takeOutput() else { return }
    submit(ring, bytes)
  }

  private func submit(_ ring: Ring, _ bytes: UnsafeRawBufferPointer) {
    operations += 1
    ring.send(socket, bytes, token: token(.send))
  }

  /// Takes a completion. Returns why the connection has ended, when it has.
  func complete(_ ring: Ring, _ operation: Operation, _ completion: Completion, now: Instant) -> String? {
    operations -= 1
    guard state != .closing else { return nil }
    if completion.isFailure { return systemText(completion.code) }
    switch operation {
    case .connect:
      state = .opening
      http.start()
      receive(ring)
    case .receive:
      heardAt = now
      guard completion.result > 0 else {
        http.inputEnded()
        return nil
      }
      http.receive(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<Int(completion.result)]))
      receive(ring)
    case .send:
      if let rest = http.didSend(Int(completion.result)) { submit(ring, rest) }
    }
    return nil
  }

  /// Ends it: no exchange may be left. The socket is closed when the kernel has given everything back.
  func close(_ ring: Ring) {
    precondition(exchanges.isEmpty, "exchanges are taken off a connection before it ends")
    guard state != .closing else { return }
    state = .closing
    if operations > 0 { ring.cancelAll(on: socket) }
  }
}
