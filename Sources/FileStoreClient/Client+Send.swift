import Primitives
import Transport

// From a request to HTTP/2's fields, and back from an answer.

extension Client {
  /// Puts an exchange on a connection. Nil: it takes no more.
  func send(_ exchange: Exchange, on connection: Connection, _ now: Instant) -> StreamHandle? {
    let request = exchange.request
    let allowed = min(Nanoseconds.milliseconds(UInt64(request.attemptMilliseconds)), exchange.deadline - now)
    let milliseconds = max(1, allowed.rawValue / 1_000_000)
    let endpoint = configuration.endpoints[connection.endpoint]
    head.request(
      request.method.code, scheme: endpoint.isSecure ? "https" : "http", authority: endpoint.authority,
      path: request.path)
    if let authorization { head.add("authorization", authorization) }
    head.add("fs-timeout-ms", min(milliseconds, 120_000))
    for header in request.headers { head.add(header.name, header.value) }
    let handle = request.body.withUnsafeBytes { connection.http.http2.submit(head, body: $0) }
    guard let handle else { return nil }
    exchange.attempts += 1
    exchange.attemptStarted = now
    exchange.attemptDeadline = now + allowed + Client.answerGrace
    return handle
  }
}

extension ClientRequest.Method {
  fileprivate var code: HTTPMethod {
    switch self {
    case .get: .get
    case .put: .put
    case .post: .post
    case .patch: .patch
    case .delete: .delete
    }
  }
}

extension ClientResponse {
  init(_ view: ResponseView, endpoint: Int) {
    func text(_ bytes: UnsafeRawBufferPointer?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
    self.init(status: view.status, body: Array(view.body), endpoint: endpoint)
    etag = text(view.header("etag"))
    location = text(view.header("location"))
    retryAfterSeconds = text(view.header("retry-after")).flatMap(UInt64.init)
    cursor = text(view.trailer("fs-cursor") ?? view.header("fs-cursor"))
    streamError = text(view.trailer("fs-error"))
  }
}

extension Exchange {
  /// Keeps what is needed for the error at the end.
  func note(_ outcome: AttemptOutcome) {
    isUntrusted = false
    switch outcome {
    case .answered(let response):
      if let problem = response.problem {
        lastReason = problem.detail
        if problem.retry == .unknown { mayHaveExecuted = true }
      }
    case .notSent(let reason): lastReason = reason
    case .notTrusted(let reason):
      lastReason = reason
      isUntrusted = true
    case .lost(let reason):
      lastReason = reason
      mayHaveExecuted = true
    }
  }
}
