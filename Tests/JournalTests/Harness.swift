import Primitives
import Raft
import Testing

@testable import Journal

/// The plain model: what was appended, record by record, in the order of the log.
struct LogModel {
  struct Shard: Equatable {
    var entries: [Entry] = []
    var hardState: HardState?

    mutating func apply(_ record: Record) {
      switch record.content {
      case .hardState(let hardState): self.hardState = hardState
      case .entry(let entry):
        let keep = Int(entry.index.rawValue) - 1
        precondition(keep <= entries.count)
        entries.removeLast(entries.count - keep)
        entries.append(entry)
      }
    }
  }

  enum Content: Equatable {
    case hardState(HardState)
    case entry(Entry)
  }

  struct Record: Equatable {
    let shard: ShardID
    let content: Content
  }

  /// The state of what is known to be durable, and the records after it that may or may not be there.
  var durable: [ShardID: Shard] = [:]
  var open: [Record] = []
  /// Of each order that is not durable: shard, id, records up to its end (counted from the start of `open`).
  var orders: [(shard: ShardID, id: PersistID, end: Int)] = []

  mutating func append(_ shard: ShardID, _ order: PersistOrder) {
    if let hardState = order.hardState { open.append(Record(shard: shard, content: .hardState(hardState))) }
    open += order.entries.map { Record(shard: shard, content: .entry($0)) }
    for record in open.suffix(order.entries.count + (order.hardState == nil ? 0 : 1)) {
      newest[shard, default: Shard()].apply(record)
    }
    orders.append((shard, order.id, open.count))
  }

  mutating func persisted(_ shard: ShardID, _ id: PersistID) {
    guard let position = orders.lastIndex(where: { $0.shard == shard && $0.id <= id }) else {
      Issue.record("\(shard) \(id) was persisted and never ordered")
      return
    }
    let end = orders[position].end
    advance(by: end)
    orders = orders[(position + 1)...].map { ($0.shard, $0.id, $0.end - end) }
  }

  private mutating func advance(by count: Int) {
    for record in open.prefix(count) { durable[record.shard, default: Shard()].apply(record) }
    open.removeFirst(count)
  }

  /// All that was appended, durable or not.
  private(set) var newest: [ShardID: Shard] = [:]

  /// After a crash: the recovered state must be the durable one and some number of the records after it.
  mutating func settle(_ recovered: RecoveredJournal, checkpoints: [ShardID: ShardCheckpoint]) -> Bool {
    for count in 0...open.count {
      if count > 0 { durable[open[count - 1].shard, default: Shard()].apply(open[count - 1]) }
      if Self.matches(durable, recovered, checkpoints) {
        open = []
        orders = []
        newest = durable
        return true
      }
    }
    return false
  }

  static func matches(
    _ state: [ShardID: Shard], _ recovered: RecoveredJournal, _ checkpoints: [ShardID: ShardCheckpoint]
  ) -> Bool {
    let known = Set(recovered.shards.map(\.shard))
    guard state.allSatisfy({ known.contains($0.key) || ($0.value.entries.isEmpty && $0.value.hardState == nil) }) else {
      return false
    }
    return recovered.shards.allSatisfy { shard in
      let model = state[shard.shard] ?? Shard()
      let applied = checkpoints[shard.shard]?.appliedIndex.rawValue ?? 0
      var hardState = model.hardState ?? HardState(term: .zero, vote: nil)
      if let held = checkpoints[shard.shard]?.hardState, held.covers(hardState) { hardState = held }
      return shard.lastIndex.rawValue == UInt64(model.entries.count) && shard.hardState == hardState
        && shard.logStart.rawValue <= applied + 1
        && shard.entries.elementsEqual(model.entries.dropFirst(Int(applied)))
    }
  }
}

/// A journal, its disk, and the model, driven by hand or by seed.
final class Harness {
  static let directory: UInt64 = 0xD1CE_0000_0000_0001
  let disk: VirtualDisk
  var settings: JournalSettings
  var boot: UInt64 = 0
  var journal: Journal
  var now = Instant(nanoseconds: 1_000_000)
  var effects = JournalEffects()
  var model = LogModel()
  var checkpoints: [ShardID: ShardCheckpoint] = [:]
  var held: [ShardID: LogIndex] = [:]
  /// What the group said to be committed.
  var committed: [ShardID: LogIndex] = [:]
  /// Entries that were taken early by the starts so far.
  var takenCount = 0
  var nextID: [ShardID: PersistID] = [:]
  /// What is remembered outside the log: the last start that has its start block.
  var opened: OpenedStart?

  // What came out and waits to be performed or looked at.
  var preparations: [SegmentPreparation] = []
  var reads: [JournalRead] = []
  var persisted: [(ShardID, PersistID)] = []
  var loaded: [(LoadOrder, [Entry])] = []
  var loadFailures: [(LoadOrder, LoadFailure)] = []
  var faults: [JournalFault] = []
  var writeLog: [JournalWrite] = []
  var isOpen = false
  var isClosed = false
  /// What has to be made finds no room.
  var isDiskFull = false

  static func smallSettings() -> JournalSettings {
    var settings = JournalSettings()
    settings.segmentBytes = 64 << 10
    settings.logBytesMax = 8 * 64 << 10
    settings.reserveBytes = 2 * 64 << 10
    return settings
  }

  init(_ settings: JournalSettings = smallSettings(), disk: VirtualDisk = VirtualDisk()) throws {
    self.settings = settings
    self.disk = disk
    boot = 1
    let identity = Self.identity(1)
    let recovered = try recoverJournal(disk, identity: identity, checkpoints: [])
    journal = Journal(recovered: recovered, identity: identity, settings: settings)
  }

  static func identity(_ boot: UInt64) -> JournalIdentity {
    JournalIdentity(directory: directory, lane: LaneID(3), boot: boot)
  }

  // MARK: Turns

  /// Ends a turn and takes the effects.
  func turn() {
    journal.flush(at: now, into: &effects)
    journal.checkInvariants()
    let list = effects.list
    effects.removeAll()
    for effect in list { perform(effect) }
  }

  func step(_ event: JournalEvent) {
    journal.step(event, at: now, into: &effects)
    turn()
  }

  private func perform(_ effect: JournalEffect) {
    switch effect {
    case .write(let write):
      writeLog.append(write)
      disk.pending.append(.init(write: write, bytes: Array(journal.bytes(of: write))))
    case .prepare(let order): preparations.append(order)
    case .remove(let file): disk.remove(file)
    case .read(let read): reads.append(read)
    case .persisted(let shard, let id):
      persisted.append((shard, id))
      model.persisted(shard, id)
    case .loaded(let order, let entries): loaded.append((order, entries))
    case .loadFailed(let order, let failure): loadFailures.append((order, failure))
    case .opened:
      isOpen = true
      opened = journal.openedStart
    case .closed: isClosed = true
    case .failed(let fault): faults.append(fault)
    }
  }

  func completeWrite(_ id: WriteID) {
    disk.settle(id)
    step(.written(id))
  }

  func completePreparation() {
    let order = preparations.removeFirst()
    if order.isFresh, isDiskFull { return step(.segmentFailed(file: order.file, errno: 28)) }
    disk.prepare(order)
    step(.segmentReady(file: order.file))
  }

  func completeReads(opening: (UnsafeMutableRawBufferPointer) -> Void = { _ in }) {
    while !reads.isEmpty {
      let read = reads.removeFirst()
      guard disk.content[read.file] != nil else {
        step(.readFailed(read.id, errno: 2))
        continue
      }
      var bytes = disk.bytes(read.file, read.offset, read.count)
      bytes.withUnsafeMutableBytes { opening($0) }
      bytes.withUnsafeBytes { journal.completeRead(read.id, bytes: $0, into: &effects) }
      turn()
    }
  }

  /// Performs everything in order until nothing is left to perform.
  func settle() {
    turn()
    while true {
      if !preparations.isEmpty {
        completePreparation()
      } else if let first = disk.pending.first {
        completeWrite(first.write.id)
      } else if !reads.isEmpty {
        completeReads()
      } else {
        return
      }
    }
  }

  func advance(_ duration: Nanoseconds) {
    now = now + duration
    step(.tick)
  }

  // MARK: Orders

  @discardableResult
  func append(_ shard: UInt64, hardState: HardState? = nil, _ entries: [Entry] = []) -> PersistID {
    let shard = ShardID(shard)
    let id = nextID[shard, default: 0] + 1
    nextID[shard] = id
    let order = PersistOrder(id: id, hardState: hardState, entries: entries)
    model.append(shard, order)
    journal.append(shard: shard, order: order)
    return id
  }

  func checkpoint(_ shard: UInt64, _ index: UInt64, hardState: HardState? = nil) {
    let shard = ShardID(shard)
    checkpoints[shard] = ShardCheckpoint(shard: shard, appliedIndex: LogIndex(index), hardState: hardState)
    journal.step(.checkpointed(shard, LogIndex(index), hardState), at: now, into: &effects)
    turn()
  }

  func hold(_ shard: UInt64, _ index: UInt64) {
    held[ShardID(shard)] = LogIndex(index)
    step(.held(ShardID(shard), LogIndex(index)))
  }

  func commit(_ shard: UInt64, _ index: UInt64, term: UInt64) {
    committed[ShardID(shard)] = LogIndex(index)
    journal.noteCommitted(ShardID(shard), LogIndex(index), Term(term))
  }

  // MARK: Restart

  /// What stands in files that the journal may use again is of no account.
  func wipeFreeFiles() {
    for file in journal.files.free where file.bytes == settings.segmentBytes {
      disk.prepare(SegmentPreparation(file: file.file, bytes: file.bytes, isFresh: true))
    }
  }

  func recover(_ disk: VirtualDisk? = nil) throws(JournalRefusal) -> RecoveredJournal {
    try recoverJournal(
      disk ?? self.disk, identity: Self.identity(boot + 1),
      checkpoints: checkpoints.values.sorted { $0.shard < $1.shard }, opened: opened)
  }

  /// Whatever is not settled is lost or torn by now: recover, compare with the model, go on with a new boot.
  @discardableResult
  func restart() throws -> RecoveredJournal {
    disk.pending = []
    preparations = []
    reads = []
    isOpen = false
    let recovered = try recover()
    let isRight = model.settle(recovered, checkpoints: checkpoints)
    #expect(isRight, "what came back is not what was appended")
    try expectTheSameWithABudget(recovered)
    for count in [0, 3, Int.max] { try expectTakenIsCommitted(recovered, atMost: count) }
    boot += 1
    journal = Journal(recovered: recovered, identity: Self.identity(boot), settings: settings)
    effects.removeAll()
    nextID = [:]
    for checkpoint in checkpoints.values.sorted(by: { $0.shard < $1.shard }) {
      journal.step(
        .checkpointed(checkpoint.shard, checkpoint.appliedIndex, checkpoint.hardState), at: now, into: &effects)
    }
    for (shard, index) in held.sorted(by: { $0.key < $1.key }) {
      journal.step(.held(shard, index), at: now, into: &effects)
    }
    return recovered
  }

  /// Who takes entries early gets committed ones in order, each once, and what is left is all the others.
  private func expectTakenIsCommitted(_ all: RecoveredJournal, atMost count: Int) throws {
    var taken: [ShardID: [Entry]] = [:]
    var rest = count
    let some = try recoverJournal(
      disk, identity: Self.identity(boot + 1), checkpoints: checkpoints.values.sorted { $0.shard < $1.shard },
      opened: opened,
      take: { shard, entry in
        guard rest > 0 else { return false }
        rest -= 1
        taken[shard, default: []].append(entry)
        return true
      })
    for (shard, full) in zip(some.shards, all.shards) {
      let early = taken[shard.shard] ?? []
      #expect(early + shard.entries == full.entries)
      #expect(full.taken == checkpoints[shard.shard]?.appliedIndex ?? .zero)
      #expect(shard.taken == early.last?.index ?? full.taken)
      #expect(early.isEmpty || shard.taken <= committed[shard.shard] ?? .zero)
      var expected = full
      (expected.entries, expected.taken) = (shard.entries, shard.taken)
      #expect(shard == expected)
    }
    takenCount += taken.values.reduce(0) { $0 + $1.count }
  }

  /// However little is kept in memory, the rest is the same.
  private func expectTheSameWithABudget(_ all: RecoveredJournal) throws {
    let whole = all.shards.flatMap(\.entries).reduce(0) { $0 + $1.cost }
    for budget in [0, 100, whole / 2] {
      let some = try recoverJournal(
        disk, identity: Self.identity(boot + 1), checkpoints: checkpoints.values.sorted { $0.shard < $1.shard },
        opened: opened, entriesBytesMax: budget)
      for (shard, full) in zip(some.shards, all.shards) {
        var expected = full
        expected.entries = full.entries.suffix(shard.entries.count)
        #expect(shard == expected, "with \(budget) bytes")
        #expect(shard.entries.reduce(0) { $0 + $1.cost } <= budget)
      }
    }
    for shard in all.shards {
      #expect(shard.configurations == shard.entries.filter { $0.kind == .configuration })
      let starts = shard.entries.enumerated().filter { $0 == 0 || shard.entries[$0 - 1].term != $1.term }
      #expect(shard.terms == starts.map { TermStart(index: $1.index, term: $1.term) })
    }
  }

  func lastIndex(_ shard: UInt64) -> UInt64 { UInt64(model.newest[ShardID(shard)]?.entries.count ?? 0) }
}

private let pattern: [UInt8] = {
  var random = SeededRandom(seed: 7)
  return (0..<1_400_000 / 8).flatMap { _ in withUnsafeBytes(of: random.next()) { Array($0) } }
}()

/// An entry whose payload is different for each index and term.
func entry(_ index: UInt64, _ term: UInt64, _ count: Int = 20, kind: EntryKind = .command) -> Entry {
  let from = Int((index &* 97 &+ term &* 7919) % 100_000)
  return Entry(index: LogIndex(index), term: Term(term), kind: kind, payload: Array(pattern[from..<from + count]))
}

func hardState(_ term: UInt64, _ vote: UInt32? = nil) -> HardState {
  HardState(
    term: Term(term), vote: vote.map { Member(node: NodeID($0), incarnation: Incarnation(UInt64($0) + 0xABCD)) })
}
