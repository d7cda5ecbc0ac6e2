import Journal
import Node
import Primitives
import Raft
import Store

/// A node of `Trio` with what it ordered. Its log takes every write and is never read back; its pages stay in memory.
final class Machine {
  let node: Node
  let id: NodeID
  private let pages: [UInt8]
  var effects = NodeEffects()
  /// Until when a loop around the node would sleep.
  private(set) var sleepsUntil = Instant.zero

  init(_ identity: StoreIdentity, _ founders: Configuration, _ now: Instant) {
    id = identity.node
    let pages = formatLane(identity: identity, founders: founders)
    self.pages = pages
    let settings = NodeSettings(
      clusterName: "budgets", clusterID: Trio.clusterID, node: identity.node,
      addresses: founders.voters.map { (node: $0.node, address: "\($0.node):7100") }, version: "0",
      seed: UInt64(identity.node.rawValue))
    node = certainly("a fresh lane opens") { () throws(OpenRefusal) in
      try Node.open(
        settings, identity: identity, boot: Boots.Boot(number: 1, nonce: 1), opened: nil, files: FreshFiles(pages),
        storeLimits: StoreLimits(framesMax: 4096, pagesMax: 16384), journalSettings: JournalSettings(), now: now)
    }
    turn([], now)
  }

  /// One turn as the server's loop makes it: a tick when due, what was told, the end, and a look at the next deadline.
  func turn(_ events: [NodeEvent], _ now: Instant) {
    if now >= node.nextDeadline { node.step(.tick, at: now, into: &effects) }
    for event in events { node.step(event, at: now, into: &effects) }
    node.step(.turnEnded, at: now, into: &effects)
    sleepsUntil = node.nextDeadline
  }

  // MARK: - Orders

  var hasOrders: Bool {
    expect(effects.failed == nil, "nothing fails")
    return !effects.journal.isEmpty || !effects.checkpoint.isEmpty || !effects.sends.isEmpty
      || !effects.pageReads.isEmpty
  }

  /// Performs orders to the disk, and tells the node of each in a turn of its own.
  func complete(at now: Instant) {
    for event in takeCompletions() { turn([event], now) }
    let reads = effects.pageReads
    effects.pageReads.removeAll(keepingCapacity: true)
    for read in reads {
      let start = Int(read.fileOffset)
      Array(pages[start..<start + read.count]).withUnsafeBytes {
        node.pageLoaded(read, bytes: $0, at: now, into: &effects)
      }
      turn([], now)
    }
  }

  /// What the disk has to say of the log's orders.
  func takeCompletions() -> [NodeEvent] {
    let completions = effects.journal.map { order -> NodeEvent in
      switch order {
      case .write(let write): return .journal(.written(write.id))
      case .prepare(let order): return .journal(.segmentReady(file: order.file))
      default: fatalError("a young log only writes: \(order)")
      }
    }
    effects.journal.removeAll(keepingCapacity: true)
    return completions + takeGrowth()
  }

  /// The page file grows ahead of need.
  private func takeGrowth() -> [NodeEvent] {
    if effects.checkpoint.isEmpty { return [] }
    let grown = effects.checkpoint.map { order -> NodeEvent in
      guard case .grow = order else { fatalError("no checkpoint begins: \(order)") }
      return .checkpoint(.grown)
    }
    effects.checkpoint.removeAll(keepingCapacity: true)
    return grown
  }

  func takeSends() -> [(to: NodeID, payload: [UInt8])] {
    let sends = effects.sends
    effects.sends.removeAll(keepingCapacity: true)
    return sends
  }

  /// The replies so far are as many as expected, each with the status.
  func expectReplies(_ count: Int, _ status: UInt16) {
    expect(effects.replies.count == count, "as many replies as requests")
    for (_, reply) in effects.replies {
      expect(reply.status == status, "\(reply.status): \(reply.problem?.detail ?? "")")
    }
    effects.replies.removeAll(keepingCapacity: true)
    effects.notices.removeAll(keepingCapacity: true)
  }
}

/// A lane that was formatted and never started.
private final class FreshFiles: LaneFiles {
  private let pages: [UInt8]

  init(_ pages: [UInt8]) { self.pages = pages }

  var pagesBytes: UInt64 { UInt64(pages.count) }
  var files: [JournalFile] { [] }

  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    throw JournalReadError(errno: 2)
  }

  func readPages(offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    guard Int(offset) + target.count <= pages.count else { throw JournalReadError(errno: 5) }
    target.copyBytes(from: pages[Int(offset)..<Int(offset) + target.count])
  }
}
