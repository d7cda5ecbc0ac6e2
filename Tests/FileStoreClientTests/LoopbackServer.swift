import Foundation
import Primitives
import Ring
import Synchronization
import Transport

/// A server for tests: HTTP/2 in plain text, a thread for each connection, answers from a closure. An answer of nil cuts the
/// connection.
final class LoopbackServer: Sendable {
  struct Request {
    var method: String
    var path: String
    var body: String
    var authorization: String
  }

  struct Answer {
    var status: Int
    var body: String
    var etag: String?
  }

  let port: UInt16
  private let listener: Int32
  private let answer: @Sendable (Request) -> Answer?

  init(_ answer: @escaping @Sendable (Request) -> Answer?) throws {
    let address = try SocketAddress("127.0.0.1:0")
    let socket = try Sockets.make(for: address)
    guard address.withPointer({ Glibc.bind(socket, $0, $1) }) == 0, listen(socket, 64) == 0 else {
      throw SystemError("bind", "127.0.0.1:0")
    }
    listener = socket
    port = try SocketAddress(boundTo: socket).port
    self.answer = answer
    Thread { [self] in acceptAll() }.start()
  }

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
    let connection = ServerConnection(nil, scratch: TransportScratch(), budget: BodyBudget(limitBytes: 1 << 20))
    let head = HeaderBlock()
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      let count = recv(socket, &buffer, buffer.count, 0)
      guard count > 0 else { return }
      buffer.withUnsafeBytes { connection.receive(UnsafeRawBufferPointer(rebasing: $0[..<count]), at: bootTime()) }
      while let event = connection.nextEvent() {
        guard case .http2(.request(let handle)) = event else { continue }
        guard respond(handle, connection, head) else { return }
      }
      while let bytes = connection.takeOutput() {
        let sent = send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
        guard sent == bytes.count else { return }
        _ = connection.didSend(sent)
      }
    }
  }

  private func respond(_ handle: StreamHandle, _ connection: ServerConnection, _ head: HeaderBlock) -> Bool {
    guard let session = connection.http2, let view = session.request(handle) else { return true }
    func text(_ bytes: UnsafeRawBufferPointer?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "" }
    let request = Request(
      method: "\(view.method)", path: text(view.path), body: text(view.body),
      authorization: text(view.header(.authorization)))
    guard let answer = answer(request) else { return false }
    head.answer(answer.status)
    if let etag = answer.etag { head.add("etag", etag) }
    Array(answer.body.utf8).withUnsafeBytes { _ = session.respond(handle, head, body: $0) }
    return true
  }
}
