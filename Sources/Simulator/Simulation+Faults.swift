import Node
import Primitives

// Faults strike and end.

extension Simulation {
  func strike(_ fault: Fault) {
    if isHealing, fault.name != nil { return }
    if case .rot(let victim) = fault { return rot(machine(victim)) }
    story.tell(now, "fault: \(fault)")
    if let name = fault.name, let index = Fault.names.firstIndex(of: name) { counters.faults[index] += 1 }
    switch fault {
    case .crash(let victim, let moment, let outage): crash(machine(victim), moment, restartAfter: outage)
    case .crashAll(let outage):
      for machine in machines { crash(machine, restartAfter: outage + .milliseconds(random.below(200))) }
    case .pause(let victim, let length): pause(machine(victim), length)
    case .cut(let from, let to, let length): cut(from, to, length)
    case .isolate(let victim, let length): isolate(machine(victim), length)
    case .stall(let victim, let length, let isolated): machine(victim).stallsAt = (length, isolated)
    case .heal(let from, let to): heal(from, to)
    case .linkBreaks(let a, let b): breakLink(a, b)
    case .slowDisk(let victim, let length): slowDisk(machine(victim), length)
    case .diskRecovers(let index): machines[index].isDiskSlow = false
    case .fullDisks(let indexes, let length):
      for index in indexes {
        machines[index].isDiskFull = true
        queue.add(.fault(.diskHasRoom(index)), at: now + length)
      }
    case .diskHasRoom(let index): machines[index].isDiskFull = false
    case .rot: break
    case .diskError(let victim):
      let machine = machine(victim)
      machine.failsNextLogWrite = machine.isUp
    case .lossy(let length): lossy(length)
    case .lossEnds:
      network.lossPerMille = 0
      network.slowPerMille = 0
    case .transfer(let to): transfer(to: to)
    case .stop(let victim, let outage): stop(machine(victim), restartAfter: outage)
    case .processEnds(let index, let life): processEnds(machines[index], life)
    }
  }

  private func machine(_ victim: Victim) -> Machine {
    switch victim {
    case .node(let index): return machines[index]
    case .leader:
      let leaders = machines.filter { $0.node?.isLeader == true }
      let newest = leaders.max { ($0.node?.raft.term ?? .zero) < ($1.node?.raft.term ?? .zero) }
      return newest ?? machines[Int(random.below(UInt64(machines.count)))]
    }
  }

  // MARK: - Processes

  private func crash(_ machine: Machine, _ moment: CrashMoment, restartAfter outage: Nanoseconds) {
    if moment == .atOnce { return crash(machine, restartAfter: outage) }
    guard machine.isUp else { return }
    machine.crashesAt = moment
    machine.outage = outage
  }

  /// A log write of the machine was ordered.
  func logWriteOrdered(_ machine: Machine) {
    guard case .logWrites(let left) = machine.crashesAt else { return }
    machine.crashesAt = .logWrites(left - 1)
    if left == 1 { crashSoon(machine) }
  }

  func checkpointOrdered(_ machine: Machine) {
    guard case .checkpointOrders(let left) = machine.crashesAt else { return }
    machine.crashesAt = .checkpointOrders(left - 1)
    if left == 1 { crashSoon(machine) }
  }

  private func crashSoon(_ machine: Machine) {
    machine.crashesAt = nil
    queue.add(
      .fault(.processEnds(machine.index, life: machine.life)), at: now + .microseconds(random.below(150)))
  }

  private func crash(_ machine: Machine, restartAfter outage: Nanoseconds) {
    guard machine.isUp else { return }
    kill(machine)
    queue.add(.restart(machine.index), at: now + outage)
  }

  /// The process is gone with all it had not made durable.
  private func kill(_ machine: Machine) {
    countNode(machine)
    checkRot(machine)
    if machine.isCheckpointing { counters.count(.crashInCheckpoint) }
    // Nobody could look any more.
    machine.node?.checkInvariants()
    machine.node = nil
    machine.life += 1
    machine.forgetProcess()
    let torn = machine.disk.crash(
      inFlight: machine.inFlight.map { ($0.name, $0.offset, $0.bytes) }, random: &random)
    if torn { counters.count(.tornWrite) }
    machine.inFlight.removeAll()
    undoRot(machine)
    closeLinks(to: machine)
    note(.crashed(machine.id))
    for request in underWay where request.node == machine.index {
      queue.add(.connectionLost(request: request.number), at: now + .microseconds(200))
    }
  }

  func restart(_ machine: Machine) {
    guard !machine.isUp else { return }
    counters.restarts += 1
    start(machine)
  }

  private func pause(_ machine: Machine, _ length: Nanoseconds) {
    guard machine.isUp else { return }
    machine.pausedUntil = max(machine.pausedUntil, now + length)
    queue.add(.resume(machine.index), at: machine.pausedUntil)
  }

  func resume(_ machine: Machine) {
    guard machine.isUp, !isPaused(machine) else { return }
    scheduleTick(machine)
  }

  private func slowDisk(_ machine: Machine, _ length: Nanoseconds) {
    machine.isDiskSlow = true
    queue.add(.fault(.diskRecovers(machine.index)), at: now + length)
  }

  private func transfer(to index: Int) {
    requestNumber += 1
    let request = ClientRequest(
      number: requestNumber, client: Client.operatorIndex, node: Int(random.below(UInt64(machines.count))),
      operation: .transferLeadership(Node.onlyShard, to: machines[index].id), timeout: .seconds(2))
    queue.add(.requestArrives(request), at: now + .microseconds(100))
  }

  // MARK: - Stopping in order

  /// SIGTERM, as the server takes it: drain, close, end. Events go on to come meanwhile.
  private func stop(_ machine: Machine, restartAfter outage: Nanoseconds) {
    guard machine.isUp, machine.node?.isOpen == true, !machine.isStopping else { return }
    machine.isStopping = true
    machine.outage = outage
    queue.add(.fault(.processEnds(machine.index, life: machine.life)), at: now + .seconds(8))
    tell(machine, .drainRequested)
  }

  /// After a turn of a stopping node.
  func goOnStopping(_ machine: Machine, drained: Bool) {
    guard machine.isStopping, let node = machine.node else { return }
    if drained { tell(machine, .closeRequested) }
    guard node.isClosed, !machine.isLeaving else { return }
    // Last answers leave, and events still come, before the process ends.
    machine.isLeaving = true
    counters.count(.cleanStop)
    queue.add(
      .fault(.processEnds(machine.index, life: machine.life)), at: now + .milliseconds(random.below(500)))
  }

  private func processEnds(_ machine: Machine, _ life: UInt64) {
    guard machine.life == life else { return }
    crash(machine, restartAfter: machine.outage)
  }

  // MARK: - The network

  private func isolate(_ machine: Machine, _ length: Nanoseconds) {
    for other in machines.indices where other != machine.index {
      cut(machine.index, other, length)
      cut(other, machine.index, length)
    }
  }

  /// The machine has sent something. If it is to stall it does so now: answers arrive and wait, then it is cut off.
  func sent(_ machine: Machine) {
    guard let (length, isolated) = machine.stallsAt else { return }
    machine.stallsAt = nil
    pause(machine, length)
    queue.add(.fault(.isolate(.node(machine.index), isolated)), at: now + .milliseconds(2))
  }

  private func lossy(_ length: Nanoseconds) {
    network.lossPerMille = 20 + random.below(200)
    network.slowPerMille = random.below(300)
    queue.add(.fault(.lossEnds), at: now + length)
  }

  private func cut(_ from: Int, _ to: Int, _ length: Nanoseconds) {
    network.cut(from: from, to: to)
    queue.add(.fault(.heal(from: from, to: to)), at: now + length)
    // A long silence is noticed by the link and closes it.
    let patience = Nanoseconds.milliseconds(300 + random.below(2000))
    if length > patience { queue.add(.linkClosed(at: from, to: to), at: now + patience) }
  }

  private func heal(_ from: Int, _ to: Int) {
    network.heal(from: from, to: to)
    guard !network.isCut(from: from, to: to) else { return }
    queue.add(.linkOpened(at: from, to: to), at: now + .milliseconds(1 + random.below(200)))
  }

  private func breakLink(_ a: Int, _ b: Int) {
    for (from, to) in [(a, b), (b, a)] {
      queue.add(.linkClosed(at: from, to: to), at: now + .microseconds(random.below(500)))
      queue.add(.linkOpened(at: from, to: to), at: now + .milliseconds(2 + random.below(100)))
    }
  }
}
