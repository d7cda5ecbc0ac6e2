import Primitives
import Raft

@testable import Journal

/// The files of a journal in memory.
final class LogFiles: JournalSource {
  var content: [UInt32: [UInt8]]

  init(_ content: [UInt32: [UInt8]] = [:]) { self.content = content }

  var files: [JournalFile] {
    content.map { JournalFile(file: $0.key, bytes: UInt64($0.value.count)) }.sorted { $0.file < $1.file }
  }

  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    guard let bytes = content[file], Int(offset) + target.count <= bytes.count else { throw JournalReadError(errno: 5) }
    bytes.withUnsafeBytes {
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[Int(offset)..<Int(offset) + target.count]))
    }
  }
}

/// A journal on files in memory; every order is performed at once.
final class LogWriter {
  static let directory: UInt64 = 0xD1CE
  let files: LogFiles
  private var journal: Journal
  private var effects = JournalEffects()
  private var now = Instant(nanoseconds: 1_000_000)
  private var nextID: PersistID = 1
  private(set) var persisted: PersistID = 0

  static func identity(boot: UInt64) -> JournalIdentity {
    JournalIdentity(directory: directory, lane: LaneID(3), boot: boot)
  }

  static let settings: JournalSettings = {
    var settings = JournalSettings()
    (settings.segmentBytes, settings.logBytesMax, settings.reserveBytes) = (64 << 10, 1 << 20, 128 << 10)
    settings.writesInFlightMax = 1
    return settings
  }()

  init(_ files: LogFiles, _ recovered: RecoveredJournal, boot: UInt64) {
    self.files = files
    journal = Journal(recovered: recovered, identity: LogWriter.identity(boot: boot), settings: LogWriter.settings)
    turn()
  }

  var lastID: PersistID { nextID - 1 }

  func append(_ shard: UInt64, hardState: HardState? = nil, _ entries: [Entry] = []) {
    journal.append(shard: ShardID(shard), order: PersistOrder(id: nextID, hardState: hardState, entries: entries))
    nextID += 1
    turn()
  }

  func step(_ event: JournalEvent) {
    journal.step(event, at: now, into: &effects)
    turn()
  }

  func idle() {
    now = now + .milliseconds(20)
    step(.tick)
  }

  private func turn() {
    journal.flush(at: now, into: &effects)
    while !effects.list.isEmpty {
      let orders = effects.list
      effects.removeAll()
      for order in orders { perform(order) }
      journal.flush(at: now, into: &effects)
      journal.checkInvariants()
    }
  }

  private func perform(_ order: JournalEffect) {
    switch order {
    case .write(let write):
      files.content[write.file]?.replaceSubrange(
        Int(write.offset)..<Int(write.offset) + write.count, with: journal.bytes(of: write))
      journal.step(.written(write.id), at: now, into: &effects)
    case .prepare(let order):
      if order.isFresh { files.content[order.file] = [UInt8](repeating: 0, count: Int(order.bytes)) }
      journal.step(.segmentReady(file: order.file), at: now, into: &effects)
    case .remove(let file): files.content[file] = nil
    case .persisted(_, let id): persisted = max(persisted, id)
    default: break
    }
  }
}

/// A log with all that a log may hold: two shards, entries that were overwritten, one in fragments over two segments, a
/// freed segment that is used again, a restart, seals. And what it says.
struct LogImage: Sendable {
  /// A block of the log, in the order of the chain.
  struct Block: Sendable {
    let file: UInt32
    let offset: Int
    let length: Int
  }

  let files: [UInt32: [UInt8]]
  let blocks: [Block]
  /// Every entry that was ever written, by shard.
  let written: [UInt64: [Entry]]
  let boot: UInt64 = 3

  static let shared = LogImage()

  private init() {
    var written: [UInt64: [Entry]] = [:]
    let first = LogWriter(LogFiles(), LogImage.recovered(LogFiles(), boot: 1), boot: 1)
    LogImage.fill(first, &written)
    let second = LogWriter(first.files, LogImage.recovered(first.files, boot: 2), boot: 2)
    second.append(1, [LogImage.entry(1, 9, 4, 60, &written)])
    second.idle()
    files = second.files.content
    blocks = LogImage.blocks(of: files)
    self.written = written
  }

  private static func recovered(_ files: LogFiles, boot: UInt64) -> RecoveredJournal {
    do throws(JournalRefusal) {
      return try recoverJournal(files, identity: LogWriter.identity(boot: boot), checkpoints: checkpoints(boot: boot))
    } catch { fatalError("a log that was just written is read: \(error)") }
  }

  /// What the store would hold at this start.
  static func checkpoints(boot: UInt64) -> [ShardCheckpoint] {
    boot == 1
      ? [] : [ShardCheckpoint(shard: ShardID(1), appliedIndex: LogIndex(3), hardState: HardState(term: Term(1)))]
  }

  private static func fill(_ log: LogWriter, _ written: inout [UInt64: [Entry]]) {
    let vote = Member(node: NodeID(2), incarnation: Incarnation(34))
    log.append(1, hardState: HardState(term: Term(1), vote: vote), [entry(1, 1, 1, 40_000, &written)])
    log.append(1, [entry(1, 2, 1, 5000, &written), entry(1, 3, 1, 0, &written)])
    log.append(2, hardState: HardState(term: Term(7)), [entry(2, 1, 7, 300, &written)])
    log.idle()
    log.append(1, [entry(1, 4, 1, 50_000, &written), entry(1, 5, 1, 100, &written)])
    log.append(1, hardState: HardState(term: Term(2)), [entry(1, 5, 2, 80, &written), entry(1, 6, 2, 90, &written)])
    log.step(.checkpointed(ShardID(1), LogIndex(3), HardState(term: Term(1))))
    log.step(.held(ShardID(1), LogIndex(3)))
    log.append(2, [entry(2, 2, 7, 12, &written)])
    log.idle()
    log.append(1, [entry(1, 7, 2, 20_000, &written), entry(1, 8, 3, 20, &written)])
  }

  private static func entry(
    _ shard: UInt64, _ index: UInt64, _ term: UInt64, _ count: Int, _ written: inout [UInt64: [Entry]]
  ) -> Entry {
    let payload = (0..<count).map { UInt8(truncatingIfNeeded: UInt64($0) &* 7 &+ index &* 31 &+ term) }
    let entry = Entry(index: LogIndex(index), term: Term(term), kind: .command, payload: payload)
    written[shard, default: []].append(entry)
    return entry
  }

  /// All whole blocks of the files, by sequence.
  private static func blocks(of files: [UInt32: [UInt8]]) -> [Block] {
    var found: [(sequence: UInt64, block: Block)] = []
    for (file, bytes) in files {
      var offset = 0
      while offset < bytes.count {
        let view = bytes.withUnsafeBytes { raw -> BlockHeader? in
          guard case .success(let view) = BlockView.verify(UnsafeRawBufferPointer(rebasing: raw[offset...])) else {
            return nil
          }
          return view.header
        }
        if let view { found.append((view.sequence, Block(file: file, offset: offset, length: Int(view.length)))) }
        offset += view.map { Int($0.length) } ?? JournalFormat.pageBytes
      }
    }
    return found.sorted { $0.sequence < $1.sequence }.map(\.block)
  }
}
