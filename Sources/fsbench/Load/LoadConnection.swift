import Primitives
import Ring
import Transport

/// One connection of a load: socket, HTTP/2 and the requests in flight.
///
/// **Invariant.** The buffer lives until the last operation on the socket has completed (`isIdle`).
final class LoadConnection {
  private enum Operation: UInt64 { case connect, receive, send }

  /// A request in flight: what it asks for, and from when its time counts.
  struct Request {
    var item: UInt64 = 0
    var arrived = Instant.zero
  }

  let http: ClientConnection
  private let number: Int
  private let socket: Int32
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
  private var operations = 0
  private var isClosing = false
  private var requests: [Request]
  private(set) var inFlight = 0
  /// Something has been put out, or may have been.
  private(set) var hasOutput = false

  init(_ number: Int, socket: Int32, http: ClientConnection, streams: Int) {
    self.number = number
    self.socket = socket
    self.http = http
    requests = Array(repeating: Request(), count: streams)
  }

  deinit {
    precondition(operations == 0, "a connection is dropped after its last completion")
    Sockets.closeNow(socket)
    buffer.deallocate()
  }

  var hasRoom: Bool { inFlight < requests.count }
  var isIdle: Bool { operations == 0 }

  // MARK: requests

  /// False: the server takes no more here.
  func submit(_ head: HeaderBlock, body: UnsafeRawBufferPointer, _ request: Request) -> Bool {
    guard let handle = http.http2.submit(head, body: body) else { return false }
    requests[Int(handle.slot)] = request
    inFlight += 1
    hasOutput = true
    return true
  }

  /// An answer has come, or none will.
  func finish(_ handle: StreamHandle) -> Request {
    inFlight -= 1
    return requests[Int(handle.slot)]
  }

  // MARK: operations

  /// Of a token: the number of its connection.
  static func number(_ token: UInt64) -> Int { Int(token >> 2) }

  private func begin(_ operation: Operation) -> UInt64 {
    operations += 1
    return UInt64(number) << 2 | operation.rawValue
  }

  func connect(_ ring: Ring, to address: SocketAddress) { ring.connect(socket, to: address, token: begin(.connect)) }

  /// Takes a completion; says why the connection is of no more use, when it is.
  func complete(_ ring: Ring, _ completion: Completion) -> String? {
    operations -= 1
    if isClosing { return nil }
    if completion.isFailure { return systemText(completion.code) }
    switch Operation(rawValue: completion.token & 3) {
    case .connect:
      http.start()
      receive(ring)
    case .receive:
      guard completion.result > 0 else { return "the server has ended the connection" }
      http.receive(UnsafeRawBufferPointer(rebasing: buffer[..<Int(completion.result)]))
      receive(ring)
    case .send:
      if let rest = http.didSend(Int(completion.result)) { ring.send(socket, rest, token: begin(.send)) }
    case nil: preconditionFailure("a token is made by begin")
    }
    hasOutput = true
    return nil
  }

  private func receive(_ ring: Ring) {
    ring.receive(socket, into: UnsafeMutableRawBufferPointer(buffer), token: begin(.receive))
  }

  /// Sends what is to be sent, unless something is on its way.
  func flush(_ ring: Ring) {
    guard hasOutput, !isClosing else { return }
    hasOutput = false
    if let bytes = http.takeOutput() { ring.send(socket, bytes, token: begin(.send)) }
  }

  func close(_ ring: Ring) {
    isClosing = true
    if operations > 0 { ring.cancelAll(on: socket) }
  }
}
