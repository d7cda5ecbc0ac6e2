import Journal
import Node
import Primitives
import Ring
import Server
import Store
import Tables

/// A node that starts on the data of a killed one: what `Boot` calls before it listens, then turns of the server's loop, with
/// files for a disk and without peers and clients. No checkpoint that it orders is carried out, only the page file grows: the
/// next start finds the same.
final class RecoveringNode {
  /// Turns without progress before it is said that none will come.
  private static let idleTurnsMax = 10_000

  private enum Operation {
    case logWrite(WriteID, Int)
    case logRead(ReadID, IOMemory)
    case pageRead(PageRead, IOMemory)
  }

  private let killed: KilledNode
  private let logPath: String
  private let lock: DataDirectory
  private let ring: Ring
  private let pages: OpenFile
  private let node: Node
  /// The clock is put forward where the loop would wait for time to pass: the wait for an election is not measured.
  private let skipsWaits: Bool
  private var skipped = Nanoseconds.zero
  private var now: Instant
  private var effects = NodeEffects()
  private var events: [NodeEvent] = []
  private var segments: [UInt32: OpenFile] = [:]
  private var inFlight: [UInt64: Operation] = [:]
  private var lastToken: UInt64 = 0
  private var answers: [(status: UInt16, body: [UInt8])] = []

  /// Finds the log's end, reads all of it, and makes the node.
  init(_ killed: KilledNode, skipsWaits: Bool) throws(BenchError) {
    self.killed = killed
    self.skipsWaits = skipsWaits
    now = bootTime()
    let taken = try DataDirectory.opened(killed.path)
    lock = taken.files
    logPath = taken.files.logPath
    ring = try BenchError.ring(entries: 256)
    pages = try OpenFile(killed.path + "/lane-0/pages", [.read, .write, .direct])
    let settings = NodeSettings(
      clusterName: "fsbench", clusterID: KilledNode.clusterID, node: KilledNode.node,
      addresses: [(KilledNode.node, "127.0.0.1:1")], version: Boot.version, seed: 1)
    do throws(OpenRefusal) {
      node = try Node.open(
        settings, identity: taken.identity, boot: taken.start.boot, opened: taken.start.opened, files: taken.files,
        storeLimits: RecoveringNode.limits(killed), journalSettings: killed.journalSettings, now: now)
    } catch { throw .failed("\(taken.files.refusal(error))") }
    try taken.count()
    taken.files.clean()
    taken.files.endRecovery()
  }

  /// The kernel has memory of ours as long as an operation is under way.
  deinit {
    while !inFlight.isEmpty {
      for completion in ring.wait(until: nil) { inFlight[completion.token] = nil }
    }
  }

  /// Three eighths of the frames may be dirty before a checkpoint begins; half-full pages need twice the log, and over a large store
  /// each row of the log may change a page of its own.
  private static func limits(_ killed: KilledNode) -> StoreLimits {
    let frames = max(Int(killed.logBytes) / Store.pageBytes * 8, min(killed.storedRows, killed.rows * 4)) + 8192
    var limits = StoreLimits(framesMax: frames, pagesMax: 64 << 20)
    let memory = ResidentMemory(byteCount: frames * Store.pageBytes)
    limits.memory = FrameMemory(allocate: { count, _ in memory.take(count) }, deallocate: { _, _ in })
    return limits
  }

  /// Memory of the rows' pages.
  var pageBytes: Int { node.storeStatistics.frameBytes }

  /// Until the log says that this start is on record: then a server listens.
  func begin() throws(BenchError) {
    try turns { node.isOpen && events.isEmpty }
    if let start = node.openedStart { try lock.note(start) }
  }

  /// Until all that was logged is applied.
  func apply() throws(BenchError) {
    try turns { node.appliedIndex >= killed.lastIndex }
    // One row of the system's tables describes the table, one says which number the next table gets.
    let (found, logged) = (node.totals.rows, UInt64(killed.rows + killed.storedRows) + 2)
    guard found == logged else { throw .failed("\(found) rows are back, \(logged) were logged") }
  }

  /// Asks for a row of the checkpoint, until the answer is there.
  func readStoredRow(_ number: Int) throws(BenchError) {
    let key = StoredRows.key(number, of: killed.storedRows)
    let request = Request(
      id: RequestID(1), deadline: now + .seconds(60),
      operation: .get(RowPath(table: RowCommands.table, key: key), columns: nil))
    step(.requested(request))
    try turns { !answers.isEmpty }
    let (status, body) = answers.removeLast()
    let text = String(decoding: body, as: UTF8.self)
    guard status == 200, text.contains(String(decoding: key, as: UTF8.self)) else {
      throw .failed("a stored row is not read: \(status) \(text)")
    }
  }

  // MARK: - Turns

  private func turns(until isDone: () -> Bool) throws(BenchError) {
    var (idle, applied) = (0, node.appliedIndex)
    try work()
    while !isDone() {
      try wait()
      try work()
      (idle, applied) = (node.appliedIndex > applied ? 0 : idle + 1, node.appliedIndex)
      guard idle < RecoveringNode.idleTurnsMax else { throw .failed("recovery stands still at \(applied)") }
    }
  }

  /// Until something has completed or is due.
  private func wait() throws(BenchError) {
    let deadline = events.isEmpty ? node.nextDeadline : .zero
    var rest = deadline - now
    if skipsWaits, inFlight.isEmpty, deadline < .never {
      skipped = skipped + rest
      rest = .zero
    }
    let completions = ring.wait(until: deadline < .never ? ring.now() + rest : .never)
    now = ring.now() + skipped
    for completion in completions { try take(completion) }
  }

  private func work() throws(BenchError) {
    if now >= node.nextDeadline { step(.tick) }
    let taken = events
    events.removeAll(keepingCapacity: true)
    for event in taken { step(event) }
    step(.turnEnded)
    try perform()
  }

  private func step(_ event: NodeEvent) { node.step(event, at: now, into: &effects) }

  private func perform() throws(BenchError) {
    var orders = NodeEffects()
    swap(&orders, &effects)
    if let failure = orders.failed { throw .failed(failure.text) }
    for order in orders.journal { try perform(order) }
    for order in orders.checkpoint { try perform(order) }
    for order in orders.pageReads {
      let memory = IOMemory(order.count)
      let token = begin(.pageRead(order, memory))
      ring.read(pages.file.descriptor, into: memory.buffer.bytes, at: order.fileOffset, token: token)
    }
    answers += orders.replies.map { (status: $0.reply.status, body: $0.reply.body) }
  }

  private func perform(_ effect: CheckpointEffect) throws(BenchError) {
    switch effect {
    case .grow(let bytes):
      try BenchError.system { () throws(SystemError) in try pages.file.preallocate(bytes) }
      events.append(.checkpoint(.grown))
    case .shrink: events.append(.checkpoint(.shrunk))
    case .writePage, .sync, .awaitLog, .writeSuperblock, .awaitRoom, .finished, .failed: break
    }
  }

  private func perform(_ effect: JournalEffect) throws(BenchError) {
    switch effect {
    case .write(let order):
      let descriptor = try descriptor(order.file)
      let token = begin(.logWrite(order.id, order.count))
      ring.write(descriptor, node.bytes(of: order), at: order.offset, token: token)
    case .read(let order):
      let memory = IOMemory(order.count)
      let descriptor = try descriptor(order.file)
      let token = begin(.logRead(order.id, memory))
      ring.read(descriptor, into: memory.buffer.bytes, at: order.offset, token: token)
    case .prepare(let order):
      if order.isFresh {
        try BenchError.system { () throws(SystemError) in
          try LogDriver.makeSegment(path(order.file), bytes: order.bytes)
        }
      }
      events.append(.journal(.segmentReady(file: order.file)))
    case .remove, .persisted, .loaded, .loadFailed, .opened, .closed, .failed:
      preconditionFailure("nothing is freed, and the node keeps what the journal says to it")
    }
  }

  private func begin(_ operation: Operation) -> UInt64 {
    lastToken += 1
    inFlight[lastToken] = operation
    return lastToken
  }

  private func take(_ completion: Completion) throws(BenchError) {
    guard let operation = inFlight.removeValue(forKey: completion.token) else {
      preconditionFailure("an operation in flight completed")
    }
    switch operation {
    case .logWrite(let id, let count):
      try check(completion, count)
      step(.journal(.written(id)))
    case .logRead(let id, let memory):
      try check(completion, memory.buffer.bytes.count)
      node.logRead(id, bytes: memory.buffer.readOnly, at: now, into: &effects)
    case .pageRead(let order, let memory):
      try check(completion, memory.buffer.bytes.count)
      node.pageLoaded(order, bytes: memory.buffer.readOnly, at: now, into: &effects)
    }
  }

  private func check(_ completion: Completion, _ count: Int) throws(BenchError) {
    guard completion.result == Int32(count) else {
      throw .failed("\(killed.path): \(systemText(completion.code)) (\(completion.result) of \(count) bytes)")
    }
  }

  private func path(_ file: UInt32) -> String { "\(logPath)/\(LogFiles.name(of: file))" }

  private func descriptor(_ file: UInt32) throws(BenchError) -> Int32 {
    if let open = segments[file] { return open.file.descriptor }
    let open = try OpenFile(path(file), [.write, .direct, .durable])
    segments[file] = open
    return open.file.descriptor
  }
}

/// Memory of a read, alive as long as it.
final class IOMemory {
  let buffer: AlignedBuffer
  init(_ count: Int) { buffer = AlignedBuffer(count: count) }
}
