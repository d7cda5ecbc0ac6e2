import Node
import Primitives

// Faults strike and end.

extension Simulation {
  func strike(_ fault: Fault) {
    if isHealing, fault.name != nil { return }
    story.tell(now, "fault: \(fault)")
    if let name = fault.name, let index = Fault.names.firstIndex(of: name) { counters.faults[index] += 1 }
    switch fault {
    case .crash(let index, let outage): crash(machines[index], restartAfter: outage)
    case .crashAll(let outage):
      for machine in machines { crash(machine, restartAfter: outage + .milliseconds(random.below(200))) }
    case .pause(let index, let length): pause(machines[index], length)
    case .cut(let from, let to, let length): cut(from, to, length)
    case .isolate(let index, let length):
      for other in machines.indices where other != index {
        cut(index, other, length)
        cut(other, index, length)
      }
    case .heal(let from, let to): heal(from, to)
    case .linkBreaks(let a, let b): breakLink(a, b)
    case .slowDisk(let index, let length):
      machines[index].isDiskSlow = true
      queue.add(.fault(.diskRecovers(index)), at: now + length)
    case .diskRecovers(let index): machines[index].isDiskSlow = false
    case .diskError(let index): machines[index].failsNextLogWrite = machines[index].isUp
    case .lossy(let length):
      network.lossPerMille = 20 + random.below(200)
      network.slowPerMille = random.below(300)
      queue.add(.fault(.lossEnds), at: now + length)
    case .lossEnds:
      network.lossPerMille = 0
      network.slowPerMille = 0
    }
  }

  private func crash(_ machine: Machine, restartAfter outage: Nanoseconds) {
    guard machine.isUp else { return }
    kill(machine)
    queue.add(.restart(machine.index), at: now + outage)
  }

  /// The process is gone with all it had not made durable.
  private func kill(_ machine: Machine) {
    machine.node = nil
    machine.life += 1
    machine.effects = NodeEffects()
    machine.isTurnScheduled = false
    machine.tickAt = .never
    machine.failsNextLogWrite = false
    machine.pausedUntil = .zero
    machine.linksUp = machine.linksUp.map { _ in false }
    machine.disk.crash(inFlight: machine.inFlight.map { ($0.name, $0.offset, $0.bytes) }, random: &random)
    machine.inFlight.removeAll()
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
