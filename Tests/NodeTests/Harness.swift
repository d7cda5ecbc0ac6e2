// One to three nodes in memory, driven by hand: disks complete at once unless held, links deliver at once unless cut,
// and time stands still unless a test moves it.

import Journal
import Primitives
import Raft
import Store
import Testing

@testable import Node

/// A lane's files in memory. Everything written is durable.
final class MemoryFiles: LaneFiles {
  var pages: [UInt8]
  var segments: [(number: UInt32, bytes: [UInt8])] = []

  init(pages: [UInt8]) { self.pages = pages }

  var pagesBytes: UInt64 { UInt64(pages.count) }
  var files: [JournalFile] { segments.map { JournalFile(file: $0.number, bytes: UInt64($0.bytes.count)) } }

  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    guard let segment = segments.first(where: { $0.number == file }) else { throw JournalReadError(errno: 2) }
    try copy(segment.bytes, offset, target)
  }

  func readPages(offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    try copy(pages, offset, target)
  }

  private func copy(
    _ bytes: [UInt8], _ offset: UInt64, _ target: UnsafeMutableRawBufferPointer
  ) throws(JournalReadError) {
    guard Int(offset) + target.count <= bytes.count else { throw JournalReadError(errno: 5) }
    target.copyBytes(from: bytes[Int(offset)..<Int(offset) + target.count])
  }

  func writeLog(_ file: UInt32, _ offset: UInt64, _ bytes: UnsafeRawBufferPointer) {
    guard let place = segments.firstIndex(where: { $0.number == file }) else { return }
    segments[place].bytes.replaceSubrange(Int(offset)..<Int(offset) + bytes.count, with: bytes)
  }

  func prepare(_ file: UInt32, bytes: UInt64) {
    segments.removeAll { $0.number == file }
    segments.append((file, [UInt8](repeating: 0, count: Int(bytes))))
  }
}

final class Harness {
  final class Machine {
    let identity: StoreIdentity
    let files: MemoryFiles
    var node: Node
    var effects = NodeEffects()
    /// Log writes are ordered, but do not complete.
    var holdsLog = false
    /// Page writes are ordered, but do not complete; only these were.
    var holdsPages = false
    var heldPages: [CheckpointEffect] = []
    var pagesWritten = 0
    /// Nothing on its disk can grow.
    var isDiskFull = false
    /// How often its page file was cut off.
    var shrinks = 0
    /// Reads of the log wait for `completeReads`.
    var holdsReads = false
    var reads: [JournalRead] = []
    /// The most pages that were ordered in one turn.
    var pagesOrderedMax = 0
    /// Reads of the log that were performed.
    var readCount = 0
    /// Scrubbing reads, and when they were ordered; all fail if wanted.
    var scrubs: [(read: ScrubRead, at: Instant)] = []
    var failsScrubs = false
    var notices: [Notice] = []
    var replies: [(id: UInt64, reply: Reply)] = []
    var drained = false
    var checkpoints = 0

    init(identity: StoreIdentity, files: MemoryFiles, node: Node) {
      self.identity = identity
      self.files = files
      self.node = node
    }
  }

  var machines: [Machine] = []
  var now = Instant(nanoseconds: 1_000_000_000)
  /// These nodes hear nobody, and nobody hears them.
  var isolated: Set<UInt32> = []
  private var boots: UInt64 = 0
  private var requests: UInt64 = 0
  private let limits: NodeLimits
  var room: Room
  private let retention: Nanoseconds

  /// Memory and log of each node, and whether it scrubs.
  struct Room {
    var frames = 512
    var segmentBytes: UInt64 = 256 << 10
    var logBytesMax: UInt64 = 8 << 20
    var scrubEvery = Nanoseconds.zero
    /// By node.
    var pagesMax: (UInt32) -> UInt32 = { _ in 2048 }
  }

  static func identity(_ node: UInt32) -> StoreIdentity {
    StoreIdentity(
      cluster: Array(1...16), node: NodeID(node), lane: LaneID(0), incarnation: Incarnation(UInt64(node) * 17),
      directory: UInt64(node) * 1000)
  }

  static func founders(_ count: Int) -> Configuration {
    Configuration(
      voters: (1...UInt32(count)).map { Member(node: NodeID($0), incarnation: identity($0).incarnation) })
  }

  static func settings(_ node: UInt32, of count: Int, _ limits: NodeLimits = NodeLimits()) -> NodeSettings {
    NodeSettings(
      clusterName: "test", clusterID: "00", node: NodeID(node),
      addresses: (1...UInt32(count)).map { (node: NodeID($0), address: "n\($0)") }, version: "0", limits: limits,
      seed: UInt64(node))
  }

  static func open(
    _ files: MemoryFiles, _ identity: StoreIdentity, of count: Int, boot: UInt64, opened: OpenedStart? = nil,
    now: Instant, _ limits: NodeLimits = NodeLimits(), _ room: Room = Room(), _ retention: Nanoseconds = .zero
  ) throws(OpenRefusal) -> Node {
    var journal = JournalSettings()
    journal.segmentBytes = room.segmentBytes
    journal.logBytesMax = room.logBytesMax
    journal.reserveBytes = 1 << 20
    var store = StoreLimits(framesMax: room.frames, pagesMax: room.pagesMax(identity.node.rawValue))
    store.growPages = 64
    var settings = settings(identity.node.rawValue, of: count, limits)
    settings.historyRetention = retention
    settings.scrubEvery = room.scrubEvery
    return try Node.open(
      settings, identity: identity, boot: Boots.Boot(number: boot, nonce: boot), opened: opened, files: files,
      storeLimits: store, journalSettings: journal, now: now)
  }

  init(
    _ count: Int, limits: NodeLimits = NodeLimits(), room: Room = Room(), retention: Nanoseconds = .zero
  ) throws {
    self.limits = limits
    self.room = room
    self.retention = retention
    for number in 1...UInt32(count) {
      let identity = Harness.identity(number)
      let files = MemoryFiles(pages: formatLane(identity: identity, founders: Harness.founders(count)))
      boots += 1
      let node = try Harness.open(files, identity, of: count, boot: boots, now: now, limits, room, retention)
      machines.append(Machine(identity: identity, files: files, node: node))
    }
    for machine in machines { tell(machine, .turnEnded) }
    connect()
  }

  /// A process starts again on what its disk holds.
  func restart(_ index: Int) throws {
    let machine = machines[index]
    boots += 1
    machine.effects = NodeEffects()
    machine.reads = []
    machine.node = try Harness.open(
      machine.files, machine.identity, of: machines.count, boot: boots, opened: machine.node.openedStart, now: now,
      limits, room, retention)
    tell(machine, .turnEnded)
    connect()
  }

  private func connect() {
    for machine in machines {
      for other in machines where other !== machine { tell(machine, .linkOpened(other.identity.node)) }
    }
    settle()
  }

  func tell(_ machine: Machine, _ event: NodeEvent) { machine.node.step(event, at: now, into: &machine.effects) }

  /// Ends turns and performs orders until nothing more is ordered.
  func settle() {
    var isMoving = true
    while isMoving {
      isMoving = false
      for machine in machines {
        tell(machine, .turnEnded)
        var effects = NodeEffects()
        swap(&effects, &machine.effects)
        if perform(effects, machine) { isMoving = true }
        machine.node.checkInvariants()
      }
    }
  }

  private func perform(_ effects: NodeEffects, _ machine: Machine) -> Bool {
    for order in effects.journal { performJournal(order, machine) }
    for order in effects.checkpoint { performCheckpoint(order, machine) }
    machine.pagesOrderedMax = max(machine.pagesOrderedMax, effects.pageReads.count)
    for read in effects.scrubReads { performScrub(read, machine) }
    for read in effects.pageReads {
      let start = Int(read.fileOffset)
      let bytes = Array(machine.files.pages[start..<start + read.count])
      bytes.withUnsafeBytes { machine.node.pageLoaded(read, bytes: $0, at: now, into: &machine.effects) }
    }
    for (to, payload) in effects.sends where !isCut(machine.identity.node, to) {
      guard let target = machines.first(where: { $0.identity.node == to }) else { continue }
      tell(target, .received(from: machine.identity.node, payload: payload))
    }
    for (id, reply) in effects.replies { machine.replies.append((id.rawValue, reply)) }
    if effects.drained { machine.drained = true }
    machine.notices += effects.notices
    return !effects.journal.isEmpty || !effects.checkpoint.isEmpty || !effects.pageReads.isEmpty
      || !effects.sends.isEmpty || !effects.scrubReads.isEmpty
  }

  private func performScrub(_ read: ScrubRead, _ machine: Machine) {
    machine.scrubs.append((read, now))
    if machine.failsScrubs { return tell(machine, .scrubReadFailed(read, errno: 5)) }
    let bytes =
      switch read {
      case .page(let page): Array(machine.files.pages[Int(page.fileOffset)..<Int(page.fileOffset) + page.count])
      case .log(let piece):
        Array(
          machine.files.segments.first { $0.number == piece.file }?
            .bytes[Int(piece.offset)..<Int(piece.offset) + piece.count] ?? [])
      }
    bytes.withUnsafeBytes { machine.node.scrubbed(read, bytes: $0, at: now, into: &machine.effects) }
  }

  private func isCut(_ a: NodeID, _ b: NodeID) -> Bool {
    isolated.contains(a.rawValue) || isolated.contains(b.rawValue)
  }

  private func performJournal(_ order: JournalEffect, _ machine: Machine) {
    switch order {
    case .write(let write):
      guard !machine.holdsLog else { return }
      machine.files.writeLog(write.file, write.offset, machine.node.bytes(of: write))
      tell(machine, .journal(.written(write.id)))
    case .prepare(let prepare) where prepare.isFresh && machine.isDiskFull:
      tell(machine, .journal(.segmentFailed(file: prepare.file, errno: Harness.noRoom)))
    case .prepare(let prepare):
      machine.files.prepare(prepare.file, bytes: prepare.bytes)
      tell(machine, .journal(.segmentReady(file: prepare.file)))
    case .remove(let file): machine.files.segments.removeAll { $0.number == file }
    case .read(let read) where machine.holdsReads: machine.reads.append(read)
    case .read(let read): performRead(read, machine)
    default: break
    }
  }

  private func performRead(_ read: JournalRead, _ machine: Machine) {
    machine.readCount += 1
    let bytes = machine.files.segments.first { $0.number == read.file }?.bytes ?? []
    Array(bytes[Int(read.offset)..<Int(read.offset) + read.count]).withUnsafeBytes {
      machine.node.logRead(read.id, bytes: $0, at: now, into: &machine.effects)
    }
  }

  /// The reads that wait complete, the last one first.
  func completeReads(_ machine: Machine) {
    let reads = machine.reads
    machine.reads = []
    for read in reads.reversed() { performRead(read, machine) }
    settle()
  }

  private func performCheckpoint(_ order: CheckpointEffect, _ machine: Machine) {
    let pages = machine.files
    switch order {
    case .grow where machine.isDiskFull: tell(machine, .checkpoint(.failed(.grow, errno: Harness.noRoom)))
    case .grow(let bytes):
      pages.pages.append(contentsOf: [UInt8](repeating: 0, count: max(0, Int(bytes) - pages.pages.count)))
      tell(machine, .checkpoint(.grown))
    case .shrink(let bytes):
      pages.pages.removeLast(max(0, pages.pages.count - Int(bytes)))
      machine.shrinks += 1
      tell(machine, .checkpoint(.shrunk))
    case .writePage where machine.holdsPages: machine.heldPages.append(order)
    case .writePage(let page, let offset):
      machine.pagesWritten += 1
      pages.pages.replaceSubrange(Int(offset)..<Int(offset) + Store.pageBytes, with: machine.node.bytes(of: page))
      tell(machine, .checkpoint(.written(page)))
    case .sync: tell(machine, .checkpoint(.synced))
    case .writeSuperblock(let page, let offset):
      pages.pages.replaceSubrange(Int(offset)..<Int(offset) + Store.pageBytes, with: machine.node.bytes(of: page))
      machine.checkpoints += 1
      tell(machine, .checkpoint(.superblockWritten))
    default: break
    }
  }

  // MARK: - What tests say

  /// Lets time pass in steps of 5 ms, with ticks.
  func pass(_ length: Nanoseconds) {
    let end = now + length
    while now < end {
      now = now + .milliseconds(5)
      for machine in machines where machine.node.nextDeadline <= now { tell(machine, .tick) }
      settle()
    }
  }

  /// Lets so many of the page writes that were held complete.
  func releasePages(_ count: Int, of machine: Machine) {
    let released = machine.heldPages.prefix(count)
    machine.heldPages.removeFirst(released.count)
    machine.holdsPages = false
    for order in released { performCheckpoint(order, machine) }
    machine.holdsPages = true
    settle()
  }

  /// Waits until somebody leads and everybody knows.
  func elect() throws -> Machine {
    for _ in 0..<400 {
      pass(.milliseconds(10))
      let leader = machines.first { $0.node.isLeader && !isolated.contains($0.identity.node.rawValue) }
      if let leader, leader.node.raft.canServeRead(at: now) { return leader }
    }
    throw NobodyLeads()
  }

  struct NobodyLeads: Error {}

  /// Who leads now; after a change of leader only once it is settled.
  func leader() throws -> Machine {
    let leaders = machines.filter { $0.node.isLeader && !isolated.contains($0.identity.node.rawValue) }
    if let leader = leaders.first, leaders.count == 1, !leader.node.raft.isTransferring { return leader }
    return try elect()
  }

  /// ENOSPC.
  static let noRoom: Int32 = 28

  @discardableResult
  func request(
    _ machine: Machine, _ operation: Operation, timeout: Nanoseconds = .seconds(10)
  ) -> UInt64 {
    defer { settle() }
    return begin(machine, operation, timeout: timeout)
  }

  /// A request that comes in the same turn as the next one.
  func begin(_ machine: Machine, _ operation: Operation, timeout: Nanoseconds = .seconds(10)) -> UInt64 {
    requests += 1
    tell(machine, .requested(Request(id: RequestID(requests), deadline: now + timeout, operation: operation)))
    return requests
  }

  func reply(_ id: UInt64) -> Reply? {
    for machine in machines {
      if let found = machine.replies.first(where: { $0.id == id }) { return found.reply }
    }
    return nil
  }

  static let createTable = Operation.createTable(
    body: Array(
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"int64"}],"primary_key":["k"]}"#.utf8))
  static func put(_ value: Int) -> Operation {
    .put(RowPath(table: "t", key: Array("a".utf8)), body: Array("{\"v\":\(value)}".utf8), .none)
  }
  static let get = Operation.get(RowPath(table: "t", key: Array("a".utf8)), columns: nil)
}
