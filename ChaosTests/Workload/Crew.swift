import Checkers
import Foundation
import Primitives
import Synchronization

/// A write to a key of its own: the key, its only value ever, and how that ended.
struct RowRecord: Sendable {
  enum Outcome: Sendable {
    case acknowledged(Timestamp)
    case notExecuted
    case unknown
  }

  var value: UInt64
  var outcome: Outcome
}

/// When an acknowledged write was begun and when its answer was there.
struct Span: Sendable {
  var begun: Instant
  var ended: Instant
}

/// What one worker, or all of them, saw.
struct Log: Sendable {
  var rows: [RowRecord] = []
  /// Of the keys that are shared.
  var operations: [Checkers.Operation] = []
  var acknowledged: [Span] = []
  /// Why writes were refused or are of unknown outcome, and how often.
  var troubles: [String: Int] = [:]
  /// Answers that should not have been.
  var surprises: [String] = []

  mutating func merge(_ other: Log) {
    rows += other.rows
    operations += other.operations
    acknowledged += other.acknowledged
    troubles.merge(other.troubles, uniquingKeysWith: +)
    surprises += other.surprises
  }

  /// Numbers and addresses differ from case to case; what is left says what kind of trouble it was.
  mutating func trouble(_ text: String) {
    troubles[String(text.prefix(100)).replacing(/[0-9]+/, with: "N"), default: 0] += 1
  }
}

/// Workers on threads of their own, until they are told to stop.
final class Crew: Sendable {
  private let stopping = Atomic<Bool>(false)
  private let acknowledgements = Atomic<Int>(0)
  private let log = Mutex(Log())
  private let running = DispatchGroup()

  var isStopping: Bool { stopping.load(ordering: .relaxed) }
  /// Of writes, so far.
  var acknowledged: Int { acknowledgements.load(ordering: .relaxed) }
  func countAcknowledgement() { acknowledgements.add(1, ordering: .relaxed) }

  func add(_ work: @escaping @Sendable (Crew) -> Log) {
    running.enter()
    Thread { [self] in
      let result = work(self)
      log.withLock { $0.merge(result) }
      running.leave()
    }.start()
  }

  /// Tells all to stop, waits for them, and returns what they saw.
  func finish() -> Log {
    stopping.store(true, ordering: .relaxed)
    running.wait()
    return log.withLock { $0 }
  }
}

extension Crew {
  static let rowWriters = 16
  static let sharers = 6

  /// The load under which nodes are killed: sixteen writers of rows of their own, six clients that share hot keys.
  static func start(_ cluster: LocalCluster, scenario: String, seed: UInt64) -> Crew {
    let crew = Crew()
    let begun = Clock.now()
    for number in 0..<rowWriters {
      let writer = RowWriter(cluster: cluster, scenario: scenario, number: number)
      crew.add { writer.run($0) }
    }
    for number in 0..<sharers {
      let sharer = Sharer(cluster: cluster, scenario: scenario, number: number, begun: begun, seed: seed)
      crew.add { sharer.run($0) }
    }
    return crew
  }

  /// Waits until `count` more writes are acknowledged. False after `limit`.
  func awaitProgress(_ count: Int, limit: Nanoseconds) -> Bool {
    let (goal, begun) = (acknowledged + count, Clock.now())
    while acknowledged < goal {
      if Clock.now() - begun > limit { return false }
      Clock.sleep(.milliseconds(5))
    }
    return true
  }
}
