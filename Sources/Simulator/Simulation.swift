// Simulator: whole clusters from one seed.
//
// Three nodes, exactly as production runs them (`Node.step`), on virtual disks, a virtual network and clocks that drift,
// under clients that read and write the same few keys, while a drawn plan of faults crashes, cuts, pauses and slows them.
// Everything happens on one thread in an order that the seed decides, so a failure is replayed by its number:
//
//     simulate --seed 4711 --trace
//
// # Weather
//
// Chance alone seldom strikes where it hurts. So half of the faults strike whoever leads, most crashes come while a log
// write or a checkpoint is under way, clients stay with their node for a while (also with a leader that was cut off) and
// crowd on a few keys, and some seeds have busy nodes or checkpoints without end. `SimulationCounters` tells which faults
// and which rare states occurred; 100 seeds in which one never did count as failed.
//
// In a build of its own (`PLANTED_BUGS`) `simulate --bug NAME` plants a bug, to show that the weather is bad enough.
//
// # What is checked
//
// - After every step: the invariants of each node, and over all nodes those of Raft (`InvariantTracker`).
// - At the end, after all faults have healed: every node answers writes again within a bound (nothing is stuck), all
//   replicas show the same applied index and state hash, and each key's history is linearizable.
// - A share of all page accesses misses, so that every second pass runs.
//
// # What it does not do
//
// The edge (sockets, TLS, HTTP) is not simulated: ChaosTests and the API tests run it for real. Disks lose, tear and
// refuse writes. Pages rot only where their content is in memory, since nobody gives it back otherwise; logs do not rot.

import Checkers
import Journal
import Node
import Primitives
import Raft
import Store

package struct SimulationOptions: Sendable {
  package var seed: UInt64
  package var nodes = 3
  package var clients = 6
  package var keys = 10
  package var duration = Nanoseconds.seconds(60)
  package var operationsMin: UInt64 = 2000
  package var tellsStory = false
  package init(seed: UInt64) { self.seed = seed }
}

/// How a run ended.
package struct SimulationResult: Sendable {
  package var seed: UInt64
  package var violation: Violation?
  package var traceHash: UInt64
  package var story: [String]
  package var counters: SimulationCounters
}

/// The world of one run.
final class Simulation {
  let options: SimulationOptions
  var random: SeededRandom
  var queue = EventQueue()
  var now = Instant.zero
  var network: Network
  var machines: [Machine] = []
  var clients: [Client] = []
  var history = History()
  var story: Story
  var tracker: InvariantTracker
  var equality = ReplicaEquality()
  var counters = SimulationCounters()
  var violation: Violation?
  /// Which node holds each request that is under way.
  var underWay: [(number: UInt64, client: Int, node: Int)] = []
  var requestNumber: UInt64 = 0
  var nextValue: UInt64 = 0
  /// Scans that clients saw, to be asked for again.
  var moments: [Moment] = []
  /// No new faults, no new random requests: the run is being brought to its end.
  var isHealing = false
  /// The status that each node gave to its last probe, and which request was whose.
  var probes: [UInt16?] = []
  var probeNumbers: [(number: UInt64, node: Int)] = []
  let cluster: FoundedCluster

  init(_ options: SimulationOptions) {
    self.options = options
    random = SeededRandom(seed: options.seed)
    network = Network(nodes: options.nodes)
    story = Story(isTold: options.tellsStory)
    cluster = FoundedCluster(nodes: options.nodes, random: &random)
    tracker = InvariantTracker(voters: cluster.founders.voters.map(\.node))
    for index in 0..<options.nodes {
      let drift = Int64(random.below(20_000)) - 10_000
      machines.append(
        Machine(index: index, nodes: options.nodes, driftPerMillion: drift, clockOffset: random.below(1 << 40)))
    }
    for index in 0..<options.clients {
      clients.append(
        Client(
          index: index, random: random.fork(), habits: Client.Habits(&random), node: index % options.nodes,
          versions: Array(repeating: nil, count: options.keys)))
    }
  }

  /// Runs one seed from founding to the last check.
  package static func run(_ options: SimulationOptions) -> SimulationResult {
    let world = Simulation(options)
    world.runToEnd()
    return SimulationResult(
      seed: options.seed, violation: world.violation, traceHash: world.story.hash, story: world.story.lines,
      counters: world.counters)
  }

  private func runToEnd() {
    for machine in machines { format(machine) }
    for machine in machines { start(machine) }
    createTable()
    let plan = FaultPlan(random: &random, nodes: options.nodes, duration: options.duration)
    for (time, fault) in plan.faults { queue.add(.fault(fault), at: time) }
    for client in clients.indices { queue.add(.clientActs(client), at: .zero + .milliseconds(1500)) }
    let end = Instant.zero + options.duration
    runWhile { self.now < end || self.counters.operations < self.options.operationsMin }
    healAndSettle()
    if violation == nil { checkAtTheEnd() }
  }

  /// Takes events in order of time while `condition` holds and nothing is violated.
  func runWhile(_ condition: () -> Bool) {
    while violation == nil, condition(), let item = queue.popFirst() {
      precondition(item.time >= now, "time goes forward")
      now = item.time
      handle(item.event)
    }
  }

  func fail(_ rule: String, _ detail: String) {
    guard violation == nil else { return }
    violation = Violation(rule: rule, detail: detail)
    story.tell(now, "VIOLATION \(rule): \(detail)")
  }

  func handle(_ event: WorldEvent) {
    switch event {
    case .tick(let index, let life): tick(machines[index], life)
    case .turnEnd(let index, let life): endTurn(machines[index], life)
    case .deliver(let to, let from, let payload): deliver(payload, from: from, to: machines[to])
    case .arrived(let at, let life, let from, let payload): arrived(payload, from: from, at: machines[at], life)
    case .linkOpened(let at, let to): linkChanged(machines[at], to: to, isOpen: true)
    case .linkClosed(let at, let to): linkChanged(machines[at], to: to, isOpen: false)
    case .disk(let index, let life, let completion): diskCompleted(machines[index], life, completion)
    case .clientActs(let index): clientActs(index)
    case .requestArrives(let request): requestArrives(request)
    case .replyArrives(let reply): replyArrives(reply)
    case .connectionLost(let number): connectionLost(number)
    case .fault(let fault): strike(fault)
    case .restart(let index): restart(machines[index])
    case .resume(let index): resume(machines[index])
    }
  }
}
