import Primitives
import Testing

@testable import FileStoreClient

@Suite struct RetryPolicyTests {
  private let policy = RetryPolicy()

  private func decide(
    _ outcome: AttemptOutcome, mayRepeat: Bool = false, attempt: Int = 1, left: Nanoseconds = .seconds(30)
  ) -> RetryDecision {
    var random = SeededRandom(seed: 7)
    let request = ClientRequest(.put, "/v1/tables/t/rows/1", mayRepeat: mayRepeat)
    return policy.decide(outcome, of: request, attempt: attempt, left: left, random: &random)
  }

  private func answer(_ status: Int, _ problem: String, retryAfter: UInt64? = nil) -> AttemptOutcome {
    var response = ClientResponse(status: status, body: Array(problem.utf8))
    response.retryAfterSeconds = retryAfter
    return .answered(response)
  }

  @Test func aSuccessIsDelivered() { #expect(decide(answer(201, "")) == .deliver) }

  @Test func whatIsWrongIsNeverRepeated() {
    #expect(decide(answer(412, #"{"code":"condition-failed","retry":"never"}"#), mayRepeat: true) == .deliver)
  }

  @Test func elsewhereAsksTheLeaderAtOnce() {
    let answer = answer(503, #"{"code":"draining","retry":"elsewhere","leader":"127.0.0.1:7102"}"#)
    #expect(decide(answer) == .again(after: .zero, at: "127.0.0.1:7102"))
  }

  @Test func laterWaitsAtLeastAsLongAsTheServerSays() {
    let answer = answer(429, #"{"code":"overloaded","retry":"later"}"#, retryAfter: 2)
    guard case .again(let after, let address) = decide(answer) else { return #expect(Bool(false), "it is repeated") }
    #expect(address == nil)
    #expect(after >= .seconds(2) && after <= .milliseconds(2500))
  }

  @Test func laterIsNotWaitedForBeyondTheDeadline() {
    let answer = answer(429, #"{"code":"overloaded","retry":"later"}"#, retryAfter: 2)
    #expect(decide(answer, left: .seconds(1)) == .deliver)
  }

  @Test func anUnknownOutcomeIsRepeatedOnlyWhenTheCallerAllowsIt() {
    let answer = answer(503, #"{"code":"outcome-unknown","retry":"unknown"}"#)
    #expect(decide(answer) == .deliver)
    #expect(decide(answer, mayRepeat: true) == .again(after: .zero, at: nil))
  }

  @Test func aLostRequestIsRepeatedOnlyWhenTheCallerAllowsIt() {
    #expect(decide(.lost("cut")) == .deliver)
    #expect(decide(.lost("cut"), mayRepeat: true) == .again(after: .zero, at: nil))
  }

  @Test func whatWasNotSentIsAlwaysTriedAgain() {
    #expect(decide(.notSent("refused")) == .again(after: .zero, at: nil))
  }

  @Test func anUntrustedNodeIsNotAskedTwice() {
    var random = SeededRandom(seed: 7)
    let request = ClientRequest(.get, "/")
    let decisions = (1...3).map { attempt in
      RetryPolicy(endpoints: 3).decide(
        .notTrusted("CA"), of: request, attempt: attempt, left: .seconds(9), random: &random)
    }
    #expect(decisions == [.again(after: .zero, at: nil), .again(after: .zero, at: nil), .deliver])
  }

  @Test func pausesGrowToASecond() {
    var pauses: [Nanoseconds] = []
    for attempt in 1...12 {
      if case .again(let after, _) = decide(.notSent("refused"), attempt: attempt) { pauses.append(after) }
    }
    #expect(pauses.count == 12)
    #expect(pauses[0] == .zero)
    #expect(pauses[1] < .milliseconds(26))
    #expect(pauses[11] >= .milliseconds(750) && pauses[11] <= .milliseconds(1250))
  }

  @Test func nothingIsRepeatedWhenTheCallerWantsNoRepeats() {
    var request = ClientRequest(.get, "/readyz")
    request.retries = false
    var random = SeededRandom(seed: 7)
    let decision = policy.decide(.notSent("refused"), of: request, attempt: 1, left: .seconds(9), random: &random)
    #expect(decision == .deliver)
  }
}
