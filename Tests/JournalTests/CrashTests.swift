import Primitives
import Raft
import TestScale
import Testing

@testable import Journal

/// Work, crash, recovery, again and again, by seed: what comes back is what was reported persisted and a prefix of the rest.
@Suite struct CrashTests {
  /// What the seeds met, so that a run that met nothing fails.
  struct Coverage {
    var crashes = 0
    var tornTails = 0
    var freed: UInt64 = 0
    var replaced = 0
    var spanning = 0
    var recordsKept = 0
    var loads = 0
    var failedLoads = 0
    var taken = 0
  }

  @Test func whatComesBackAfterCrashesIsWhatWasPersistedAndAPrefixOfTheRest() throws {
    var coverage = Coverage()
    for seed in 1...scaled(UInt64(75), long: 300) { try run(seed: seed, &coverage) }
    #expect(coverage.crashes > scaled(250, long: 1000))
    #expect(coverage.tornTails > scaled(75, long: 300))
    #expect(coverage.freed > scaled(125, long: 500))
    #expect(coverage.replaced > scaled(125, long: 500))
    #expect(coverage.spanning > scaled(50, long: 200))
    #expect(coverage.loads > scaled(75, long: 300))
    #expect(coverage.taken > scaled(75, long: 300))
  }

  private func run(seed: UInt64, _ coverage: inout Coverage) throws {
    var random = SeededRandom(seed: seed)
    var settings = Harness.smallSettings()
    settings.writesInFlightMax = 1 + Int(random.below(4))
    let harness = try Harness(settings)
    var worker = Worker(shards: 1 + random.below(5), random: random.fork())
    harness.append(99, hardState: hardState(seed, 2))
    for _ in 0..<(2 + random.below(6)) {
      worker.eagerness = 1 + random.below(10)
      for _ in 0..<random.below(120) {
        worker.act(on: harness, &coverage)
        if !harness.faults.isEmpty { Issue.record("seed \(seed): fault") }
      }
      if random.chance(1, outOf: 2) { harness.wipeFreeFiles() }
      harness.disk.crash(&random)
      coverage.crashes += 1
      coverage.freed += harness.journal.statistics.segmentsFreed
      let recovered: RecoveredJournal
      do {
        recovered = try harness.restart()
      } catch {
        Issue.record("seed \(seed): refused: \(error)")
        return
      }
      if recovered.tornTail != nil { coverage.tornTails += 1 }
    }
    coverage.taken += harness.takenCount
    harness.settle()
    try worker.readAllBack(harness, seed: seed, &coverage)
  }
}

/// Draws what a node would do: orders that Raft could give, checkpoints, completions in any order.
struct Worker {
  let shards: UInt64
  var random: SeededRandom
  /// How often, of ten times, a write is completed.
  var eagerness: UInt64 = 10

  mutating func act(on harness: Harness, _ coverage: inout CrashTests.Coverage) {
    switch random.below(20) {
    case 0..<7: order(harness, &coverage)
    case 7..<9: harness.turn()
    case 9..<14: if random.below(10) < eagerness { completeAWrite(harness) }
    case 14: if !harness.preparations.isEmpty { harness.completePreparation() }
    case 15, 16: checkpointOrHold(harness)
    case 17: harness.advance(.milliseconds(1 + random.below(12)))
    case 18: load(harness, &coverage)
    default: harness.completeReads()
    }
  }

  private mutating func completeAWrite(_ harness: Harness) {
    guard !harness.disk.pending.isEmpty else { return }
    let pick = random.chance(2, outOf: 3) ? 0 : Int(random.below(UInt64(harness.disk.pending.count)))
    harness.completeWrite(harness.disk.pending[pick].write.id)
  }

  private mutating func order(_ harness: Harness, _ coverage: inout CrashTests.Coverage) {
    let shard = 1 + random.below(shards)
    let state = harness.model.newest[ShardID(shard)] ?? LogModel.Shard()
    var term = max(state.hardState?.term.rawValue ?? 0, state.entries.last?.term.rawValue ?? 1, 1)
    var vote: HardState?
    if random.chance(1, outOf: 4) {
      term += 1
      vote = hardState(term, random.chance(1, outOf: 2) ? UInt32(1 + random.below(3)) : nil)
    }
    let committed = self.committed(harness, shard)
    let last = UInt64(state.entries.count)
    var first = last + 1
    if last > committed, random.chance(1, outOf: 5) {
      first = committed + 1 + random.below(last - committed)
      coverage.replaced += 1
      if vote == nil {
        term += 1
        vote = hardState(term)
      }
    }
    let entries = (0..<random.below(4)).map { entry(first + $0, term, size(&coverage)) }
    if vote == nil, entries.isEmpty, first != last + 1 { return }
    harness.append(shard, hardState: vote, entries)
  }

  private mutating func size(_ coverage: inout CrashTests.Coverage) -> Int {
    switch random.below(40) {
    case 0:
      coverage.spanning += 1
      return 40_000 + Int(random.below(60_000))
    case 1..<6: return Int(random.below(9000))
    default: return Int(random.below(200))
    }
  }

  /// Entries up to here are never replaced.
  private func committed(_ harness: Harness, _ shard: UInt64) -> UInt64 {
    let checkpointed = harness.checkpoints[ShardID(shard)]?.appliedIndex.rawValue ?? 0
    let committed = harness.committed[ShardID(shard)]?.rawValue ?? 0
    return max(checkpointed, harness.held[ShardID(shard)]?.rawValue ?? 0, committed)
  }

  private mutating func checkpointOrHold(_ harness: Harness) {
    let shard = 1 + random.below(shards)
    let state = harness.model.durable[ShardID(shard)] ?? LogModel.Shard()
    let newest = harness.model.newest[ShardID(shard)] ?? LogModel.Shard()
    // Only what is durable and not about to be replaced.
    let same = zip(state.entries, newest.entries).prefix { $0 == $1 }.count
    let from = committed(harness, shard)
    guard UInt64(same) >= from else { return }
    let index = from + random.below(UInt64(same) - from + 1)
    if index > 0, random.chance(1, outOf: 2) {
      harness.commit(shard, index, term: newest.entries[Int(index) - 1].term.rawValue)
    }
    if random.chance(1, outOf: 2) {
      let hardState = random.chance(1, outOf: 2) ? state.hardState : nil
      let kept = harness.checkpoints[ShardID(shard)]?.hardState
      harness.checkpoint(shard, index, hardState: hardState ?? kept)
    } else {
      harness.hold(shard, index)
    }
  }

  private mutating func load(_ harness: Harness, _ coverage: inout CrashTests.Coverage) {
    let shard = 1 + random.below(shards)
    guard let indexes = harness.journal.indexes(of: ShardID(shard)) else { return }
    let span = indexes.upperBound.rawValue - indexes.lowerBound.rawValue + 1
    let from = indexes.lowerBound + random.below(span)
    harness.journal.load(
      LoadOrder(shard: ShardID(shard), id: 1, from: from, through: from + random.below(20), bytesMax: 50_000),
      into: &harness.effects)
    harness.turn()
    check(harness, &coverage)
  }

  /// What was loaded is what the model holds, unless it was replaced since.
  private func check(_ harness: Harness, _ coverage: inout CrashTests.Coverage) {
    for (order, entries) in harness.loaded {
      coverage.loads += 1
      #expect(entries.first?.index == order.from)
      #expect(zip(entries, entries.dropFirst()).allSatisfy { $1.index == $0.index.next })
    }
    for (_, failure) in harness.loadFailures {
      coverage.failedLoads += 1
      #expect(failure == .notHere)
    }
    harness.loaded = []
    harness.loadFailures = []
  }

  /// At the end everything is durable: all entries still in the log are read back and compared.
  mutating func readAllBack(_ harness: Harness, seed: UInt64, _ coverage: inout CrashTests.Coverage) throws {
    check(harness, &coverage)
    for shard in 1...shards {
      guard let indexes = harness.journal.indexes(of: ShardID(shard)) else { continue }
      var next = indexes.lowerBound
      let model = harness.model.durable[ShardID(shard)]!.entries
      #expect(UInt64(model.count) == indexes.upperBound.rawValue)
      while next <= indexes.upperBound {
        harness.journal.load(
          LoadOrder(shard: ShardID(shard), id: 2, from: next, through: indexes.upperBound, bytesMax: 64_000),
          into: &harness.effects)
        harness.turn()
        harness.completeReads()
        guard let (_, entries) = harness.loaded.popLast() else {
          Issue.record("seed \(seed): \(harness.loadFailures)")
          return
        }
        for entry in entries { #expect(entry == model[Int(entry.index.rawValue) - 1], "seed \(seed)") }
        coverage.loads += 1
        next = entries.last!.index.next
      }
    }
  }
}
