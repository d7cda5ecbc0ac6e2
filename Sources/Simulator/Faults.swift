import Primitives

/// Something that goes wrong at a moment, and ends by an event of its own.
enum Fault: Equatable {
  /// kill -9 and power loss in one: what was not durable may be gone.
  case crash(Victim, CrashMoment, restartAfter: Nanoseconds)
  case crashAll(restartAfter: Nanoseconds)
  /// The process stands still (SIGSTOP, a stalled VM); its clock goes on.
  case pause(Victim, Nanoseconds)
  /// Nothing passes from the first to the second; the other way may be open.
  case cut(from: Int, to: Int, Nanoseconds)
  /// Cut off from all other nodes; clients still reach it.
  case isolate(Victim, Nanoseconds)
  case heal(from: Int, to: Int)
  /// Stands still, and is cut off when it goes on: a machine that was moved.
  case stall(Victim, Nanoseconds, isolated: Nanoseconds)
  /// The connection breaks and comes back at once; what was on its way is lost.
  case linkBreaks(Int, Int)
  case slowDisk(Victim, Nanoseconds)
  case diskRecovers(Int)
  /// Nothing more finds room on these disks: no segment, no longer page file. What is there can be written.
  case fullDisks([Int], Nanoseconds)
  case diskHasRoom(Int)
  /// A bit of a page at rest turns over.
  case rot(Victim)
  /// The next log write fails with EIO.
  case diskError(Victim)
  case lossy(Nanoseconds)
  case lossEnds
  /// Somebody asks for the leadership to be handed over.
  case transfer(to: Int)
  /// SIGTERM: the node drains, seals its log and ends.
  case stop(Victim, restartAfter: Nanoseconds)
  /// A process that is stopping, or that failed, is gone now at the latest.
  case processEnds(Int, life: UInt64)
}

/// Whom a fault strikes: what is worst is often the leader, and nobody knows beforehand who that will be.
enum Victim: Equatable {
  case node(Int)
  case leader
}

/// When a process that is to crash does.
enum CrashMoment: Equatable {
  case atOnce
  /// Soon after so many more log writes were ordered: mostly while the last of them is in flight.
  case logWrites(UInt64)
  /// The same with orders of checkpoints.
  case checkpointOrders(UInt64)
}

extension Fault {
  /// A name for the counters, in a fixed order.
  static let names = [
    "crash", "crash of all", "pause", "one-way cut", "isolation", "stall", "link break", "slow disk", "disk error",
    "loss", "transfer", "graceful stop", "full disk", rotName,
  ]
  static let rotName = "rot"

  var name: String? {
    switch self {
    case .crash: "crash"
    case .crashAll: "crash of all"
    case .pause: "pause"
    case .cut: "one-way cut"
    case .isolate: "isolation"
    case .stall: "stall"
    case .linkBreaks: "link break"
    case .slowDisk: "slow disk"
    case .diskError: "disk error"
    case .lossy: "loss"
    case .transfer: "transfer"
    case .stop: "graceful stop"
    case .fullDisks: "full disk"
    case .rot: Fault.rotName
    case .heal, .diskRecovers, .diskHasRoom, .lossEnds, .processEnds: nil
    }
  }
}

/// Draws which faults strike when. Swarm testing (Groce et al., 2012): each seed leaves out some kinds and repeats
/// others, because a mix of everything all the time hides what a few kinds would show.
struct FaultPlan {
  let faults: [(time: Instant, fault: Fault)]

  init(random: inout SeededRandom, nodes: Int, duration: Nanoseconds) {
    var faults: [(time: Instant, fault: Fault)] = []
    let kinds = FaultPlan.drawKinds(&random)
    let count = 6 + Int(random.below(14))
    for _ in 0..<count {
      let kind = kinds[Int(random.below(UInt64(kinds.count)))]
      faults.append((FaultPlan.moment(&random, duration), FaultPlan.draw(kind, &random, nodes)))
    }
    // Every node crashes at least once in every run.
    for node in 0..<nodes {
      faults.append((FaultPlan.moment(&random, duration), FaultPlan.crash(.node(node), &random)))
    }
    faults += FaultPlan.fullDisks(after: random, nodes, duration)
    faults += FaultPlan.rot(after: random, nodes, duration)
    self.faults = faults.sorted { $0.time < $1.time }
  }

  /// In half of the seeds, for some seconds, on one node, two, or all. Drawn apart, so that everything else is as without.
  private static func fullDisks(
    after random: SeededRandom, _ nodes: Int, _ duration: Nanoseconds
  ) -> [(time: Instant, fault: Fault)] {
    var random = random
    guard random.chance(1, outOf: 2) else { return [] }
    return (0..<2).map { _ in
      let first = Int(random.below(UInt64(nodes)))
      let full = (0...Int(random.below(UInt64(nodes)))).map { (first + $0) % nodes }
      let length = Nanoseconds.milliseconds(1000 + random.below(duration.rawValue / 4_000_000))
      return (moment(&random, duration), .fullDisks(full, length))
    }
  }

  /// Drawn apart likewise.
  private static func rot(
    after random: SeededRandom, _ nodes: Int, _ duration: Nanoseconds
  ) -> [(time: Instant, fault: Fault)] {
    var random = random
    return (0..<24).map { _ in
      let node = Int(random.below(UInt64(nodes)))
      return (moment(&random, duration), .rot(random.chance(1, outOf: 2) ? .leader : .node(node)))
    }
  }

  private static func drawKinds(_ random: inout SeededRandom) -> [String] {
    let chosen = Fault.names.dropLast(2).filter { _ in random.chance(1, outOf: 2) }
    return chosen.isEmpty ? ["crash"] : chosen
  }

  private static func moment(_ random: inout SeededRandom, _ duration: Nanoseconds) -> Instant {
    Instant(nanoseconds: duration.rawValue / 20 + random.below(duration.rawValue * 17 / 20))
  }

  private static func outage(_ random: inout SeededRandom) -> Nanoseconds {
    // Mostly short, sometimes long: 20 ms to 5 s.
    .milliseconds(20 + random.below(1 << (5 + random.below(8))))
  }

  /// Around the time in which followers elect another leader and the old one gives up.
  private static func change(_ random: inout SeededRandom) -> Nanoseconds { .milliseconds(400 + random.below(1600)) }

  private static func crash(_ victim: Victim, _ random: inout SeededRandom) -> Fault {
    let moment: CrashMoment =
      switch random.below(4) {
      case 0: .atOnce
      case 1: .checkpointOrders(1 + random.below(20))
      default: .logWrites(1 + random.below(3))
      }
    return .crash(victim, moment, restartAfter: outage(&random))
  }

  private static func draw(_ kind: String, _ random: inout SeededRandom, _ nodes: Int) -> Fault {
    let node = Int(random.below(UInt64(nodes)))
    let other = (node + 1 + Int(random.below(UInt64(nodes - 1)))) % nodes
    let victim = random.chance(1, outOf: 2) ? Victim.leader : .node(node)
    let length = outage(&random)
    switch kind {
    case "crash": return crash(victim, &random)
    case "crash of all": return .crashAll(restartAfter: length)
    case "pause": return .pause(victim, length)
    case "one-way cut": return .cut(from: node, to: other, length)
    case "isolation": return .isolate(victim, random.chance(1, outOf: 2) ? length : change(&random))
    case "stall": return .stall(victim, .milliseconds(50 + random.below(600)), isolated: change(&random))
    case "link break": return .linkBreaks(node, other)
    case "slow disk": return .slowDisk(victim, length)
    case "disk error": return .diskError(victim)
    case "transfer": return .transfer(to: node)
    case "graceful stop": return .stop(victim, restartAfter: length)
    default: return .lossy(length)
    }
  }
}
