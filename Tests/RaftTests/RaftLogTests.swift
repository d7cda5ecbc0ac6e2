import Primitives
import Testing

@testable import Raft

@Suite struct RaftLogTests {
  /// Random appends, overwrites and late persistence against a disk that performs the orders: what the log calls durable
  /// is on the disk, and stays there whatever orders are still to come.
  @Test func durableMeansDurableWhateverIsStillOnTheWay() {
    for seed in 0..<UInt64(300) {
      var random = SeededRandom(seed: seed)
      var log = RaftLog()
      var disk = TestDisk()
      var (term, order) = (Term(1), PersistID(0))
      for _ in 0..<60 {
        if random.chance(2, outOf: 3) {
          order += 1
          if random.chance(1, outOf: 3) { term = term.next }
          let from = term > log.lastTerm ? 1 + random.below(log.lastIndex.rawValue + 1) : log.lastIndex.rawValue + 1
          let entries = (from..<from + 1 + random.below(4)).map { entry($0, term) }
          log.append(entries[...], order: order)
          disk.accept(PersistOrder(id: order, hardState: nil, entries: entries))
        } else if let last = disk.queue.last {
          let id = disk.queue[0].id + random.below(last.id - disk.queue[0].id + 1)
          disk.perform(through: id)
          log.persisted(through: id)
        }
        for later in 0...disk.queue.count {
          var future = disk
          if later > 0 { future.perform(through: disk.queue[later - 1].id) }
          guard future.holds(log.durableIndex, log.term(at: log.durableIndex)!) else {
            Issue.record("seed \(seed): \(log.durableIndex) is not durable")
            return
          }
        }
        log.checkEntries()
      }
      disk.perform(through: order)
      log.persisted(through: order)
      #expect(log.durableIndex == log.lastIndex)
      #expect(disk.entries == log.entries(from: LogIndex(1), through: log.lastIndex))
    }
  }

  @Test func entriesLeaveMemoryOldestFirstAndOnlyWhenAppliedAndDurable() {
    var log = RaftLog()
    log.append((1...4).map { entry($0, Term(1)) }[...], order: 1)
    log.append([entry(5, Term(1))], order: 2)
    log.commit(through: LogIndex(5))
    log.applied(through: LogIndex(5))
    log.evict(cacheBytesMax: 0)
    #expect(log.floor == .zero)
    log.persisted(through: 1)
    log.evict(cacheBytesMax: 2 * entry(1, Term(1)).cost)
    #expect(log.floor == LogIndex(3))
    log.evict(cacheBytesMax: 0)
    #expect(log.floor == LogIndex(4))
    #expect(log.term(at: LogIndex(2)) == Term(1))
    log.checkEntries()
  }

  @Test func aBatchHoldsAtLeastOneEntryAndKeepsItsLimit() {
    var log = RaftLog()
    log.append((1...5).map { entry($0, Term(1)) }[...], order: 1)
    let cost = entry(1, Term(1)).cost
    #expect(log.entries(from: LogIndex(2), bytesMax: 0).map(\.index) == [LogIndex(2)])
    #expect(log.entries(from: LogIndex(2), bytesMax: 3 * cost - 1).count == 2)
    #expect(log.entries(from: LogIndex(2), bytesMax: 3 * cost).count == 3)
    #expect(log.entries(from: LogIndex(2), bytesMax: .max).count == 4)
    #expect(log.entries(from: LogIndex(6), bytesMax: .max).isEmpty)
  }

  /// Ten entries were recovered, the last three are in memory.
  private var recovered: RaftLog {
    let starts = [(5, 2), (7, 3), (10, 4)].map { TermStart(index: LogIndex($0), term: Term($1)) }
    return RaftLog(
      appliedIndex: LogIndex(4), appliedTerm: Term(1), lastIndex: LogIndex(10), terms: starts,
      entries: [entry(8, Term(3)), entry(9, Term(3)), entry(10, Term(4))])
  }

  @Test func whatRecoveryLeftOnDiskIsKnownByItsTerms() {
    var log = recovered
    log.checkEntries()
    #expect((4...11).map { log.term(at: LogIndex($0))?.rawValue } == [1, 2, 2, 3, 3, 3, 4, nil])
    #expect(log.floor == LogIndex(7) && log.durableIndex == LogIndex(10) && log.commitIndex == LogIndex(4))
    let cost = entry(8, Term(3)).cost
    #expect(log.cachedBytes == 3 * cost && log.unappliedBytes == 3 * cost)
    log.commit(through: LogIndex(9))
    log.applied(through: LogIndex(6))
    log.forgetTerms(heldByAll: LogIndex(9), runsMax: 1)
    log.evict(cacheBytesMax: 0)
    #expect(log.floor == LogIndex(7) && log.unappliedBytes == 3 * cost && log.term(at: LogIndex(6)) == Term(2))
    log.applied(through: LogIndex(9))
    log.evict(cacheBytesMax: 0)
    #expect(log.floor == LogIndex(9) && log.unappliedBytes == cost)
    log.checkEntries()
  }

  @Test func aLeaderMayCutOffWhatRecoveryLeftOnDisk() {
    for from in UInt64(5)...11 {
      var log = recovered
      log.append([entry(from, Term(5))][...], order: 1)
      log.checkEntries()
      #expect(log.lastIndex == LogIndex(from) && log.durableIndex == LogIndex(from - 1))
      #expect(log.floor == LogIndex(min(from - 1, 7)) && log.term(at: LogIndex(from)) == Term(5))
      #expect(log.term(at: LogIndex(from - 1)) == recovered.term(at: LogIndex(from - 1)))
    }
  }

  @Test func aLogOfWhichNothingIsInMemoryGoesOn() {
    var log = RaftLog(
      appliedIndex: LogIndex(4), appliedTerm: Term(1), lastIndex: LogIndex(6),
      terms: [TermStart(index: LogIndex(5), term: Term(1))], entries: [])
    #expect(log.floor == LogIndex(6) && log.lastTerm == Term(1) && log.lastIndex == LogIndex(6))
    log.append([entry(7, Term(2))][...], order: 1)
    #expect(log.entries(from: LogIndex(7), bytesMax: .max).map(\.index) == [LogIndex(7)])
    log.checkEntries()
  }

  private func entry(_ index: UInt64, _ term: Term) -> Entry {
    Entry(index: LogIndex(index), term: term, kind: .command, payload: [1, 2, 3])
  }
}

extension RaftLog {
  /// An empty one.
  init() { self.init(appliedIndex: .zero, appliedTerm: .zero, lastIndex: .zero, terms: [], entries: []) }
}

@Suite struct TermRunsTests {
  /// All logs of up to six entries in terms 1...3: every question against a plain array.
  @Test func everySmallLogAnswersAsAPlainArrayWould() {
    var pending: [[UInt64]] = [[]]
    while let terms = pending.popLast() {
      check(terms)
      if terms.count < 6 { for term in (terms.last ?? 1)...3 { pending.append(terms + [term]) } }
    }
  }

  private func check(_ terms: [UInt64]) {
    var runs = TermRuns(index: .zero, term: .zero)
    for (i, term) in terms.enumerated() { runs.append(LogIndex(UInt64(i + 1)), Term(term)) }
    let all = [0] + terms
    for (i, term) in all.enumerated() { #expect(runs[LogIndex(UInt64(i))] == Term(term)) }
    #expect(runs[LogIndex(UInt64(all.count))] == nil)
    for index in 0...7 {
      for limit in UInt64(0)...4 {
        let expected = all.indices.last { $0 <= index && all[$0] <= limit }!
        let found = runs.lastIndex(atOrBefore: LogIndex(UInt64(index)), termAtMost: Term(limit))
        if found != LogIndex(UInt64(expected)) { Issue.record("\(terms): \(found) for \(index), \(limit)") }
      }
    }
    for cut in all.indices.dropFirst() {
      var shorter = runs
      shorter.truncate(from: LogIndex(UInt64(cut)))
      #expect(shorter.lastTerm == Term(all[cut - 1]) && shorter.lastIndex == LogIndex(UInt64(cut - 1)))
    }
  }

  @Test func trimmingKeepsTheTermsFromTheGivenIndexOn() {
    var runs = TermRuns(index: .zero, term: .zero)
    for index in UInt64(1)...10 { runs.append(LogIndex(index), Term((index + 1) / 2)) }
    runs.trim(before: LogIndex(4), runsMax: 100, limit: LogIndex(8))
    #expect(runs[LogIndex(4)] == Term(2) && runs[LogIndex(2)] == nil)
    runs.trim(before: LogIndex(4), runsMax: 1, limit: LogIndex(8))
    #expect(runs[LogIndex(8)] == Term(4) && runs[LogIndex(6)] == nil && runs[LogIndex(10)] == Term(5))
  }
}
