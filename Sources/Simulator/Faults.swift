import Primitives

/// Something that goes wrong at a moment, and ends by an event of its own.
enum Fault: Equatable {
  /// kill -9 and power loss in one: what was not durable may be gone.
  case crash(Int, restartAfter: Nanoseconds)
  case crashAll(restartAfter: Nanoseconds)
  /// The process stands still (SIGSTOP, a stalled VM); its clock goes on.
  case pause(Int, Nanoseconds)
  /// Nothing passes from the first to the second; the other way may be open.
  case cut(from: Int, to: Int, Nanoseconds)
  case isolate(Int, Nanoseconds)
  case heal(from: Int, to: Int)
  /// The connection breaks and comes back at once; what was on its way is lost.
  case linkBreaks(Int, Int)
  case slowDisk(Int, Nanoseconds)
  case diskRecovers(Int)
  /// The next log write fails with EIO.
  case diskError(Int)
  case lossy(Nanoseconds)
  case lossEnds
}

extension Fault {
  /// A name for the counters, in a fixed order.
  static let names = [
    "crash", "crash of all", "pause", "one-way cut", "isolation", "link break", "slow disk", "disk error", "loss",
  ]

  var name: String? {
    switch self {
    case .crash: "crash"
    case .crashAll: "crash of all"
    case .pause: "pause"
    case .cut: "one-way cut"
    case .isolate: "isolation"
    case .linkBreaks: "link break"
    case .slowDisk: "slow disk"
    case .diskError: "disk error"
    case .lossy: "loss"
    case .heal, .diskRecovers, .lossEnds: nil
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
      faults.append((FaultPlan.moment(&random, duration), .crash(node, restartAfter: FaultPlan.outage(&random))))
    }
    self.faults = faults.sorted { $0.time < $1.time }
  }

  private static func drawKinds(_ random: inout SeededRandom) -> [String] {
    let chosen = Fault.names.filter { _ in random.chance(1, outOf: 2) }
    return chosen.isEmpty ? ["crash"] : chosen
  }

  private static func moment(_ random: inout SeededRandom, _ duration: Nanoseconds) -> Instant {
    Instant(nanoseconds: duration.rawValue / 20 + random.below(duration.rawValue * 17 / 20))
  }

  private static func outage(_ random: inout SeededRandom) -> Nanoseconds {
    // Mostly short, sometimes long: 20 ms to 5 s.
    .milliseconds(20 + random.below(1 << (5 + random.below(8))))
  }

  private static func draw(_ kind: String, _ random: inout SeededRandom, _ nodes: Int) -> Fault {
    let node = Int(random.below(UInt64(nodes)))
    let other = (node + 1 + Int(random.below(UInt64(nodes - 1)))) % nodes
    let length = outage(&random)
    switch kind {
    case "crash": return .crash(node, restartAfter: length)
    case "crash of all": return .crashAll(restartAfter: length)
    case "pause": return .pause(node, length)
    case "one-way cut": return .cut(from: node, to: other, length)
    case "isolation": return .isolate(node, length)
    case "link break": return .linkBreaks(node, other)
    case "slow disk": return .slowDisk(node, length)
    case "disk error": return .diskError(node)
    default: return .lossy(length)
    }
  }
}
