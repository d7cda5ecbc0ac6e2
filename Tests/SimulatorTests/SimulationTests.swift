import Checkers
import Primitives
import Testing

@testable import Simulator

@Suite struct SimulationTests {
  private func short(_ seed: UInt64) -> SimulationResult {
    var options = SimulationOptions(seed: seed)
    options.duration = .seconds(5)
    options.operationsMin = 50
    options.tellsStory = true
    return Simulation.run(options)
  }

  @Test func theSameSeedTellsTheSameStory() {
    let first = short(4)
    let second = short(4)
    #expect(first.violation == nil)
    #expect(first.traceHash == second.traceHash)
    #expect(first.story == second.story)
    #expect(!first.story.isEmpty)
  }

  @Test func anotherSeedTellsAnotherStory() {
    #expect(short(5).traceHash != short(6).traceHash)
  }

  @Test func tellingTheStoryChangesNothing() {
    var options = SimulationOptions(seed: 7)
    options.duration = .seconds(5)
    options.operationsMin = 50
    let silent = Simulation.run(options)
    #expect(silent.story.isEmpty)
    #expect(silent.traceHash == short(7).traceHash)
  }

  @Test func aRunHasFaultsAndOperations() {
    let result = short(8)
    #expect(result.violation == nil)
    #expect(result.counters.operations >= 50)
    #expect(result.counters.acknowledgedWrites > 0)
    #expect(result.counters.faults.reduce(0, +) >= 5)
    #expect(result.counters.restarts >= 3)
  }

  #if !PLANTED_BUGS
    @Test func anOrdinaryBuildPlantsNoBug() {
      #expect(SimulatorProgram.bugs.isEmpty)
      #expect(SimulatorProgram.plant("stale-read")?.contains("plants no bugs") == true)
    }
  #endif
}

@Suite struct FaultPlanTests {
  @Test func everyNodeCrashesAndFaultsComeInOrder() {
    for seed in 0..<50 {
      var random = SeededRandom(seed: UInt64(seed))
      let plan = FaultPlan(random: &random, nodes: 3, duration: .seconds(60))
      #expect(plan.faults.count >= 9)
      #expect(zip(plan.faults, plan.faults.dropFirst()).allSatisfy { $0.time <= $1.time })
      #expect(plan.faults.allSatisfy { $0.time < Instant.zero + .seconds(60) })
      for node in 0..<3 {
        #expect(
          plan.faults.contains {
            if case .crash(.node(node), _, _) = $0.fault { true } else { false }
          })
      }
    }
  }

  @Test func everyKindIsDrawnByAndBy() {
    var seen: Set<String> = []
    for seed in 0..<50 {
      var random = SeededRandom(seed: UInt64(seed))
      for (_, fault) in FaultPlan(random: &random, nodes: 3, duration: .seconds(60)).faults {
        if let name = fault.name { seen.insert(name) }
      }
    }
    #expect(seen == Set(Fault.names))
  }
}

@Suite struct EventQueueTests {
  private func times(_ queue: inout EventQueue) -> [(UInt64, Int)] {
    var found: [(UInt64, Int)] = []
    while let item = queue.popFirst() {
      guard case .clientActs(let index) = item.event else { continue }
      found.append((item.time.nanoseconds, index))
    }
    return found
  }

  @Test func eventsComeByTimeAndThenInTheOrderOfTheirScheduling() {
    var queue = EventQueue()
    for (index, time) in [5, 3, 5, 1, 3, 5].enumerated() {
      queue.add(.clientActs(index), at: Instant(nanoseconds: UInt64(time)))
    }
    #expect(queue.nextTime == Instant(nanoseconds: 1))
    #expect(queue.count == 6)
    let found = times(&queue)
    #expect(found.map(\.0) == [1, 3, 3, 5, 5, 5])
    #expect(found.map(\.1) == [3, 1, 4, 0, 2, 5])
    #expect(queue.popFirst() == nil)
  }

  @Test func manyEventsComeSorted() {
    var random = SeededRandom(seed: 1)
    var queue = EventQueue()
    for index in 0..<2000 { queue.add(.clientActs(index), at: Instant(nanoseconds: random.below(100))) }
    let found = times(&queue)
    #expect(found.count == 2000)
    #expect(zip(found, found.dropFirst()).allSatisfy { $0 < $1 })
  }
}

@Suite struct NetworkTests {
  @Test func aCutHasADirectionAndEndsWithItsLastFault() {
    var network = Network(nodes: 3)
    var random = SeededRandom(seed: 1)
    network.cut(from: 0, to: 1)
    network.cut(from: 0, to: 1)
    network.heal(from: 0, to: 1)
    #expect(network.arrivals(from: 0, to: 1, at: .zero, &random).isEmpty)
    #expect(network.arrivals(from: 1, to: 0, at: .zero, &random).count == 1)
    network.heal(from: 0, to: 1)
    network.heal(from: 0, to: 1)
    #expect(network.arrivals(from: 0, to: 1, at: .zero, &random).count == 1)
  }

  @Test func aLossyNetworkLosesAndDoubles() {
    var network = Network(nodes: 2)
    var random = SeededRandom(seed: 1)
    network.lossPerMille = 200
    let counts = (0..<1000).map { _ in network.arrivals(from: 0, to: 1, at: .zero, &random).count }
    #expect(Set(counts) == [0, 1, 2])
  }
}
