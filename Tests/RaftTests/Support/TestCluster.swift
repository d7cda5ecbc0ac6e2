// A group of three under a seed: one thread, virtual time, drifting clocks, a bad network, disks that lag, crashes.

import Primitives

@testable import Raft

final class TestCluster {
  struct Replica {
    var member: Member
    var group: RaftGroup?
    var disk = TestDisk()
    /// What the state machine was handed, and what it has told Raft.
    var applied = LogIndex.zero
    var logStart = LogIndex(1)
    /// Each start has its number; events of an earlier one are void.
    var boot = 0
    var pausedUntil: UInt64 = 0
    /// Its clock runs at rate / 1000 of the true time, from an offset of its own.
    var rate: UInt64
    var offset: UInt64
    /// The true time of its next tick that is queued.
    var tickAt = UInt64.max
  }

  enum Action {
    case deliver(RaftMessage)
    case persisted(Int, boot: Int, PersistID)
    case applied(Int, boot: Int, LogIndex)
    case loaded(Int, boot: Int, LoadOrder)
    case tick(Int, boot: Int)
    case start(Int)
    case fault
    case client
  }

  /// What happens in this run, drawn once: some seeds are calm in some respect.
  struct Weather {
    var lossPerMille: UInt64
    var duplicatesPerMille: UInt64
    var delayMax: UInt64
    var persistMax: UInt64
    var faultEvery: UInt64
    var hasCrashes: Bool
  }

  let configuration = Configuration(voters: [member(1), member(2), member(3)])
  let settings: RaftSettings
  let weather: Weather
  var time: UInt64 = 0
  var random: SeededRandom
  var replicas: [Replica] = []
  var queue = EventQueue<Action>()
  var cut: Set<Int> = []
  var isHealed = false
  let checker = RunChecker()
  var reads: [UInt64: LogIndex] = [:]
  var lastRead: UInt64 = 0
  var effects = RaftEffects()
  var steps = 0
  var counts = Counts()

  /// Interesting things that did happen, so that a calm simulation is noticed.
  struct Counts {
    var elections = 0, crashes = 0, transfers = 0, truncations = 0, loads = 0, leaseReads = 0, roundReads = 0
    var stepDowns = 0, overloads = 0, proposals = 0
  }

  init(seed: UInt64) {
    random = SeededRandom(seed: seed)
    settings = TestCluster.smallSettings(leases: seed % 4 != 3)
    weather = TestCluster.weather(&random)
    for n in 1...3 {
      replicas.append(
        Replica(member: member(n), rate: 960 + random.below(80), offset: random.below(1_000_000_000_000)))
    }
    for i in 0..<3 { start(i) }
    schedule(weather.faultEvery, .fault)
    schedule(5_000_000, .client)
  }

  static func smallSettings(leases: Bool) -> RaftSettings {
    var settings = RaftSettings()
    settings.leases = leases
    settings.entryBytesMax = 200
    settings.appendBytesMax = 400
    settings.inflightBytesMax = 1000
    settings.inflightMessagesMax = 4
    settings.cacheBytesMax = 500
    settings.unappliedBytesMax = 3000
    settings.readsWaitingMax = 8
    settings.termRunsMax = 3
    return settings
  }

  static func weather(_ random: inout SeededRandom) -> Weather {
    Weather(
      lossPerMille: random.chance(1, outOf: 2) ? 0 : random.below(150),
      duplicatesPerMille: random.chance(1, outOf: 2) ? 0 : random.below(100),
      delayMax: random.chance(2, outOf: 3) ? 2_000_000 : 1_000_000 + random.below(150_000_000),
      persistMax: random.chance(2, outOf: 3) ? 1_000_000 : 1_000_000 + random.below(80_000_000),
      faultEvery: 50_000_000 + random.below(600_000_000), hasCrashes: random.chance(3, outOf: 4))
  }

  func schedule(_ delay: UInt64, _ action: Action) { queue.push(time + delay, action) }

  func localTime(_ i: Int) -> Instant {
    Instant(nanoseconds: replicas[i].offset + time / 1000 * replicas[i].rate)
  }

  // MARK: Running

  /// Runs until `end`; stops at the first violation.
  func run(until end: UInt64) {
    while checker.violations.isEmpty, let next = queue.first, next <= end {
      guard let (at, action) = queue.pop() else { return }
      time = at
      perform(action)
    }
    time = max(time, end)
  }

  private func perform(_ action: Action) {
    switch action {
    case .fault: fault()
    case .client: client()
    case .start(let i): start(i)
    case .deliver(let message): onReplica(Int(message.to.node.rawValue) - 1, nil, action) { .received(message) }
    case .tick(let i, let boot):
      if replicas[i].boot == boot { replicas[i].tickAt = .max }
      onReplica(i, boot, action) { .tick }
    case .applied(let i, let boot, let index): onReplica(i, boot, action) { .applied(index) }
    case .persisted(let i, let boot, let id):
      onReplica(i, boot, action) {
        replicas[i].disk.perform(through: id)
        return .persisted(id)
      }
    case .loaded(let i, let boot, let order):
      onReplica(i, boot, action) {
        if order.from < replicas[i].logStart { checker.fail("\(order.from) is no longer in the journal") }
        return .entriesLoaded(order, random.chance(1, outOf: 5) ? [] : replicas[i].disk.load(order))
      }
    }
  }

  /// Hands over an event if the replica runs and is of that boot; later if it is paused.
  private func onReplica(_ i: Int, _ boot: Int?, _ action: Action, _ event: () -> RaftEvent) {
    guard replicas[i].group != nil, boot == nil || boot == replicas[i].boot else { return }
    if replicas[i].pausedUntil > time { return queue.push(replicas[i].pausedUntil, action) }
    step(i, event())
  }

  func step(_ i: Int, _ event: RaftEvent) {
    effects.removeAll()
    let wasLeader = replicas[i].group!.isLeader
    replicas[i].group!.step(event, at: localTime(i), into: &effects)
    if wasLeader, !replicas[i].group!.isLeader { counts.stepDowns += 1 }
    settle(i)
  }

  /// Checks, then carries out the effects of a step of replica `i`.
  func settle(_ i: Int) {
    steps += 1
    replicas[i].group!.checkInvariants(walkingLog: steps % 8 == 0)
    check(i)
    for order in effects.persist { persist(i, order) }
    for message in effects.messages { transmit(message) }
    for order in effects.loads {
      counts.loads += 1
      schedule(1 + random.below(20_000_000), .loaded(i, boot: replicas[i].boot, order))
    }
    if let last = effects.committed.last {
      schedule(random.below(3_000_000), .applied(i, boot: replicas[i].boot, last.index))
    }
    scheduleTick(i)
  }

  private func check(_ i: Int) {
    let me = replicas[i].member
    let disks = replicas.map(\.disk)
    for change in effects.changes {
      guard case .becameLeader(let term) = change else { continue }
      counts.elections += 1
      checker.becameLeader(me, term, replicas[i].group!, disks[i])
    }
    for message in effects.messages { checker.sent(message, disks[i]) }
    for order in effects.persist {
      guard let first = order.entries.first else { continue }
      if disks[i].lastIndex >= first.index { counts.truncations += 1 }
      let previousTerm = replicas[i].group!.term(at: first.index.previous) ?? .zero
      checker.appended(order.entries, previousTerm: previousTerm, at: me)
    }
    checkCommits(i, disks)
    for read in effects.readsReady {
      checker.checkRead(read.index, notBefore: reads.removeValue(forKey: read.id)!, at: me)
      counts.roundReads += 1
    }
    for id in effects.readsRefused { reads[id] = nil }
    checker.checkHeld(replicas[i].group!.heldByAll, at: me, disks)
  }

  private func checkCommits(_ i: Int, _ disks: [TestDisk]) {
    for entry in effects.committed {
      if entry.index != replicas[i].applied.next { checker.fail("\(entry.index) is handed out in disorder") }
      replicas[i].applied = entry.index
    }
    if !effects.committed.isEmpty { checker.committed(effects.committed, by: replicas[i].group!, disks) }
    for other in replicas.indices {
      guard replicas[other].group?.isLeader == true, replicas[other].group!.canServeRead(at: localTime(other)) else {
        continue
      }
      checker.checkRead(
        replicas[other].group!.commitIndex, notBefore: checker.committedIndex, at: replicas[other].member)
      counts.leaseReads += 1
    }
  }

  // MARK: Carrying out effects

  private func persist(_ i: Int, _ order: PersistOrder) {
    replicas[i].disk.accept(order)
    let delay = random.chance(1, outOf: 50) ? weather.persistMax * 10 : weather.persistMax
    schedule(1 + random.below(isHealed ? 1_000_000 : delay), .persisted(i, boot: replicas[i].boot, order.id))
  }

  private func transmit(_ message: RaftMessage) {
    let (from, to) = (Int(message.from.node.rawValue) - 1, Int(message.to.node.rawValue) - 1)
    if isHealed { return schedule(1 + random.below(1_000_000), .deliver(message)) }
    if cut.contains(from * 3 + to) || random.chance(weather.lossPerMille, outOf: 1000) { return }
    let isSlow = random.chance(1, outOf: 40)
    schedule(1 + random.below(isSlow ? weather.delayMax * 20 : weather.delayMax), .deliver(message))
    if random.chance(weather.duplicatesPerMille, outOf: 1000) {
      schedule(1 + random.below(weather.delayMax * 30), .deliver(message))
    }
  }

  private func scheduleTick(_ i: Int) {
    let deadline = replicas[i].group!.nextDeadline.nanoseconds
    guard deadline != .max else { return }
    let local = deadline - min(deadline, replicas[i].offset)
    let at = max(time + 1, (local / replicas[i].rate + 1) * 1000)
    guard at < replicas[i].tickAt || replicas[i].tickAt <= time else { return }
    replicas[i].tickAt = at
    queue.push(at, .tick(i, boot: replicas[i].boot))
  }
}
