// Server: the edge of one node. It feeds the node with what the world does and performs what the node orders; it decides
// nothing about data.
//
// # One turn of the loop
//
//     ring.wait ─► completions ─► connections, links, files ─┬─► inbox ─► node.step(event) …
//         ▲                                                  └─► node.step(.journal(…)), pageLoaded(…)
//         │                                                                │ .turnEnded
//         └── one system call submits all ◄── outputs of connections and links ◄── effects: log writes, payloads, replies
//
// Time is read once, after the completions were taken. Effects are performed after `.turnEnded`, so everything that arrived
// together leaves together: one log write, one record to each peer and client.
//
// # The parts
//
// - Configuration/: settings from file, environment, flags; what is wrong is named with its place.
// - Boot/: from a configuration to a running server: io_uring, data directory, recovery, certificates.
// - Files/: the log's segments and the page file.
// - Connections/: accepted connections, identity, requests, streams of rows.
// - HTTP/: paths and headers to operations, replies and problems to answers.
// - Links/: connections between nodes.
// - Observability/: log lines, metrics.
//
// # Invariants
//
// 1. Nothing is listened to and no peer is dialled before the log says that this start is on record (`node.isOpen`), and
//    `boots` says that the log does.
// 2. Memory that the kernel was given stays where it is until the operation's completion was taken.
// 3. The node is entered by this thread only, and never while its effects are performed.
// 4. After a fault of the disk the process stays up: it answers status, `/readyz` says 503 and why.
//
// # What it does not do (yet)
//
// One thread and one lane. Addresses of peers are looked up once, at start. Certificates are read once, at start.

import Glibc
import Journal
import Logging
import Node
import Primitives
import Ring
import Sealing
import Store
import Transport

/// One running node.
package final class Server {
  let configuration: Configuration
  let ring: Ring
  let log: Logger
  let node: Node
  let inbox: Inbox
  let clients: Clients
  let links: [Link]
  let logFiles: LogFiles
  let pageFile: PageFile
  let arrivals: PeerArrivals
  private let signals: SignalReader
  /// Locked as long as the server lives.
  private let directory: DataDirectory
  let encryption: Encryption?
  private let linkOf: [NodeID: Link]
  var effects = NodeEffects()
  private var events: [NodeEvent] = []
  private var now: Instant
  private var phase = Phase.opening
  /// Until then a turn that had work of clients is likely to be followed by another: the loop polls before it sleeps.
  private var busyUntil = Instant.zero
  private static let busyTime = Nanoseconds.milliseconds(1)
  let startedAt: Instant
  let memoryBudget: MemoryBudget
  private var measuresMemoryAt = Instant.zero
  var turns: UInt64 = 0
  private(set) var checkpoints = CheckpointTimes()

  private enum Phase: Equatable {
    /// The log's start block is on its way.
    case opening
    case serving
    /// SIGTERM came: hands over, answers what it has.
    case draining(until: Instant)
    /// Nothing waits any more: the log is sealed.
    case closing(until: Instant)
    /// Goodbyes are on their way.
    case leaving(until: Instant)
    case stopped
  }

  init(_ parts: ServerParts) {
    configuration = parts.configuration
    memoryBudget = MemoryBudget(parts.configuration)
    ring = parts.ring
    log = parts.log
    node = parts.node
    inbox = parts.inbox
    clients = parts.clients
    links = parts.links
    logFiles = parts.logFiles
    pageFile = parts.pageFile
    arrivals = parts.arrivals
    signals = parts.signals
    directory = parts.directory
    encryption = parts.encryption
    linkOf = Dictionary(uniqueKeysWithValues: parts.links.map { ($0.peer, $0) })
    now = parts.ring.now()
    startedAt = now
    clients.metrics = { [unowned self] in self.metricsText() }
  }

  /// Runs until a signal ends it; the exit code.
  package func run() throws(StartRefusal) -> Int32 {
    signals.read(ring)
    turn()
    while phase != .stopped {
      let polling = now < busyUntil ? configuration.busyPoll : .zero
      let completions = ring.wait(until: inbox.isEmpty ? nextDeadline : .zero, polling: polling)
      now = ring.now()
      clients.beginTurn(now)
      for completion in completions { complete(completion) }
      turn()
      if phase == .opening, node.isOpen { try beginServing() }
      if phase == .opening, let failure = node.failure {
        throw StartRefusal("the node does not start: \(failure.text)")
      }
    }
    log.info("stopped")
    return 0
  }

  private var nextDeadline: Instant {
    var earliest = min(node.nextDeadline, clients.nextDeadline)
    if phase != .opening {
      for link in links { earliest = min(earliest, link.nextDeadline) }
    }
    switch phase {
    case .draining(let until), .closing(let until), .leaving(let until): return min(earliest, until)
    default: return earliest
    }
  }

  private func turn() {
    turns += 1
    if phase != .opening {
      for link in links { link.tick(now) }
    }
    clients.sweep()
    if now >= measuresMemoryAt { measureMemory() }
    if now >= node.nextDeadline { step(.tick) }
    inbox.take(into: &events)
    for event in events { step(event) }
    events.removeAll(keepingCapacity: true)
    step(.turnEnded)
    perform()
    goOnStopping()
    // What the followers have to make durable comes first: answers wait for it.
    for link in links { link.flush() }
    clients.flush()
  }

  /// Once a second, if there is a turn.
  private func measureMemory() {
    measuresMemoryAt = now + .seconds(1)
    let budget = memoryBudget.bytes(pages: node.pageTableEntries)
    step(.memoryMeasured(MemoryStatus(resident: ProcessUsage.residentBytes(), budget: budget)))
  }

  func step(_ event: NodeEvent) { node.step(event, at: now, into: &effects) }

  // MARK: - Completions

  private func complete(_ completion: Completion) {
    let index = Token.index(of: completion.token)
    let result = completion.result
    switch Token.kind(of: completion.token) {
    case .receive: clients.received(index, result)
    case .send: clients.sent(index, result)
    case .accept: clients.accepted(result, isMore: completion.isMore)
    case .linkReceive: links[index].received(result, now)
    case .linkSend: links[index].sent(result, now)
    case .connect: links[index].connected(result, now)
    case .logWrite: logged(logFiles.writeCompleted(index, result, at: now))
    case .logRead: logged(logFiles.readCompleted(index, result))
    case .segment: logged(logFiles.preparationCompleted(result))
    case .pageRead: paged(pageFile.readCompleted(index, result))
    case .pageWrite: paged(pageFile.writeCompleted(index, result))
    case .superblockWrite: paged(pageFile.superblockCompleted(result))
    case .pageGrow: paged(pageFile.growCompleted(result))
    case .pageSync: paged(pageFile.synchronizeCompleted(result))
    case .pageScrub: scrubbed(pageFile.scrubCompleted(index, result))
    case .logScrub: scrubbed(logFiles.scrubCompleted(index, result))
    case .signal: signalled(result)
    case nil: preconditionFailure("a completion carries a token of ours")
    }
  }

  private func logged(_ outcome: LogFiles.Outcome) {
    switch outcome {
    case .goesOn: break
    case .event(let event): step(.journal(event))
    case .bytes(let id, let buffer, let count):
      let bytes = UnsafeRawBufferPointer(rebasing: buffer.memory.readOnly[..<count])
      node.logRead(id, bytes: bytes, at: now, into: &effects)
    }
  }

  private func paged(_ outcome: PageFile.Outcome) {
    switch outcome {
    case .goesOn: break
    case .event(let event): step(.checkpoint(event))
    case .page(let order, let buffer):
      node.pageLoaded(order, bytes: buffer.memory.readOnly, at: now, into: &effects)
      pageFile.recycle(buffer)
    case .readFailed(let order, let errno): step(.pageReadFailed(order.page, errno: errno))
    }
  }

  private func scrubbed(_ outcome: ScrubReads.Outcome) {
    switch outcome {
    case .goesOn: break
    case .bytes(let read, let buffer): node.scrubbed(read, bytes: buffer.memory.readOnly, at: now, into: &effects)
    case .failed(let read, let errno): step(.scrubReadFailed(read, errno: errno))
    }
  }

  // MARK: - Effects

  /// Performs what the node ordered. What fails at once goes to the inbox, for the next turn.
  private func perform() {
    if !effects.journal.isEmpty || !effects.replies.isEmpty { busyUntil = now + Self.busyTime }
    for effect in effects.journal { perform(effect) }
    for effect in effects.checkpoint { perform(effect) }
    for order in effects.pageReads { pageFile.read(order) }
    for read in effects.scrubReads { perform(read) }
    for (peer, payload) in effects.sends { linkOf[peer]?.send(payload) }
    for (id, reply) in effects.replies { clients.reply(id, reply) }
    for notice in effects.notices { report(notice) }
    if let failure = effects.failed {
      log.error("the node serves no more", metadata: ["reason": "\(failure.text)"])
    }
    let drained = effects.drained
    effects.clear()
    if drained, case .draining = phase { beginClosing() }
  }

  private func perform(_ effect: JournalEffect) {
    var failure: JournalEvent?
    switch effect {
    case .remove(let file): remove(file)
    case .write(let write): failure = logFiles.write(write, node.bytes(of: write), at: now)
    case .read(let read): failure = logFiles.read(read)
    case .prepare(let order): failure = logFiles.prepare(order)
    case .persisted, .loaded, .loadFailed, .opened, .closed, .failed:
      preconditionFailure("the node keeps what the journal says to it")
    }
    if let failure { inbox.put(.journal(failure)) }
  }

  private func perform(_ read: ScrubRead) {
    switch read {
    case .page(let order): pageFile.scrub(order)
    case .log(let order):
      if let errno = logFiles.scrub(order) { inbox.put(.scrubReadFailed(read, errno: errno)) }
    }
  }

  private func remove(_ file: UInt32) {
    do throws(SystemError) { try logFiles.remove(file) } catch {
      log.warning("a free log segment could not be removed", metadata: ["reason": "\(error)"])
    }
  }

  private func perform(_ effect: CheckpointEffect) {
    switch effect {
    case .grow(let bytes): pageFile.grow(to: bytes)
    case .shrink(let bytes): shrink(to: bytes)
    case .writePage(let page, let offset): pageFile.write(page, node.bytes(of: page), at: offset)
    case .sync: pageFile.synchronize()
    case .writeSuperblock(let page, let offset): pageFile.writeSuperblock(page, node.bytes(of: page), at: offset)
    case .awaitRoom, .awaitLog, .finished, .failed:
      preconditionFailure("the node keeps what the store says to it")
    }
  }

  /// A file that stays longer than it needs to be does no harm.
  private func shrink(to bytes: UInt64) {
    do throws(SystemError) { try pageFile.shrink(to: bytes) } catch {
      log.warning("the page file could not be shortened", metadata: ["reason": "\(error)"])
    }
    inbox.put(.checkpoint(.shrunk))
  }

  private func report(_ notice: Notice) {
    switch notice {
    case .becameLeader(let shard, let term): log.info("leads", metadata: ["shard": "\(shard)", "term": "\(term)"])
    case .leaderChanged(let shard, let leader, let term):
      log.info(
        "leader", metadata: ["shard": "\(shard)", "leader": "\(leader.map { "\($0)" } ?? "none")", "term": "\(term)"])
    case .steppedDown(let shard, let term):
      log.info("leads no more", metadata: ["shard": "\(shard)", "term": "\(term)"])
    case .checkpointBegan: checkpoints.began(at: now, until: ring.now())
    case .checkpointFinished(let applied, let pages):
      checkpoints.finished(at: now)
      log.info("checkpoint", metadata: ["applied": "\(applied)", "pages": "\(pages)"])
    case .checkpointFailed(let text): log.error("checkpoint failed", metadata: ["reason": "\(text)"])
    case .undecodable(let node, let text):
      log.error("a peer's payload cannot be read", metadata: ["peer": "\(node)", "reason": "\(text)"])
    case .shortage(.cap): log.warning("the log is full: writes are refused until every node has it")
    case .handsOver(let shard, let node):
      log.info("has no room and hands over", metadata: ["shard": "\(shard)", "to": "\(node)"])
    case .shortage(.pages): log.warning("the data fill disk-limit: writes are refused until rows are deleted")
    case .shortage(.disk): log.warning("the disk has no room: writes are refused until it has")
    case .shortage(nil): log.info("writes are taken again")
    case .scrubFinished(let bytes): log.info("scrubbed: everything was read again", metadata: ["bytes": "\(bytes)"])
    case .scrubDamage(let text, let outcome): report(damage: text, outcome)
    }
  }

  private func report(damage text: String, _ outcome: ScrubOutcome) {
    let metadata: Logger.Metadata = ["damage": "\(text)"]
    switch outcome {
    case .mending: log.error("scrubbing found damage", metadata: metadata)
    case .rewritten: log.warning("damage is rewritten from memory, to another place", metadata: metadata)
    case .gone: log.info("damage is gone: nothing leads to it any more", metadata: metadata)
    case .later: log.warning("damage is left to the next pass of scrubbing: its page has moved", metadata: metadata)
    case .fatal: log.error("scrubbing found damage that this node cannot mend", metadata: metadata)
    }
  }

  // MARK: - Starting and stopping

  private func beginServing() throws(StartRefusal) {
    if let start = node.openedStart { try directory.noteOpened(start) }
    do throws(SystemError) {
      let address: SocketAddress
      do throws(SocketAddress.Refusal) { address = try SocketAddress(configuration.address) } catch {
        throw SystemError("bind", error.description, code: EINVAL)
      }
      clients.listen(try ListenerBox(address))
    } catch {
      throw StartRefusal(error.isAddressInUse ? "\(configuration.address) is taken\(holder())" : "\(error)")
    }
    phase = .serving
    log.info("serves", metadata: ["address": "\(configuration.address)", "node": "\(configuration.node)"])
  }

  private func holder() -> String {
    guard let port = SocketAddress.split(configuration.address).flatMap({ UInt16($0.port) }),
      let holder = PortHolder.find(port: port)
    else { return ": another process listens there" }
    return " by \(holder)"
  }

  private func signalled(_ result: Int32) {
    let number = signals.number(result)
    signals.read(ring)
    guard let number else { return }
    if number == Signals.reload { return rotateKeys() }
    switch phase {
    case .opening, .draining, .closing, .leaving:
      log.warning("stops at once", metadata: ["signal": "\(number)"])
      phase = .stopped
    case .serving:
      log.info("drains: hands over and answers what it has", metadata: ["signal": "\(number)"])
      phase = .draining(until: now + .seconds(30))
      clients.drain()
      inbox.put(.drainRequested)
    case .stopped: break
    }
  }

  private func rotateKeys() {
    guard let encryption else {
      return log.warning("a signal to change keys (SIGHUP), but nothing is encrypted: encryption-key-file is not set")
    }
    do throws(KeyRefusal) {
      try encryption.rotate()
      log.info("keys rotated", metadata: encryption.metadata)
    } catch { log.error("keys were not rotated, everything is as before", metadata: ["reason": "\(error)"]) }
  }

  private func beginClosing() {
    phase = .closing(until: now + .seconds(5))
    inbox.put(.closeRequested)
  }

  private func goOnStopping() {
    switch phase {
    case .draining(let until) where now >= until:
      log.warning("not everything was answered in 30 s", metadata: ["waiting": "\(node.waitingRequests)"])
      beginClosing()
    case .closing(let until) where node.isClosed || node.failure != nil || now >= until:
      phase = .leaving(until: now + .milliseconds(500))
      clients.finishAll()
      for link in links { link.finish() }
    case .leaving(let until) where clients.count == 0 || now >= until: phase = .stopped
    default: break
    }
  }
}

extension NodeEffects {
  /// Empty again, with the memory of its lists.
  mutating func clear() {
    sends.removeAll(keepingCapacity: true)
    replies.removeAll(keepingCapacity: true)
    journal.removeAll(keepingCapacity: true)
    checkpoint.removeAll(keepingCapacity: true)
    pageReads.removeAll(keepingCapacity: true)
    scrubReads.removeAll(keepingCapacity: true)
    notices.removeAll(keepingCapacity: true)
    failed = nil
    drained = false
  }
}

/// SIGTERM, SIGINT and SIGHUP, read through the ring.
final class SignalReader {
  private let signals: Signals
  private let buffer: UnsafeMutableRawBufferPointer

  init() throws(SystemError) {
    signals = try Signals()
    buffer = .allocate(byteCount: Signals.recordBytes, alignment: 8)
  }

  deinit { buffer.deallocate() }

  func read(_ ring: Ring) { ring.read(signals.descriptor, into: buffer, at: nil, token: Token(.signal).rawValue) }

  func number(_ result: Int32) -> Int32? {
    guard result > 0 else { return nil }
    return Signals.number(in: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(buffer)[..<Int(result)]))
  }
}
