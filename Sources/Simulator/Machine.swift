import Journal
import Node
import Primitives
import Raft
import Store

/// One simulated machine: a disk that survives, and a process that does not.
final class Machine {
  let index: Int
  let id: NodeID
  var disk = VirtualDisk()
  var node: Node?
  /// Its starts, as they stand on its disk.
  var boots: Boots?
  /// Raised by each start: completions of an older life are dropped.
  var life: UInt64 = 0
  var effects = NodeEffects()
  var isTurnScheduled = false
  var pausedUntil: Instant = .zero
  var tickAt: Instant = .never
  /// Ordered and not completed: what a crash may tear.
  var inFlight: [(name: String, offset: UInt64, bytes: [UInt8], id: UInt64)] = []
  /// Between the first order of a checkpoint and the completion of its superblock.
  var isCheckpointing = false
  /// How long after its next end the process starts again.
  var outage: Nanoseconds = .zero
  /// It was asked to stop.
  var isStopping = false
  var crashesAt: CrashMoment?
  /// With the next payload that it sends it stands still, and is cut off when it goes on.
  var stallsAt: (length: Nanoseconds, isolated: Nanoseconds)?
  /// Its log is closed; the process lives on for a moment.
  var isLeaving = false
  var isDiskSlow = false
  var isDiskFull = false
  var failsNextLogWrite = false
  /// Of its pages, since the process began.
  var rots: [Rot] = []
  /// This machine's clock runs so much faster or slower than the world, in millionths.
  let driftPerMillion: Int64
  /// And started at another moment.
  let clockOffset: UInt64
  /// Which other machines' links it takes for open.
  var linksUp: [Bool]
  var seen = LastSeen()
  /// Turns since the whole log of the node was checked.
  var turnsSinceWalk: UInt64 = 0

  init(index: Int, nodes: Int, driftPerMillion: Int64, clockOffset: UInt64) {
    self.index = index
    id = NodeID(UInt32(index + 1))
    self.driftPerMillion = driftPerMillion
    self.clockOffset = clockOffset
    linksUp = Array(repeating: false, count: nodes)
  }

  var isUp: Bool { node != nil }

  /// The machine's own CLOCK_BOOTTIME at a moment of the world.
  func clock(_ world: Instant) -> Instant {
    let drift = Int64(world.nanoseconds / 1_000_000) * driftPerMillion
    return Instant(nanoseconds: UInt64(Int64(world.nanoseconds + clockOffset) + drift))
  }

  /// The moment of the world at which the machine's clock shows `own` (rounded up).
  func world(_ own: Instant) -> Instant {
    guard own != .never else { return .never }
    let since = Int64(own.nanoseconds) - Int64(clockOffset)
    guard since > 0 else { return .zero }
    let perMillion = UInt64(1_000_000 + driftPerMillion)
    let (high, low) = UInt64(since).multipliedFullWidth(by: 1_000_000)
    return Instant(nanoseconds: perMillion.dividingFullWidth((high, low)).quotient + 11_000)
  }

  /// What ends with a process.
  func forgetProcess() {
    effects = NodeEffects()
    isTurnScheduled = false
    isCheckpointing = false
    isStopping = false
    crashesAt = nil
    stallsAt = nil
    isLeaving = false
    tickAt = .never
    failsNextLogWrite = false
    pausedUntil = .zero
    linksUp = linksUp.map { _ in false }
  }

  static func logName(_ file: UInt32) -> String { "log/\(file)" }
  static let pagesName = "pages"
}
