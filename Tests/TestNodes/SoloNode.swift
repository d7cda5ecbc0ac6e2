import Journal
import Node
import Primitives
import Raft
import Store

/// A node that is a cluster by itself, driven without a loop: what its files hold is all that it knows. Disks complete at once,
/// and time goes to where something is due.
package final class SoloNode {
  package static let identity = StoreIdentity(
    cluster: Array(1...16), node: NodeID(1), lane: LaneID(0), incarnation: Incarnation(0x1234),
    directory: 0xD1)
  package static let founders = Raft.Configuration(voters: [
    Member(node: NodeID(1), incarnation: identity.incarnation)
  ])
  package static let segmentBytes = 64 << 10

  /// A directory as `fscluster init` makes it.
  package static var fresh: DirectoryImage {
    DirectoryImage(pages: formatLane(identity: identity, founders: founders))
  }

  private let node: Node
  private let files: any LaneFiles
  /// Nil: what is written is lost, so that the files stay as they are.
  private let disk: ImageDisk?
  private var boots: Boots
  private var now = Instant(nanoseconds: 1_000_000_000)
  private var effects = NodeEffects()
  private var replies: [(id: UInt64, reply: Reply)] = []
  private var requests: UInt64 = 0
  package private(set) var isClosed = false

  /// Starts on what the files hold, as `Boot` does.
  package init(_ files: any LaneFiles, boots bytes: [UInt8]?, disk: ImageDisk? = nil) throws(SoloRefusal) {
    self.files = files
    self.disk = disk
    do throws(DecodeError) {
      boots =
        try bytes.map { bytes throws(DecodeError) in try Boots(decoding: bytes) }
        ?? Boots(directory: SoloNode.identity.directory)
    } catch { throw .boots(error.message) }
    guard boots.directory == SoloNode.identity.directory else {
      throw .boots("of another directory")
    }
    let opened = boots.opened
    let boot = boots.add(nonce: 7)
    do throws(OpenRefusal) {
      let found = try readIdentity(files)
      guard found.node == SoloNode.identity.node, found.cluster == SoloNode.identity.cluster else {
        throw .anotherNode(found: found.node, expected: SoloNode.identity.node)
      }
      node = try Node.open(
        SoloNode.settings, identity: found, boot: boot, opened: opened, files: files,
        storeLimits: SoloNode.storeLimits,
        journalSettings: SoloNode.journalSettings, now: now)
    } catch { throw .open(error) }
    disk?.perform(.boots(boots.encoded()))
    turn()
    if let start = node.openedStart {
      boots.noteOpened(start)
      disk?.perform(.boots(boots.encoded()))
    }
  }

  private static var settings: NodeSettings {
    var limits = NodeLimits()
    limits.checkpointLogBytes = 70_000
    limits.checkpointPagesAtOnce = 1
    return NodeSettings(
      clusterName: "solo", clusterID: "00", node: NodeID(1),
      addresses: [(node: NodeID(1), address: "n1")],
      version: "0",
      limits: limits, seed: 1)
  }

  private static var storeLimits: StoreLimits {
    var limits = StoreLimits(framesMax: 512, pagesMax: 2048)
    limits.growPages = 4
    return limits
  }

  private static var journalSettings: JournalSettings {
    var settings = JournalSettings()
    settings.segmentBytes = UInt64(segmentBytes)
    settings.logBytesMax = 12 * settings.segmentBytes
    settings.reserveBytes = 2 * settings.segmentBytes
    return settings
  }

  // MARK: What tests ask

  /// Why it acknowledges nothing more.
  package var failure: String? { node.failure?.text }
  package var checkpoints: UInt64 { node.statistics.checkpoints }

  /// True when it leads and has applied all that its log holds.
  package func lead() -> Bool {
    for _ in 0..<300 where failure == nil {
      if node.isLeader, node.raft.canServeRead(at: now), node.appliedIndex == node.raft.commitIndex {
        return true
      }
      pass()
    }
    return false
  }

  /// The answer; nil when none comes in a minute.
  package func ask(_ operation: Operation) -> Reply? {
    requests += 1
    let id = requests
    tell(.requested(Request(id: RequestID(id), deadline: now + .seconds(60), operation: operation)))
    turn()
    for _ in 0..<300 where failure == nil {
      if let position = replies.firstIndex(where: { $0.id == id }) {
        return replies.remove(at: position).reply
      }
      pass()
    }
    return replies.first { $0.id == id }?.reply
  }

  /// Lets so much time go by.
  package func pass(_ length: Nanoseconds) {
    let end = now + length
    while now < end { pass(until: end) }
  }

  /// Writes what waits and seals the log.
  package func close() -> Bool {
    tell(.closeRequested)
    turn()
    for _ in 0..<300 where !node.isClosed { pass() }
    return node.isClosed
  }

  // MARK: Turns

  private func pass(until end: Instant = .never) {
    now = max(now + .milliseconds(1), min(node.nextDeadline, min(end, now + .seconds(1))))
    tell(.tick)
    turn()
  }

  private func tell(_ event: NodeEvent) { node.step(event, at: now, into: &effects) }

  private func turn() {
    var rounds = 0
    repeat {
      rounds += 1
      precondition(rounds < 10_000, "a turn ends: \(node.storeStatistics) \(node.journalStatistics)")
      tell(.turnEnded)
      var orders = NodeEffects()
      swap(&orders, &effects)
      for order in orders.journal { perform(order) }
      for order in orders.checkpoint { perform(order) }
      for read in orders.pageReads { perform(read) }
      replies += orders.replies.map { ($0.id.rawValue, $0.reply) }
      guard !orders.journal.isEmpty || !orders.checkpoint.isEmpty || !orders.pageReads.isEmpty
      else { return }
    } while true
  }

  private func perform(_ order: JournalEffect) {
    switch order {
    case .write(let write):
      disk?.perform(.log(file: write.file, offset: Int(write.offset), Array(node.bytes(of: write))))
      tell(.journal(.written(write.id)))
    case .prepare(let order):
      if order.isFresh { disk?.perform(.segment(file: order.file, count: Int(order.bytes))) }
      tell(.journal(.segmentReady(file: order.file)))
    case .remove(let file): disk?.perform(.removed(file: file))
    case .read(let read):
      withBuffer(read.count) { buffer in
        do throws(JournalReadError) {
          try files.read(file: read.file, offset: read.offset, into: buffer)
          node.logRead(read.id, bytes: UnsafeRawBufferPointer(buffer), at: now, into: &effects)
        } catch { tell(.journal(.readFailed(read.id, errno: error.errno))) }
      }
    default: break
    }
  }

  private func perform(_ read: PageRead) {
    withBuffer(read.count) { buffer in
      do throws(JournalReadError) {
        try files.readPages(offset: read.fileOffset, into: buffer)
        node.pageLoaded(read, bytes: UnsafeRawBufferPointer(buffer), at: now, into: &effects)
      } catch { tell(.pageReadFailed(read.page, errno: error.errno)) }
    }
  }

  private func withBuffer(_ count: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    defer { buffer.deallocate() }
    body(buffer)
  }

  private func perform(_ order: CheckpointEffect) {
    switch order {
    case .grow(let bytes):
      disk?.perform(.grown(Int(bytes)))
      tell(.checkpoint(.grown))
    case .writePage(let page, let offset):
      disk?.perform(.page(offset: Int(offset), Array(node.bytes(of: page))))
      tell(.checkpoint(.written(page)))
    case .sync:
      disk?.perform(.synced)
      tell(.checkpoint(.synced))
    case .writeSuperblock(let page, let offset):
      disk?.perform(.superblock(offset: Int(offset), Array(node.bytes(of: page))))
      tell(.checkpoint(.superblockWritten))
    case .shrink: tell(.checkpoint(.shrunk))  // it need not get shorter
    case .awaitRoom, .awaitLog, .finished, .failed: break
    }
  }
}

/// Why a start was refused: a value of a closed type, with words for people.
package enum SoloRefusal: Error, CustomStringConvertible {
  case boots(String)
  case open(OpenRefusal)

  package var description: String {
    switch self {
    case .boots(let text): "the list of starts is damaged: \(text)"
    case .open(let refusal): refusal.description
    }
  }
}
