import Checkers
import Node
import Primitives

// The end of a run: everything heals, and then everything must be well.

extension Simulation {
  /// After the last fault has healed, so much may pass until every promise is visible again.
  private var settleTime: Nanoseconds { .seconds(20) }

  func healAndSettle() {
    isHealing = true
    network.healAll()
    for machine in machines {
      machine.isDiskSlow = false
      machine.isDiskFull = false
      machine.failsNextLogWrite = false
      machine.crashesAt = nil
      machine.stallsAt = nil
      machine.pausedUntil = .zero
    }
    for machine in machines where machine.isUp { resume(machine) }
    // What the plan still holds falls away; restarts that are due still happen.
    let end = now + settleTime
    queue.add(.clientActs(-1), at: end)
    for machine in machines { openLinks(of: machine) }
    probe(until: end)
  }

  /// Every node must answer a write that it is asked for, again and again until it does or time is up.
  private func probe(until end: Instant) {
    var asked = Array(repeating: UInt64(0), count: machines.count)
    probes = Array(repeating: nil, count: machines.count)
    while violation == nil, now < end, !isSettled {
      for index in machines.indices where probes[index] != 201 && probes[index] != 200 {
        requestNumber += 1
        asked[index] = requestNumber
        probeNumbers.append((requestNumber, index))
        let operation = ClientOperation.put(
          RowPath(table: Workload.table, key: Array("probe-\(index)".utf8)), body: Workload.row(1, padding: 0), .none)
        queue.add(
          .requestArrives(
            ClientRequest(
              number: requestNumber, client: Client.probeIndex, node: index, operation: operation, timeout: .seconds(2))
          ),
          at: now + .microseconds(100))
      }
      let pause = now + .milliseconds(500)
      queue.add(.clientActs(-1), at: pause)
      runWhile { self.now < pause }
    }
    let silent = machines.indices.filter { probes[$0] != 200 && probes[$0] != 201 }
    if !silent.isEmpty, violation == nil {
      fail(
        "liveness",
        "after healing, \(silent.map { machines[$0].id }) answered no write within \(settleTime.rawValue / 1_000_000_000) s"
      )
    }
    if violation == nil, !isSettled { fail("liveness", "replicas did not reach the same index: \(positions)") }
  }

  private var positions: String {
    machines.map { "\($0.id) applied \($0.node?.appliedIndex.rawValue ?? 0)" }.joined(separator: ", ")
  }

  /// All probes were answered, and every replica has applied the same, all of it.
  private var isSettled: Bool {
    guard machines.allSatisfy(\.isUp), probes.allSatisfy({ $0 == 200 || $0 == 201 }) else { return false }
    guard clients.allSatisfy({ $0.waiting == nil }) || now > .zero else { return false }
    let nodes = machines.compactMap(\.node)
    guard let first = nodes.first else { return false }
    return nodes.allSatisfy { $0.appliedIndex == first.appliedIndex && $0.raft.lastIndex == first.raft.lastIndex }
  }

  func probeAnswered(_ number: UInt64, _ reply: NodeReply) {
    guard let probe = probeNumbers.first(where: { $0.number == number }) else { return }
    probes[probe.node] = reply.status
  }

  func checkAtTheEnd() {
    checkReplicas()
    for machine in machines {
      machine.node?.checkInvariants()
      checkRot(machine)
      countNode(machine)
    }
    for key in 0..<options.keys where violation == nil {
      let name = Workload.keyName(key)
      let operations = history.operations.filter { $0.key == name }
      let verdict = checkLinearizability(operations)
      if !verdict.isLinearizable { fail("linearizability", "\(verdict)") }
    }
  }

  private func checkReplicas() {
    let nodes = machines.compactMap(\.node)
    guard let first = nodes.first else { return }
    for node in nodes where node.totals != first.totals {
      fail(
        "replica equality", "at index \(first.appliedIndex): \(nodes.map { String($0.totals.stateHash, radix: 16) })")
    }
    story.feed(first.totals.stateHash, first.appliedIndex.rawValue)
  }

  /// Counts what a process counted in its life.
  func countNode(_ machine: Machine) {
    guard let statistics = machine.node?.statistics else { return }
    counters.pageMisses += statistics.pageMisses
    counters.forwarded += statistics.forwarded
    counters.readRounds += statistics.readRounds
    counters.scrubbedPages += statistics.scrubbedPages
    counters.scrubPasses += statistics.scrubPasses
  }
}
