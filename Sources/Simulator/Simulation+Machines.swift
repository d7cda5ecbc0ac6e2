import Journal
import Node
import Primitives
import Raft
import Store

// Machines: events to nodes, turns, and performing what nodes order.

extension Simulation {
  /// Tells a node one fact; its orders are carried out at the end of the turn.
  func tell(_ machine: Machine, _ event: NodeEvent) {
    guard let node = machine.node else { return }
    node.step(event, at: machine.clock(now), into: &machine.effects)
    observe(machine)
    scheduleTurn(machine)
  }

  func scheduleTurn(_ machine: Machine) {
    guard !machine.isTurnScheduled else { return }
    machine.isTurnScheduled = true
    let length = Nanoseconds.microseconds(10 + random.below(turnMicrosecondsMax))
    queue.add(.turnEnd(machine.index, life: machine.life), at: now + length)
  }

  /// In some seeds nodes are busy: turns are long, and entries hold several commands.
  private var turnMicrosecondsMax: UInt64 { options.seed % 3 == 1 ? 4000 : 60 }

  func isPaused(_ machine: Machine) -> Bool { machine.pausedUntil > now }

  func tick(_ machine: Machine, _ life: UInt64) {
    guard machine.life == life, let node = machine.node else { return }
    if isPaused(machine) { return queue.add(.tick(machine.index, life: life), at: machine.pausedUntil) }
    machine.tickAt = .never
    if node.nextDeadline <= machine.clock(now) { tell(machine, .tick) }
    scheduleTick(machine)
  }

  /// Nothing while a turn is open: its end looks again.
  func scheduleTick(_ machine: Machine) {
    guard let node = machine.node, !machine.isTurnScheduled else { return }
    let wanted = max(machine.world(node.nextDeadline), now + .microseconds(1))
    guard wanted != .never, wanted < machine.tickAt else { return }
    machine.tickAt = wanted
    queue.add(.tick(machine.index, life: machine.life), at: wanted)
  }

  func endTurn(_ machine: Machine, _ life: UInt64) {
    guard machine.life == life, let node = machine.node else { return }
    if isPaused(machine) { return queue.add(.turnEnd(machine.index, life: life), at: machine.pausedUntil) }
    machine.isTurnScheduled = false
    node.step(.turnEnded, at: machine.clock(now), into: &machine.effects)
    var effects = NodeEffects()
    swap(&effects, &machine.effects)
    noteOpened(machine, node.openedStart)
    perform(effects, of: machine)
    node.checkInvariants(walkingLog: isWalkDue(machine, node.raft))
    observe(machine)
    goOnStopping(machine, drained: effects.drained)
    scheduleTick(machine)
  }

  /// A walk through the log costs as much as the log is long: one in as many turns adds the same to each of them.
  private func isWalkDue(_ machine: Machine, _ raft: RaftGroup) -> Bool {
    machine.turnsSinceWalk += 1
    guard machine.turnsSinceWalk > raft.lastIndex.rawValue - raft.cacheFloor.rawValue else { return false }
    machine.turnsSinceWalk = 0
    return true
  }

  private func perform(_ effects: NodeEffects, of machine: Machine) {
    for notice in effects.notices {
      if case .shortage(.some) = notice { counters.count(.writesRefused) }
      if case .becameLeader = notice { counters.elections += 1 }
      if case .scrubDamage(let text, let outcome) = notice { damageReported(machine, text, outcome) }
      if case .scrubFinished = notice { checkRot(machine) }
      story.tell(now, "\(machine.id) \(notice)")
    }
    for order in effects.journal { performJournal(order, of: machine) }
    for order in effects.checkpoint { performCheckpoint(order, of: machine) }
    for read in effects.pageReads { orderPageRead(read, of: machine) }
    for read in effects.scrubReads { complete(.scrubRead(read), of: machine) }
    for (to, payload) in effects.sends { send(payload, from: machine, to: Int(to.rawValue) - 1) }
    if !effects.sends.isEmpty { sent(machine) }
    for (id, reply) in effects.replies { sendReply(reply, number: id.rawValue, from: machine) }
    if let failed = effects.failed {
      story.tell(now, "\(machine.id) failed: \(failed.text)")
      counters.count(.nodeFailed)
      // Somebody looks after it in a while and starts it again.
      machine.outage = .milliseconds(500)
      queue.add(.fault(.processEnds(machine.index, life: machine.life)), at: now + .seconds(1))
    }
  }

  private func performJournal(_ order: JournalEffect, of machine: Machine) {
    guard let node = machine.node else { return }
    switch order {
    case .write(let write):
      let bytes = [UInt8](node.bytes(of: write))
      machine.inFlight.append((Machine.logName(write.file), write.offset, bytes, write.id))
      logWriteOrdered(machine)
      complete(.logWritten(id: write.id, file: write.file, offset: write.offset, bytes: bytes), of: machine)
    case .prepare(let order):
      if !order.isFresh { counters.count(.segmentReused) }
      complete(.segmentPrepared(file: order.file, bytes: order.bytes, isFresh: order.isFresh), of: machine)
    case .remove(let file): machine.disk.remove(Machine.logName(file))
    case .read(let read):
      counters.count(.logReadBack)
      complete(.logRead(id: read.id, file: read.file, offset: read.offset, count: read.count), of: machine)
    default: preconditionFailure("the node keeps what the journal says to it")
    }
  }

  private func orderPageRead(_ read: PageRead, of machine: Machine) {
    complete(.pageRead(read), of: machine)
  }

  /// Schedules the end of a disk operation.
  func complete(_ completion: DiskCompletion, of machine: Machine) {
    var latency = Nanoseconds.microseconds(30 + random.below(120))
    if machine.isDiskSlow { latency = .milliseconds(5 + random.below(250)) }
    queue.add(.disk(machine.index, life: machine.life, completion), at: now + latency)
  }

  func diskCompleted(_ machine: Machine, _ life: UInt64, _ completion: DiskCompletion) {
    guard machine.life == life, let node = machine.node else { return }
    if isPaused(machine) {
      return queue.add(.disk(machine.index, life: life, completion), at: machine.pausedUntil)
    }
    switch completion {
    case .logWritten(let id, let file, let offset, let bytes):
      logWritten(machine, id: id, file: file, offset: offset, bytes)
    case .segmentPrepared(let file, _, isFresh: true) where machine.isDiskFull:
      counters.count(.segmentRefused)
      tell(machine, .journal(.segmentFailed(file: file, errno: Simulation.noRoom)))
    case .segmentPrepared(let file, let bytes, let isFresh):
      if isFresh { machine.disk.install(Machine.logName(file), []) }
      machine.disk.create(Machine.logName(file), bytes: Int(bytes))
      tell(machine, .journal(.segmentReady(file: file)))
    case .logRead(let id, let file, let offset, let count):
      let bytes = machine.disk.read(Machine.logName(file), offset: offset, count: count)
      bytes.withUnsafeBytes { node.logRead(id, bytes: $0, at: machine.clock(now), into: &machine.effects) }
      observe(machine)
      scheduleTurn(machine)
    case .pageRead(let read):
      let bytes = machine.disk.read(Machine.pagesName, offset: read.fileOffset, count: read.count)
      bytes.withUnsafeBytes { node.pageLoaded(read, bytes: $0, at: machine.clock(now), into: &machine.effects) }
      observe(machine)
      scheduleTurn(machine)
    case .scrubRead(let read): scrubRead(machine, node, read)
    case .checkpointWrite(let write): checkpointWritten(machine, write)
    }
  }

  private func scrubRead(_ machine: Machine, _ node: Node, _ read: ScrubRead) {
    let (name, offset, count) =
      switch read {
      case .page(let page): (Machine.pagesName, page.fileOffset, page.count)
      case .log(let piece): (Machine.logName(piece.file), piece.offset, piece.count)
      }
    let bytes = machine.disk.read(name, offset: offset, count: count)
    // The file is gone, or shorter.
    guard bytes.count == count else { return tell(machine, .scrubReadFailed(read, errno: 5)) }
    bytes.withUnsafeBytes { node.scrubbed(read, bytes: $0, at: machine.clock(now), into: &machine.effects) }
    observe(machine)
    scheduleTurn(machine)
  }

  /// ENOSPC.
  static let noRoom: Int32 = 28

  private func logWritten(_ machine: Machine, id: UInt64, file: UInt32, offset: UInt64, _ bytes: [UInt8]) {
    machine.inFlight.removeAll { $0.id == id }
    if machine.failsNextLogWrite {
      machine.failsNextLogWrite = false
      return tell(machine, .journal(.writeFailed(id, errno: 5)))
    }
    machine.disk.write(Machine.logName(file), offset: offset, bytes, durable: true)
    tell(machine, .journal(.written(id)))
  }
}
