/// What happened in a run, or in many: a fault or a state that never occurs is not tested.
package struct SimulationCounters: Sendable {
  package var operations: UInt64 = 0
  package var acknowledgedWrites: UInt64 = 0
  package var unknownOutcomes: UInt64 = 0
  package var elections: UInt64 = 0
  package var pageMisses: UInt64 = 0
  package var checkpoints: UInt64 = 0
  package var forwarded: UInt64 = 0
  package var readRounds: UInt64 = 0
  package var restarts: UInt64 = 0
  package var scrubbedPages: UInt64 = 0
  package var scrubPasses: UInt64 = 0
  /// In the order of `Fault.names`.
  var faults: [UInt64] = Array(repeating: 0, count: Fault.names.count)
  /// In the order of `InterestingState.allCases`.
  var states: [UInt64] = Array(repeating: 0, count: InterestingState.allCases.count)

  package init() {}
}

/// States that are rare and have code of their own.
enum InterestingState: Int, CaseIterable {
  case crashInCheckpoint, tornWrite, checkpointInEntry, applyWaits, applyGoesOn, startOnPartOfTheLog
  case leaderDeposed, logCutOff, logReadBack, segmentReused
  case nodeFailed, cleanStop, duplicate
  case snapshotRead, snapshotTooOld
  case segmentRefused, growthRefused, writesRefused
  case rotFound, rotRewritten

  var name: String {
    switch self {
    case .crashInCheckpoint: "crash in a checkpoint"
    case .tornWrite: "write torn by a crash"
    case .checkpointInEntry: "checkpoint in the middle of an entry"
    case .applyWaits: "committed entry waits for a page"
    case .applyGoesOn: "committed entry waits for the next turn"
    case .startOnPartOfTheLog: "start with entries left on disk"
    case .leaderDeposed: "leader deposed with uncommitted entries"
    case .logCutOff: "entries of a log cut off"
    case .logReadBack: "entries read back from the log"
    case .segmentReused: "log segment used again"
    case .nodeFailed: "node stopped by its disk"
    case .cleanStop: "node closed in order"
    case .duplicate: "payload delivered twice"
    case .segmentRefused: "no room for a log segment"
    case .growthRefused: "no room for a longer page file"
    case .writesRefused: "writes refused for want of room"
    case .rotFound: "rot found by scrubbing"
    case .rotRewritten: "rotten page rewritten from memory"
    case .snapshotRead: "a moment of the past read again"
    case .snapshotTooOld: "a moment too old to be read again"
    }
  }
}

extension SimulationCounters {
  mutating func count(_ state: InterestingState) { states[state.rawValue] += 1 }

  package mutating func add(_ other: SimulationCounters) {
    operations += other.operations
    acknowledgedWrites += other.acknowledgedWrites
    unknownOutcomes += other.unknownOutcomes
    elections += other.elections
    pageMisses += other.pageMisses
    checkpoints += other.checkpoints
    forwarded += other.forwarded
    readRounds += other.readRounds
    restarts += other.restarts
    scrubbedPages += other.scrubbedPages
    scrubPasses += other.scrubPasses
    for index in faults.indices { faults[index] += other.faults[index] }
    for index in states.indices { states[index] += other.states[index] }
  }

  private var named: [(name: String, count: UInt64)] {
    let counts: [(name: String, count: UInt64)] = [
      ("operations", operations), ("acknowledged writes", acknowledgedWrites), ("unknown outcomes", unknownOutcomes),
      ("elections won", elections), ("restarts", restarts), ("checkpoints", checkpoints), ("page misses", pageMisses),
      ("requests forwarded", forwarded), ("read rounds", readRounds), ("pages scrubbed", scrubbedPages),
      ("passes of scrubbing", scrubPasses),
    ]
    let faultCounts = zip(Fault.names, faults).map { (name: "fault: \($0)", count: $1) }
    let stateCounts = zip(InterestingState.allCases, states).map { (name: "state: \($0.name)", count: $1) }
    return counts + faultCounts + stateCounts
  }

  /// A line each, for people.
  package var lines: [String] { named.map { "\($0.name): \($0.count)" } }

  /// What never happened.
  package var missing: [String] { named.filter { $0.count == 0 }.map(\.name) }
}
