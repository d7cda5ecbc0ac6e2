import Journal
import Primitives
import Raft
import Store
import Tables

// From files to a node: what happens between the start of a process and its first step. Synchronous, because nothing else
// can happen before; nothing is changed on disk.

/// The files of one lane, as they are read at start.
package protocol LaneFiles: JournalSource {
  var pagesBytes: UInt64 { get }
  /// Fills `target` from the page file. Offset and count are multiples of 4096; `target` is aligned to 4096.
  func readPages(offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError)
}

/// Why a data directory is not opened. Nothing of it was changed.
package enum OpenRefusal: Error, Sendable, CustomStringConvertible {
  case noPageFile
  case store(StoreRefusal)
  case journal(JournalRefusal)
  case page(PageDamage)
  case unreadable(offset: UInt64, errno: Int32)
  case record(String)
  case anotherNode(found: NodeID, expected: NodeID)
  case anotherCluster(found: String, expected: String)

  package var description: String {
    switch self {
    case .noPageFile: "it holds no page file; `fscluster init` makes a cluster's data directories"
    case .store(let refusal): "the page file: \(refusal)"
    case .journal(let refusal): "the log: \(refusal)"
    case .page(let damage): "the page file: \(damage)"
    case .unreadable(let offset, let errno): "the page file cannot be read at offset \(offset) (errno \(errno))"
    case .record(let text): "the shard's record cannot be read: \(text)"
    case .anotherNode(let found, let expected): "it belongs to node \(found), this is \(expected)"
    case .anotherCluster(let found, let expected): "it belongs to cluster \(found), this is \(expected)"
    }
  }
}

/// Whose page file this is, from the first superblock that can be read. Compare before anything is written.
package func readIdentity(_ files: some LaneFiles) throws(OpenRefusal) -> StoreIdentity {
  let pages = try readSuperblocks(files)
  for bytes in [pages.first, pages.second] {
    do throws(SuperblockProblem) {
      return try bytes.withBytes { raw throws(SuperblockProblem) in try Superblock.decode(raw).identity }
    } catch .version(let found) {
      throw .store(.version(found: found, supported: Superblock.version))
    } catch { continue }
  }
  throw .store(
    pages.first.starts(with: Array("FileStor".utf8)) || pages.second.starts(with: Array("FileStor".utf8))
      ? .damaged(first: .field("unreadable"), second: .field("unreadable")) : .foreign)
}

extension Node {
  /// The one shard of this version.
  package static let onlyShard = ShardID(1)

  /// Opens a lane: newest superblock, the shard's record and catalog, the log behind it. `settings.me` gets the
  /// incarnation of the directory.
  ///
  /// `boot` must be durable before the node's first step, and not before this has accepted the directory. `opened` is the last
  /// start that has its start block (`Boots`). Before recovery the driver flushes every segment.
  package static func open(
    _ settings: NodeSettings, identity: StoreIdentity, boot: Boots.Boot, opened: OpenedStart?, files: some LaneFiles,
    storeLimits: StoreLimits, journalSettings: JournalSettings, now: Instant
  ) throws(OpenRefusal) -> Node {
    var storeLimits = storeLimits
    storeLimits.reservesRoom = true
    let store = try openStore(files, identity, storeLimits)
    let shard = onlyShard
    let record = try loading(store, files) { () throws(PageMissing) in try store.metadata(shard) }
    guard let record else { throw .record("shard \(shard) is not there") }
    let replicaRecord: ReplicaRecord
    do throws(DecodeError) { replicaRecord = try ReplicaRecord(decoding: record) } catch {
      throw .record(error.message)
    }
    let machine = ShardMachine(shard: shard, totals: replicaRecord.totals)
    try loading(store, files) { () throws(PageMissing) in try machine.restore(store) }
    var settings = settings
    settings.me = Member(node: settings.me.node, incarnation: identity.incarnation)
    let journalIdentity = JournalIdentity(directory: identity.directory, lane: identity.lane, boot: boot.number)
    let early = EarlyApply(machine, store, replicaRecord) { missing in
      do throws(OpenRefusal) { try loadPage(missing, store, files) } catch { return false }  // the loop will say why
      return true
    }
    let recovered = try recover(
      files, journalIdentity, shard, replicaRecord, opened, bytesMax: settings.limits.recoveredBytesMax, early)
    let journal = Journal(recovered: recovered, identity: journalIdentity, settings: journalSettings)
    let replica = makeReplica(settings, shard, replicaRecord, machine, early, recovered, now)
    return Node(
      settings: settings, boot: boot.number, store: store, journal: journal, replica: replica, record: replicaRecord,
      now: now)
  }

  private static func openStore(
    _ files: some LaneFiles, _ identity: StoreIdentity, _ limits: StoreLimits
  ) throws(OpenRefusal) -> Store {
    let pages = try readSuperblocks(files)
    do throws(StoreRefusal) {
      return try pages.first.withBytes { first throws(StoreRefusal) in
        try pages.second.withBytes { second throws(StoreRefusal) in
          try Store(
            superblocks: first, second, fileBytes: files.pagesBytes, identity: identity, limits: limits)
        }
      }
    } catch { throw .store(error) }
  }

  private static func recover(
    _ files: some LaneFiles, _ identity: JournalIdentity, _ shard: ShardID, _ record: ReplicaRecord,
    _ opened: OpenedStart?, bytesMax: Int, _ early: EarlyApply
  ) throws(OpenRefusal) -> RecoveredJournal {
    let checkpoint = ShardCheckpoint(shard: shard, appliedIndex: record.appliedIndex, hardState: record.hardState)
    do throws(JournalRefusal) {
      return try recoverJournal(
        files, identity: identity, checkpoints: [checkpoint], opened: opened, entriesBytesMax: bytesMax,
        take: { $0 == shard && early.take($1) })
    } catch { throw .journal(error) }
  }

  private static func makeReplica(
    _ settings: NodeSettings, _ shard: ShardID, _ record: ReplicaRecord, _ machine: ShardMachine,
    _ early: EarlyApply, _ recovered: RecoveredJournal, _ now: Instant
  ) -> Replica {
    let log = recovered.shards.first { $0.shard == shard }
    let restored = RestoredGroup(
      hardState: log?.hardState ?? record.hardState, configuration: record.configuration,
      configurationIndex: record.configurationIndex, appliedIndex: record.appliedIndex,
      appliedTerm: record.appliedTerm, committedIndex: early.appliedIndex,
      logStart: log?.logStart ?? record.appliedIndex.next,
      lastIndex: log?.lastIndex ?? record.appliedIndex, terms: log?.terms ?? [],
      configurations: log?.configurations ?? [], entries: log?.entries ?? [])
    let raft = RaftGroup(
      shard: shard, me: settings.me, settings: settings.raft, restored: restored,
      random: SeededRandom(seed: settings.seed), now: now)
    var applied = record
    (applied.appliedIndex, applied.appliedTerm, applied.appliedOrdinal) =
      (early.appliedIndex, early.appliedTerm, early.appliedOrdinal)
    applied.totals = machine.totals
    return Replica(shard: shard, raft: raft, machine: machine, record: applied)
  }
}

/// Runs `body` again and again, loading each page that it misses.
private func loading<T>(
  _ store: Store, _ files: some LaneFiles, _ body: () throws(PageMissing) -> T
) throws(OpenRefusal) -> T {
  while true {
    do throws(PageMissing) {
      return try body()
    } catch { try loadPage(error, store, files) }
  }
}

private func loadPage(_ missing: PageMissing, _ store: Store, _ files: some LaneFiles) throws(OpenRefusal) {
  let order = store.loadOrder(for: missing)
  let bytes = try readPage(files, order.fileOffset)
  do throws(PageDamage) {
    try bytes.withBytes { raw throws(PageDamage) in try store.pageLoaded(order, raw) }
  } catch { throw .page(error) }
}

private func readSuperblocks(_ files: some LaneFiles) throws(OpenRefusal) -> (first: [UInt8], second: [UInt8]) {
  guard files.pagesBytes > 0 else { throw .noPageFile }
  let pageBytes = UInt64(Store.pageBytes)
  guard files.pagesBytes >= 2 * pageBytes else {
    throw .store(.truncated(foundBytes: files.pagesBytes, expectedBytes: 2 * pageBytes))
  }
  return (try readPage(files, 0), try readPage(files, pageBytes))
}

private func readPage(_ files: some LaneFiles, _ offset: UInt64) throws(OpenRefusal) -> [UInt8] {
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Store.pageBytes, alignment: 4096)
  defer { buffer.deallocate() }
  do throws(JournalReadError) {
    try files.readPages(offset: offset, into: buffer)
  } catch { throw .unreadable(offset: offset, errno: error.errno) }
  return [UInt8](buffer)
}

/// The page file of a new lane: empty but for shard 1, whose record names the founders. For `init`; write it, then sync
/// file and directory.
package func formatLane(identity: StoreIdentity, founders: Configuration) -> [UInt8] {
  let (first, second) = Store.format(identity: identity)
  var image = first + second
  var limits = StoreLimits(framesMax: 256, pagesMax: 1024)
  limits.growPages = 1
  let record = ReplicaRecord(
    appliedIndex: .zero, appliedTerm: .zero, totals: ShardTotals(), configurationIndex: .zero,
    configuration: founders, hardState: HardState())
  do {
    let store = try image.withBytes { raw throws(StoreRefusal) in
      try Store(
        superblocks: UnsafeRawBufferPointer(rebasing: raw[..<Store.pageBytes]),
        UnsafeRawBufferPointer(rebasing: raw[Store.pageBytes...]), fileBytes: UInt64(raw.count), identity: identity,
        limits: limits)
    }
    try store.prepareShard(Node.onlyShard)
    store.createShard(Node.onlyShard)
    store.setMetadata(Node.onlyShard, record.encoded())
    store.endWrite()
    writeCheckpoint(of: store, to: &image)
  } catch { preconditionFailure("an empty store in memory opens and takes a shard: \(error)") }
  return image
}

/// Runs one checkpoint to its end on a file in memory.
private func writeCheckpoint(of store: Store, to image: inout [UInt8]) {
  var orders: [CheckpointEffect] = []
  store.beginCheckpoint(into: &orders)
  while !orders.isEmpty {
    let order = orders.removeFirst()
    switch order {
    case .grow(let fileBytes):
      image.append(contentsOf: [UInt8](repeating: 0, count: Int(fileBytes) - image.count))
      store.step(.grown, into: &orders)
    case .writePage(let page, let offset):
      image.replaceSubrange(Int(offset)..<Int(offset) + Store.pageBytes, with: store.bytes(of: page))
      store.step(.written(page), into: &orders)
    case .sync: store.step(.synced, into: &orders)
    case .awaitLog: store.step(.logDurable, into: &orders)
    case .writeSuperblock(let page, let offset):
      image.replaceSubrange(Int(offset)..<Int(offset) + Store.pageBytes, with: store.bytes(of: page))
      store.step(.superblockWritten, into: &orders)
    case .shrink, .awaitRoom, .finished, .failed: break
    }
  }
}
