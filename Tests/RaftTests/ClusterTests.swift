// Whole groups under seeds: losses, delays, cuts, pauses, drifting clocks, crashes; everything checked after each step.
// RAFT_SEEDS=N runs more of them, RAFT_SEED=S only one.

import Foundation
import Primitives
import TestScale
import Testing

@testable import Raft

@Suite struct ClusterTests {
  /// Four quarters, so that they may run side by side.
  @Test(arguments: 0..<UInt64(4)) func everyRunIsSafeAndEndsWithAWorkingGroup(quarter: UInt64) {
    let environment = ProcessInfo.processInfo.environment
    if let only = environment["RAFT_SEED"].flatMap(UInt64.init) { return only % 4 == quarter ? run(only) : () }
    let seeds = environment["RAFT_SEEDS"].flatMap(UInt64.init) ?? scaled(32, long: 120)
    for seed in stride(from: quarter, to: seeds, by: 4) { run(seed) }
  }

  private func run(_ seed: UInt64) {
    let cluster = TestCluster(seed: seed)
    cluster.run(until: 4_000_000_000)
    cluster.heal()
    cluster.run(until: 6_500_000_000)
    let before = cluster.checker.committedIndex
    #expect(cluster.checker.violations.isEmpty, "seed \(seed): \(cluster.checker.violations.first ?? "")")
    guard cluster.checker.violations.isEmpty else { return }
    for i in cluster.replicas.indices where cluster.replicas[i].group?.isLeader == true { cluster.propose(i) }
    cluster.run(until: 7_000_000_000)
    #expect(cluster.checker.violations.isEmpty, "seed \(seed): \(cluster.checker.violations.first ?? "")")
    #expect(cluster.checker.committedIndex > before, "seed \(seed): nothing commits after healing")
  }

  @Test func theSeedsSeeWhatTheyAreFor() {
    var total = TestCluster.Counts()
    for seed in 1000..<UInt64(1030) {
      let cluster = TestCluster(seed: seed)
      cluster.run(until: 4_000_000_000)
      total.add(cluster.counts)
    }
    #expect(total.elections > 40)
    #expect(total.crashes > 40)
    #expect(total.transfers > 10)
    #expect(total.truncations > 3)
    #expect(total.loads > 30)
    #expect(total.leaseReads > 1000)
    #expect(total.roundReads > 100)
    #expect(total.stepDowns > 10)
    #expect(total.overloads > 3)
    if ProcessInfo.processInfo.environment["RAFT_VERBOSE"] != nil { print(total) }
  }
}

extension TestCluster.Counts {
  mutating func add(_ other: Self) {
    elections += other.elections
    crashes += other.crashes
    transfers += other.transfers
    truncations += other.truncations
    loads += other.loads
    leaseReads += other.leaseReads
    roundReads += other.roundReads
    stepDowns += other.stepDowns
    overloads += other.overloads
    proposals += other.proposals
  }
}
