import Foundation
import Primitives
import Ring
import Synchronization
import Transport

/// A socket that listens on a port of 127.0.0.1; who accepts from it closes it.
struct FakeListener {
  let descriptor: Int32
  let port: UInt16

  init() throws {
    let address = try SocketAddress("127.0.0.1:0")
    let socket = try Sockets.make(for: address)
    guard address.withPointer({ Glibc.bind(socket, $0, $1) }) == 0, listen(socket, 64) == 0 else {
      throw SystemError("bind", "127.0.0.1:0")
    }
    descriptor = socket
    port = try SocketAddress(boundTo: socket).port
  }
}

/// A server for tests: HTTP/2 in plain text, a thread for each connection, answers from a closure.
final class FakeServer: Sendable {
  struct Request: Sendable {
    var path: String
    var body: [UInt8]
    /// Fields by which FileStore and etcd tell who asks what.
    var authorization: String
    var contentType: String
  }

  enum Answer: Sendable {
    case whole(status: Int = 200, [UInt8] = [])
    /// gRPC: pieces of the body, each in a frame of its own, then a status in the trailers.
    case grpc([[UInt8]], status: String? = "0", message: String? = nil)
    /// gRPC's answer without a body: the status stands among the headers.
    case grpcRefusal(status: String)
    /// So many milliseconds later. The whole connection waits.
    indirect case late(UInt32, Answer)
    case never
    case cut
  }

  let port: UInt16
  private let listener: Int32
  private let answer: @Sendable (Request) -> Answer
  private let seen = Mutex<[Request]>([])

  init(_ answer: @escaping @Sendable (Request) -> Answer) throws {
    let socket = try FakeListener()
    listener = socket.descriptor
    port = socket.port
    self.answer = answer
    Thread { [self] in acceptAll() }.start()
  }

  /// What has come, in its order.
  var requests: [Request] { seen.withLock { $0 } }

  /// Nobody is accepted any more.
  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }

  /// Closes what it accepts from: were it closed elsewhere, its number could be another server's by the next accept.
  private func acceptAll() {
    defer { close(listener) }
    while true {
      let socket = accept(listener, nil, nil)
      guard socket >= 0 else { return }
      Thread { [self] in serve(socket) }.start()
    }
  }

  private func serve(_ socket: Int32) {
    defer { close(socket) }
    let connection = ServerConnection(nil, scratch: TransportScratch(), budget: BodyBudget(limitBytes: 1 << 24))
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(socket, &buffer, buffer.count, 0)
      guard count > 0 else { return }
      buffer.withUnsafeBytes { connection.receive(UnsafeRawBufferPointer(rebasing: $0[..<count]), at: bootTime()) }
      while let event = connection.nextEvent() {
        guard case .http2(.request(let handle)) = event, let session = connection.http2,
          let request = session.request(handle).map(Request.init)
        else { continue }
        seen.withLock { $0.append(request) }
        guard respond(answer(request), to: handle, session, flush: { flush(connection, socket) }) else { return }
      }
      flush(connection, socket)
    }
  }

  private func flush(_ connection: ServerConnection, _ socket: Int32) {
    while let bytes = connection.takeOutput() {
      let sent = send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
      guard sent == bytes.count else { return }
      _ = connection.didSend(sent)
    }
  }

  /// False: the connection ends here.
  private func respond(
    _ answer: Answer, to handle: StreamHandle, _ session: HTTP2ServerSession, flush: () -> Void
  ) -> Bool {
    let head = HeaderBlock()
    switch answer {
    case .whole(let status, let body):
      head.answer(status)
      body.withUnsafeBytes { _ = session.respond(handle, head, body: $0) }
    case .grpc(let pieces, let status, let message):
      head.answer(200)
      head.add("content-type", "application/grpc")
      session.respondStreaming(handle, head)
      for piece in pieces {
        piece.withUnsafeBytes { _ = session.write(handle, $0) }
        flush()
      }
      let trailers = HeaderBlock()
      if let status { trailers.add("grpc-status", status) }
      if let message { trailers.add("grpc-message", message) }
      session.finish(handle, trailers: trailers)
    case .grpcRefusal(let status):
      head.answer(200)
      head.add("grpc-status", status)
      session.respond(handle, head)
    case .late(let milliseconds, let answer):
      usleep(milliseconds * 1000)
      return respond(answer, to: handle, session, flush: flush)
    case .never: break
    case .cut: return false
    }
    return true
  }
}

extension FakeServer.Request {
  init(_ view: RequestView) {
    func text(_ bytes: UnsafeRawBufferPointer?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "" }
    self.init(
      path: text(view.path), body: Array(view.body), authorization: text(view.header(.authorization)),
      contentType: text(view.header(.contentType)))
  }
}
