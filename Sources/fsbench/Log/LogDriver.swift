import Journal
import Primitives
import Raft
import Ring
import Server

/// The real journal on real files: its orders performed through the ring, with one group that appends.
///
/// A small version of what the server does, without its requests. Segments are prepared at once, which holds the loop up;
/// so measure after `warmUp`, when every segment has been used and is used again.
final class LogDriver {
  static let shard = ShardID(1)
  static let term = Term(1)
  /// A checkpoint is pretended after so many entries, and frees segments.
  private static let checkpointEvery: UInt64 = 4096

  private let directory: String
  private let ring: Ring
  private var journal: Journal
  private var effects = JournalEffects()
  private var files: [UInt32: OpenFile] = [:]
  /// Bytes of each write in flight.
  private var lengths: [WriteID: Int32] = [:]
  private var isOpen = false
  private var released: UInt64 = 0
  private(set) var now: Instant
  /// The last order that was handed over, and the last that is durable. An order holds the entry of the same number.
  private(set) var appended: PersistID = 0
  private(set) var persisted: PersistID = 0
  /// Segments made since the start. Constant while nothing but appends is measured.
  private(set) var fresh = 0

  private let settings: JournalSettings

  /// False: nothing is ever freed, the log is to be read back.
  private let frees: Bool
  /// The index that a checkpoint holds: the first entry stands behind it.
  private let after: LogIndex

  /// Six segments, of which one is the reserve.
  private static func settings(segmentBytes: UInt64) -> JournalSettings {
    var settings = JournalSettings()
    settings.segmentBytes = segmentBytes
    settings.logBytesMax = 6 * segmentBytes
    settings.reserveBytes = segmentBytes
    return settings
  }

  convenience init(directory: String, segmentBytes: UInt64) throws(BenchError) {
    try self.init(
      directory: directory, identity: JournalIdentity(directory: 1, lane: LaneID(0), boot: 1),
      settings: LogDriver.settings(segmentBytes: segmentBytes), frees: true)
  }

  init(
    directory: String, identity: JournalIdentity, settings: JournalSettings, frees: Bool, after: LogIndex = .zero
  ) throws(BenchError) {
    self.directory = directory
    self.settings = settings
    self.frees = frees
    self.after = after
    ring = try BenchError.ring(entries: 64)
    now = ring.now()
    do throws(JournalRefusal) {
      let recovered = try recoverJournal(NoFiles(), identity: identity, checkpoints: [])
      journal = Journal(recovered: recovered, identity: identity, settings: settings)
    } catch { throw .failed("the journal does not begin: \(error)") }
    while !isOpen { try turn() }
  }

  /// The time of the loop is that of its last turn: before a measurement that was some time ago.
  func readClock() { now = ring.now() }

  var statistics: JournalStatistics { journal.statistics }
  var openedStart: OpenedStart? { journal.openedStart }

  /// Hands one entry over; it leaves at the end of the turn.
  func append(_ payload: [UInt8], kind: EntryKind = .command) {
    appended += 1
    let entry = Entry(index: after + appended, term: LogDriver.term, kind: kind, payload: payload)
    let hardState = appended == 1 ? HardState(term: LogDriver.term) : nil
    journal.append(shard: LogDriver.shard, order: PersistOrder(id: appended, hardState: hardState, entries: [entry]))
  }

  /// Writes what waits, then waits for at least one write; or, without waiting, lets the disk begin.
  func turn(isWaiting: Bool = true) throws(BenchError) {
    journal.flush(at: now, into: &effects)
    try perform()
    let completions = ring.wait(until: isWaiting ? nil : Instant.zero)
    now = ring.now()
    for completion in completions { try take(completion) }
    if frees { release() }
    // To a group of one, what it has is committed.
    journal.noteCommitted(LogDriver.shard, after + persisted, LogDriver.term)
    try perform()
  }

  /// Writes through all segments until they are used again, so that no fresh one is made later.
  func warmUp() throws(BenchError) {
    let payload = [UInt8](repeating: 7, count: 64 << 10)
    let target = settings.logBytesMax * 2
    while journal.statistics.bytesWritten < target {
      while appended - persisted < 16 { append(payload) }
      try turn()
    }
    while persisted < appended { try turn() }
  }

  // MARK: - Effects

  private func perform() throws(BenchError) {
    while !effects.list.isEmpty {
      let orders = effects.list
      effects.removeAll()
      for order in orders { try perform(order) }
      journal.flush(at: now, into: &effects)
    }
  }

  private func perform(_ effect: JournalEffect) throws(BenchError) {
    switch effect {
    case .write(let write): try submit(write)
    case .prepare(let order): try prepare(order)
    case .persisted(_, let id): persisted = id
    case .opened: isOpen = true
    case .failed(let fault): throw .failed("the log failed: \(fault)")
    case .remove, .read, .loaded, .loadFailed, .closed: preconditionFailure("nothing is read, removed or closed here")
    }
  }

  private func submit(_ write: JournalWrite) throws(BenchError) {
    guard let file = files[write.file] else { preconditionFailure("a segment is prepared before it is written") }
    ring.write(file.descriptor, journal.bytes(of: write), at: write.offset, token: write.id)
    lengths[write.id] = Int32(write.count)
  }

  private func take(_ completion: Completion) throws(BenchError) {
    guard completion.result == lengths.removeValue(forKey: completion.token) else {
      throw .failed("\(directory): \(systemText(completion.code)) (write)")
    }
    journal.step(.written(completion.token), at: now, into: &effects)
  }

  private func prepare(_ order: SegmentPreparation) throws(BenchError) {
    if order.isFresh {
      fresh += 1
      let path = "\(directory)/\(LogFiles.name(of: order.file))"
      try BenchError.system { () throws(SystemError) in try LogDriver.makeSegment(path, bytes: order.bytes) }
      files[order.file] = try OpenFile(path, [.write, .direct, .durable])
    }
    journal.step(.segmentReady(file: order.file), at: now, into: &effects)
  }

  /// A fresh segment is reserved and filled with zeros, as the server makes them.
  static func makeSegment(_ path: String, bytes: UInt64) throws(SystemError) {
    let made = try File(path, [.write, .create, .truncate])
    try made.preallocate(bytes)
    try made.zeroFill(from: 0, count: bytes)
    try made.synchronize()
  }

  /// All that is durable counts as checkpointed and held by every voter.
  private func release() {
    guard persisted >= released + LogDriver.checkpointEvery || journal.freeBytes < 2 * settings.segmentBytes else {
      return
    }
    released = persisted
    let index = LogIndex(persisted)
    journal.step(.checkpointed(LogDriver.shard, index, nil), at: now, into: &effects)
    journal.step(.held(LogDriver.shard, index), at: now, into: &effects)
  }
}

/// A journal that begins.
private final class NoFiles: JournalSource {
  var files: [JournalFile] { [] }
  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    preconditionFailure("there is no file to read")
  }
}
