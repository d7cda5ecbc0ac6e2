import Primitives

/// A request on its way, from `submit` to its completion, over all its attempts.
///
///     waiting ──sent──► in flight ──answer, loss──► completed, or waiting again (with a pause)
final class Exchange {
  let request: ClientRequest
  let deadline: Instant
  private let completion: (Result<ClientResponse, ClientError>) -> Void

  /// Attempts that were begun.
  var attempts = 0
  /// Not before this moment is the next attempt made.
  var notBefore = Instant.zero
  /// The node to ask next; nil: the client's choice.
  var preferred: Int?
  var attemptStarted = Instant.zero
  var attemptDeadline = Instant.never
  /// What went wrong last, for the error at the end.
  var lastReason = "no connection was open in time"
  /// Some attempt may have been executed.
  var mayHaveExecuted = false

  init(
    _ request: ClientRequest, now: Instant, completion: @escaping (Result<ClientResponse, ClientError>) -> Void
  ) {
    self.request = request
    self.completion = completion
    deadline = now + .milliseconds(UInt64(request.timeoutMilliseconds))
    preferred = request.endpoint
  }

  func finish(_ result: Result<ClientResponse, ClientError>) { completion(result) }

  /// The last attempt failed because of certificates.
  var isUntrusted = false

  /// The error for a request that ends without an answer.
  var error: ClientError {
    if mayHaveExecuted, !request.isRead { return .unknown(lastReason) }
    return isUntrusted ? .untrusted(lastReason) : .unreachable(lastReason)
  }
}

extension ClientRequest {
  /// Executing it changes nothing.
  var isRead: Bool { method == .get || path == "/v1/lookup" }
}
