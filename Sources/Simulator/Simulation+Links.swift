import Node
import Primitives

// The network between machines, as links that open, lose and close.

extension Simulation {
  func send(_ payload: [UInt8], from machine: Machine, to: Int) {
    let times = network.arrivals(from: machine.index, to: to, at: now, &random)
    if times.count > 1 { counters.count(.duplicate) }
    for time in times {
      queue.add(.deliver(to: to, from: machine.index, payload: payload), at: time)
    }
  }

  func deliver(_ payload: [UInt8], from: Int, to machine: Machine) {
    guard machine.isUp, !network.isCut(from: from, to: machine.index) else { return }
    arrived(payload, from: from, at: machine, machine.life)
  }

  /// A payload is in the machine's memory: no cut takes it away, only the end of the process does.
  func arrived(_ payload: [UInt8], from: Int, at machine: Machine, _ life: UInt64) {
    guard machine.isUp, machine.life == life else { return }
    if isPaused(machine) {
      return queue.add(
        .arrived(at: machine.index, life: life, from: from, payload: payload), at: machine.pausedUntil)
    }
    story.feed(now.nanoseconds, UInt64(payload.count) << 8 | UInt64(from << 4 | machine.index))
    tell(machine, .received(from: machines[from].id, payload: payload))
  }

  func linkChanged(_ machine: Machine, to: Int, isOpen: Bool) {
    guard let node = machine.node else { return }
    guard node.isOpen else {
      // A real link is tried again until somebody listens.
      if isOpen { queue.add(.linkOpened(at: machine.index, to: to), at: now + .milliseconds(20)) }
      return
    }
    guard !isOpen || machines[to].isUp, machine.linksUp[to] != isOpen else { return }
    machine.linksUp[to] = isOpen
    tell(machine, isOpen ? .linkOpened(machines[to].id) : .linkClosed(machines[to].id))
  }

  /// A process started or came back: links to and from it open after a moment.
  func openLinks(of machine: Machine) {
    for other in machines where other.index != machine.index {
      queue.add(.linkOpened(at: machine.index, to: other.index), at: now + .milliseconds(1 + random.below(20)))
      queue.add(.linkOpened(at: other.index, to: machine.index), at: now + .milliseconds(1 + random.below(20)))
    }
  }

  /// The process is gone: the others' links to it break at once, as the kernel tells them.
  func closeLinks(to machine: Machine) {
    for other in machines where other.index != machine.index {
      queue.add(.linkClosed(at: other.index, to: machine.index), at: now + .microseconds(100 + random.below(1000)))
    }
  }
}
