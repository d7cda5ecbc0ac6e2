import Journal
import Primitives
import Raft
import Store

@testable import Node

/// One node of three, on files in memory. The other two vote for it and acknowledge what it sends, as long as they are not
/// made to say something else.
final class SoloNode {
  let files = LaneInMemory()
  let node: Node
  private(set) var now = Instant(nanoseconds: 1_000_000_000)
  private(set) var answered: [UInt64: Int] = [:]
  private var effects = NodeEffects()
  private var sequence: UInt64 = 0

  static func member(_ number: UInt32) -> Member {
    Member(node: NodeID(number), incarnation: Incarnation(UInt64(number) * 17))
  }

  private static let addresses = (1...3).map { (node: NodeID(UInt32($0)), address: "n\($0)") }

  init() {
    var journal = JournalSettings()
    (journal.segmentBytes, journal.logBytesMax, journal.reserveBytes) = (64 << 10, 1 << 20, 256 << 10)
    journal.writesInFlightMax = 1
    var limits = StoreLimits(framesMax: 512, pagesMax: 2048)
    limits.growPages = 64
    limits.memory = FramePool.memory
    do throws(OpenRefusal) {
      node = try Node.open(
        NodeSettings(
          clusterName: "fuzz", clusterID: "00", node: NodeID(1), addresses: SoloNode.addresses, version: "0", seed: 1),
        identity: PageFile.identity, boot: Boots.Boot(number: 1, nonce: 1), opened: nil, files: files,
        storeLimits: limits,
        journalSettings: journal, now: now)
    } catch { fatalError("a new node opens: \(error)") }
    settle()
    for other in SoloNode.addresses.dropFirst() { tell(.linkOpened(other.node)) }
  }

  /// Tells a fact and performs all that follows.
  func tell(_ event: NodeEvent) {
    node.step(event, at: now, into: &effects)
    settle()
  }

  func pass(_ length: Nanoseconds) {
    let end = now + length
    while now < end {
      now = min(end, max(now + .milliseconds(1), min(node.nextDeadline, now + .seconds(1))))
      tell(.tick)
    }
  }

  /// A payload of node `from`.
  func receive(_ messages: [UInt8], from: UInt32) {
    sequence += 1
    let envelope = PayloadEnvelope(session: 1 << 24 | 1, sequence: sequence).encoded()
    tell(.received(from: NodeID(from), payload: envelope + messages))
  }

  func receive(_ message: PeerMessage, from: UInt32) {
    var writer = ByteWriter()
    message.encode(into: &writer)
    receive(writer.bytes, from: from)
  }

  private func settle() {
    node.step(.turnEnded, at: now, into: &effects)
    while true {
      var orders = NodeEffects()
      swap(&orders, &effects)
      for (id, _) in orders.replies { answered[id.rawValue, default: 0] += 1 }
      let events = perform(orders)
      node.checkInvariants()
      if events.isEmpty, orders.pageReads.isEmpty { return }
      for event in events { node.step(event, at: now, into: &effects) }
      node.step(.turnEnded, at: now, into: &effects)
    }
  }

  // MARK: Orders

  private func perform(_ orders: NodeEffects) -> [NodeEvent] {
    var events = orders.journal.compactMap { perform($0) } + orders.checkpoint.compactMap { perform($0) }
    for read in orders.pageReads {
      files.file.pages[Int(read.page.rawValue)].withUnsafeBytes {
        node.pageLoaded(read, bytes: $0, at: now, into: &effects)
      }
    }
    for (to, payload) in orders.sends {
      for answer in answers(to: payload, by: to) { events.append(.received(from: to, payload: answer)) }
    }
    return events
  }

  private func perform(_ order: JournalEffect) -> NodeEvent? {
    switch order {
    case .write(let write):
      files.write(write, node.bytes(of: write))
      return .journal(.written(write.id))
    case .prepare(let order):
      files.segments[order.file] = [UInt8](repeating: 0, count: Int(order.bytes))
      return .journal(.segmentReady(file: order.file))
    case .remove(let file): files.segments[file] = nil
    case .read(let read):
      let bytes = files.segments[read.file] ?? []
      bytes[Int(read.offset)..<Int(read.offset) + read.count].withUnsafeBytes {
        node.logRead(read.id, bytes: $0, at: now, into: &effects)
      }
    default: break
    }
    return nil
  }

  private func perform(_ order: CheckpointEffect) -> NodeEvent? {
    files.file.perform(order) { node.bytes(of: $0) }.map { .checkpoint($0) }
  }

  // MARK: The others

  /// What an honest follower answers.
  private func answers(to payload: [UInt8], by node: NodeID) -> [[UInt8]] {
    guard let messages = try? PeerMessage.decodeAll(payload, from: PayloadEnvelope.byteCount) else {
      fatalError("a node sends what nodes can read")
    }
    return messages.compactMap { message in
      guard case .raft(let raft) = message, let body = answer(to: raft.body) else { return nil }
      var writer = ByteWriter()
      sequence += 1
      writer.writeBytes(PayloadEnvelope(session: 1 << 24 | 1, sequence: sequence).encoded())
      PeerMessage.raft(RaftMessage(shard: raft.shard, from: raft.to, to: raft.from, term: raft.term, body: body))
        .encode(into: &writer)
      return writer.bytes
    }
  }

  private func answer(to body: RaftMessage.Body) -> RaftMessage.Body? {
    switch body {
    case .preVote: return .preVoteReply(granted: true)
    case .vote: return .voteReply(granted: true)
    case .append(let append):
      let end = append.previousIndex + UInt64(append.entries.count)
      return .appendReply(
        AppendReply(outcome: .accepted(match: end, received: end), sentAt: append.sentAt, readRound: append.readRound))
    default: return nil
    }
  }
}

/// The files of a lane. What is written is durable at once.
final class LaneInMemory: LaneFiles {
  var file: PageFile
  var segments: [UInt32: [UInt8]] = [:]

  init() {
    let founders = Configuration(voters: (1...3).map { SoloNode.member($0) })
    file = PageFile(formatLane(identity: PageFile.identity, founders: founders))
  }

  var pagesBytes: UInt64 { file.byteCount }
  var files: [JournalFile] {
    segments.map { JournalFile(file: $0.key, bytes: UInt64($0.value.count)) }.sorted { $0.file < $1.file }
  }

  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    guard let bytes = segments[file] else { throw JournalReadError(errno: 2) }
    target.copyBytes(from: bytes[Int(offset)..<Int(offset) + target.count])
  }

  func readPages(offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    target.copyBytes(from: file.pages[Int(offset) / Store.pageBytes])
  }

  func write(_ write: JournalWrite, _ bytes: UnsafeRawBufferPointer) {
    segments[write.file]?.replaceSubrange(Int(write.offset)..<Int(write.offset) + write.count, with: bytes)
  }
}
