import FileStoreClient
import Foundation
import Primitives
import Synchronization

/// What the threads of a mixed load did, and how it ended.
struct MixedTally: Sendable {
  /// By kind of request.
  var answered: [String: Int] = [:]
  /// Not executed, after all repeats, with the reason.
  var refused: [String: Int] = [:]
  var sent = 0
  var ended = 0
  /// Nobody knows whether they were executed.
  var unknown = 0
  /// No node gave an answer in time.
  var unanswered = 0
  /// Answers that should not have been, rows that are not as they were written.
  var wrong: [String] = []

  mutating func merge(_ other: MixedTally) {
    answered.merge(other.answered, uniquingKeysWith: +)
    refused.merge(other.refused, uniquingKeysWith: +)
    sent += other.sent
    ended += other.ended
    unknown += other.unknown
    unanswered += other.unanswered
    wrong += other.wrong
  }

  /// Takes in how a request ended; the answer, if there is one.
  mutating func take(_ kind: String, _ result: Result<ClientResponse, ClientError>) -> ClientResponse? {
    ended += 1
    if case .failure(let error) = result {
      unanswered += 1
      return note(kind, error.description)
    }
    switch Ending(result) {
    case .answered(let response):
      answered[kind, default: 0] += 1
      return response
    case .notExecuted(let reason): return note(kind, reason)
    case .unknown(let reason):
      unknown += 1
      wrong.append("\(kind): unknown: \(reason)")
    case .surprising(let reason): wrong.append("\(kind): \(reason)")
    }
    return nil
  }

  /// Numbers and addresses differ from case to case.
  private mutating func note(_ kind: String, _ reason: String) -> ClientResponse? {
    refused["\(kind): \(String(reason.prefix(100)).replacing(/[0-9]+/, with: "N"))", default: 0] += 1
    return nil
  }

  mutating func expect(_ holds: Bool, _ text: @autoclosure () -> String) {
    if !holds, wrong.count < 100 { wrong.append(text()) }
  }
}

/// Threads that work until they are told to stop.
final class MixedCrew: Sendable {
  private let stopping = Atomic<Bool>(false)
  private let filled = Atomic<Int>(0)
  private let opened = Atomic<Bool>(false)
  private let requests = Atomic<Int>(0)
  private let sum = Mutex(MixedTally())
  private let running = DispatchGroup()

  var isStopping: Bool { stopping.load(ordering: .relaxed) }
  /// Answered so far.
  var answered: Int { requests.load(ordering: .relaxed) }
  func countAnswer() { requests.add(1, ordering: .relaxed) }

  /// Says that one driver has written all its rows, and waits until the load begins.
  func awaitOpening() {
    filled.add(1, ordering: .relaxed)
    while !opened.load(ordering: .relaxed), !isStopping { Clock.sleep(.milliseconds(20)) }
  }

  /// Begins the load once `count` drivers have written their rows. False after `limit`.
  func open(after count: Int, limit: Nanoseconds) -> Bool {
    let begun = Clock.now()
    while filled.load(ordering: .relaxed) < count {
      if Clock.now() - begun > limit { return false }
      Clock.sleep(.milliseconds(20))
    }
    opened.store(true, ordering: .relaxed)
    return true
  }

  /// What a thread throws is told among what went wrong.
  func add(_ work: @escaping @Sendable (MixedCrew, inout MixedTally) throws(ChaosError) -> Void) {
    running.enter()
    Thread { [self] in
      var tally = MixedTally()
      do throws(ChaosError) { try work(self, &tally) } catch { tally.wrong.append(error.message) }
      sum.withLock { $0.merge(tally) }
      running.leave()
    }.start()
  }

  /// Tells all to stop and waits for them.
  func finish() -> MixedTally {
    stopping.store(true, ordering: .relaxed)
    running.wait()
    return sum.withLock { $0 }
  }

  /// Sleeps, but not beyond the end.
  func pause(_ time: Nanoseconds) {
    let end = Clock.now() + time
    while !isStopping, Clock.now() < end { Clock.sleep(min(.milliseconds(50), end - Clock.now())) }
  }
}
