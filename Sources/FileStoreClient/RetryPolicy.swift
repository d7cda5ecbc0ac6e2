import Primitives

/// How one attempt ended.
enum AttemptOutcome {
  case answered(ClientResponse)
  /// Nothing of it reached a node.
  case notSent(String)
  /// The node and this client do not trust each other. Time does not mend that, another node might.
  case notTrusted(String)
  /// It was sent, and the connection ended or time passed before the answer.
  case lost(String)
}

/// What follows from an attempt.
enum RetryDecision: Equatable {
  /// Tell the caller.
  case deliver
  /// Once more, after so long; at the node with this address, if it is known, or at another one than before.
  case again(after: Nanoseconds, at: String?)
}

/// When to ask again. Pure: time and chance come in.
///
/// An answer says itself what may be done (`retry`). Without an answer only that counts: a request that was not sent is
/// always tried elsewhere, one that was sent only when the caller allowed it to be executed twice.
struct RetryPolicy {
  /// Of the configuration.
  var endpoints = 1

  static let pauseMin = Nanoseconds.milliseconds(20)
  static let pauseMax = Nanoseconds.seconds(1)

  /// `attempt` counts from 1; `left` is the time until the request's deadline.
  func decide(
    _ outcome: AttemptOutcome, of request: ClientRequest, attempt: Int, left: Nanoseconds, random: inout SeededRandom
  ) -> RetryDecision {
    guard request.retries else { return .deliver }
    let decision: RetryDecision
    switch outcome {
    case .answered(let response): decision = decide(response, of: request, attempt: attempt, random: &random)
    case .notSent: decision = .again(after: pause(attempt, &random), at: nil)
    case .notTrusted: decision = attempt < endpoints ? .again(after: .zero, at: nil) : .deliver
    case .lost:
      guard request.mayRepeat else { return .deliver }
      decision = .again(after: pause(attempt, &random), at: nil)
    }
    if case .again(let after, _) = decision, after >= left { return .deliver }
    return decision
  }

  private func decide(
    _ response: ClientResponse, of request: ClientRequest, attempt: Int, random: inout SeededRandom
  ) -> RetryDecision {
    guard let problem = response.problem else { return .deliver }
    switch problem.retry {
    case .never: return .deliver
    case .elsewhere: return .again(after: pause(attempt, &random), at: problem.leader)
    case .later:
      guard let seconds = response.retryAfterSeconds else {
        return .again(after: pause(attempt, &random), at: nil)
      }
      let wait = Nanoseconds.seconds(min(seconds, 60))
      return .again(after: Nanoseconds(wait.rawValue + random.below(wait.rawValue / 4 + 1)), at: nil)
    case .unknown:
      return request.mayRepeat ? .again(after: pause(attempt, &random), at: nil) : .deliver
    }
  }

  /// Doubles from 20 ms to 1 s; the first repeat comes at once, because another node is asked.
  private func pause(_ attempt: Int, _ random: inout SeededRandom) -> Nanoseconds {
    guard attempt > 1 else { return .zero }
    let doubled = Nanoseconds(Self.pauseMin.rawValue << UInt64(min(attempt - 2, 10)))
    return jittered(min(doubled, Self.pauseMax), &random)
  }

  /// Between three and five quarters, so that clients that failed together do not come back together.
  private func jittered(_ time: Nanoseconds, _ random: inout SeededRandom) -> Nanoseconds {
    Nanoseconds(time.rawValue * 3 / 4 + random.below(time.rawValue / 2 + 1))
  }
}
