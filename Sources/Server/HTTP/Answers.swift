import Node
import Primitives
import Transport

/// Turns replies and problems into answers of a session. One for a thread; its header block is used again and again.
package final class Answers {
  private let head = HeaderBlock()
  private let trailers = HeaderBlock()
  /// With their scheme.
  private let addresses: [(node: String, address: String)]
  private let requestIDPrefix: String
  private var requestSequence: UInt64 = 0

  /// `prefix` makes request ids unique among nodes and starts.
  package init(prefix: String, addresses: [(node: String, address: String)]) {
    requestIDPrefix = prefix
    self.addresses = addresses
  }

  /// A name for one request, given when it is needed: in problems and in the log.
  func nextRequestID() -> String {
    requestSequence += 1
    return "\(requestIDPrefix)-\(requestSequence)"
  }

  /// Answers with a reply of the node. Returns the request id when it was a problem.
  @discardableResult
  func send(_ reply: Reply, to handle: StreamHandle, of session: HTTP2ServerSession) -> String? {
    if let problem = reply.problem { return send(problem, to: handle, of: session) }
    head.answer(Int(reply.status))
    if let etag = reply.etag { addETag(etag) }
    if let snapshot = reply.snapshot { head.add("fs-snapshot", snapshot.rawValue) }
    if let location = reply.location { location.withUnsafeBytes { head.add("location", $0) } }
    guard !reply.body.isEmpty else {
      session.respond(handle, head)
      return nil
    }
    head.add("content-type", "application/json")
    reply.body.withUnsafeBytes { _ = session.respond(handle, head, body: $0) }
    return nil
  }

  /// Answers with a problem; returns the request id that it carries.
  @discardableResult
  func send(_ problem: Problem, allow: String? = nil, to handle: StreamHandle, of session: HTTP2ServerSession) -> String
  {
    let id = nextRequestID()
    head.answer(Int(problem.code.status))
    head.add("content-type", "application/problem+json")
    if let allow { head.add("allow", allow) }
    if let etag = problem.currentETag { addETag(etag) }
    if let seconds = problem.retryAfterSeconds { head.add("retry-after", UInt64(seconds)) }
    if problem.code == .unauthenticated { head.add("www-authenticate", "Bearer realm=\"filestore\"") }
    let body = problemBody(problem, requestID: id, leaderAddress: address(of: problem.leader))
    body.withUnsafeBytes { _ = session.respond(handle, head, body: $0) }
    return id
  }

  func sendText(_ status: Int, _ text: [UInt8], to handle: StreamHandle, of session: HTTP2ServerSession) {
    head.answer(status)
    head.add("content-type", "text/plain; charset=utf-8")
    text.withUnsafeBytes { _ = session.respond(handle, head, body: $0) }
  }

  /// Begins a stream of lines.
  func beginLines(_ handle: StreamHandle, snapshot: Timestamp?, of session: HTTP2ServerSession) {
    head.answer(200)
    if let snapshot { head.add("fs-snapshot", snapshot.rawValue) }
    head.add("content-type", "application/x-ndjson")
    session.respondStreaming(handle, head)
  }

  /// Ends a stream of lines; `cursor` says where to go on, `problem` why it broke off.
  func endLines(cursor: [UInt8]?, problem: Problem?, of handle: StreamHandle, in session: HTTP2ServerSession) {
    trailers.clear()
    if let cursor { cursor.withUnsafeBytes { trailers.add("fs-cursor", $0) } }
    if let problem {
      trailers.add("fs-error", problem.code.name)
      trailers.add("fs-error-retry", problem.retry.name)
    }
    session.finish(handle, trailers: trailers)
  }

  private func address(of leader: String?) -> String? {
    guard let leader else { return nil }
    return addresses.first { $0.node == leader }?.address
  }

  /// `"123"`, with its quotes.
  private func addETag(_ version: Timestamp) {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 22) { buffer in
      var at = 21
      buffer[at] = UInt8(ascii: "\"")
      var rest = version.rawValue
      repeat {
        at -= 1
        buffer[at] = UInt8(48 + rest % 10)
        rest /= 10
      } while rest > 0
      at -= 1
      buffer[at] = UInt8(ascii: "\"")
      head.add("etag", UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[at..<22]))
    }
  }
}
