import Journal
import Primitives
import Raft
import Store

// Checkpoints: the store's own machine, told when to begin, and told when the log behind it is durable.

struct CheckpointState {
  /// What the newest superblock holds.
  var durable: ReplicaRecord
  /// What the older one holds, as far as is known: it alone is to recover too, so the log before this is not needed any more.
  var released: LogIndex?
  /// Bytes of log written when the last checkpoint began.
  var logBytesAtBegin: UInt64 = 0
  /// What the checkpoint under way holds.
  var frozen: ReplicaRecord?
  /// When a page file that could not grow for want of room on the disk is tried again.
  var growAgainAt = Instant.never
  /// All pages are written; the superblock waits for the log.
  var awaitsLog = false
  /// A page that the next beginning needs is being loaded.
  var awaitsPage: PageID?
  /// Of the checkpoint under way.
  var pace: CheckpointPace?
  /// When that is to be looked at again, even if nothing happens.
  var paceAt = Instant.never
  /// When the last one began; at first, when the node was opened.
  var begunAt: Instant
  /// Checkpoints that ended since the next command found no room for its pages.
  var countForRoom = 0
  /// Memory ran out: the next command is tried again once no more pages than these are frozen.
  var frozenToApply: Int?

  init(durable: ReplicaRecord, now: Instant) {
    self.durable = durable
    begunAt = now
  }
}

extension Node {
  /// Segments that may hold the log before a checkpoint is to shorten it, however little was written: each start takes a
  /// fresh one.
  private static let segmentsWithoutCheckpoint = 4

  /// A checkpoint begins when enough log came since the last one, when the log has many segments or is full, or when the
  /// store runs short of clean frames.
  func beginCheckpointWhenDue() {
    guard isOpen, !store.isCheckpointing, store.checkpointFault == nil else { return }
    let logBytes = journal.statistics.bytesWritten - checkpoint.logBytesAtBegin
    guard
      logBytes > 0 && logBytes >= settings.limits.checkpointLogBytes
        || store.statistics.dirtyPages > store.dirtyPagesMax || isLogLong || store.room.wantsCheckpoint
        || stallWantsCheckpoint || scrub.checkpointsToBegin > 0
    else { return }
    beginCheckpoint()
  }

  /// What a superblock speaks of is not reused before the next but one is durable: two checkpoints give back all that can be,
  /// and more of them only take pages.
  private var stallWantsCheckpoint: Bool {
    switch applyStall {
    case nil: false
    case .memory: true
    case .room: !store.isGrowing && checkpoint.countForRoom < 2
    }
  }

  /// A checkpoint, or the one behind it, would let segments go, as far as no other node needs them.
  private var isLogLong: Bool {
    guard replica.appliedIndex > checkpoint.released ?? .zero else { return false }
    return journal.segmentCount > Self.segmentsWithoutCheckpoint || journal.isFull
  }

  /// Between commands, perhaps in the middle of an entry: the position says so.
  private func beginCheckpoint() {
    if let page = checkpoint.awaitsPage, pages.isLoading(page) { return }
    precondition(replica.raft.appliedIndex == replica.appliedIndex, "Raft knows what is applied")
    let configuration = replica.raft.appliedConfiguration
    let record = ReplicaRecord(
      appliedIndex: replica.appliedIndex, appliedOrdinal: replica.cursor?.ordinal ?? replica.resumeOrdinal,
      appliedTerm: replica.appliedTerm, totals: replica.machine.totals,
      configurationIndex: configuration.index, configuration: configuration.configuration,
      hardState: replica.raft.hardState)
    do throws(PrepareFailure) {
      try store.prepareCheckpoint(replica.shard)
      store.setMetadata(replica.shard, record.encoded())
      store.endWrite()
    } catch {
      store.endWrite()
      guard case .missing(let missing) = error else { return }
      checkpoint.awaitsPage = missing.page
      return load(missing)
    }
    checkpoint.awaitsPage = nil
    checkpoint.logBytesAtBegin = journal.statistics.bytesWritten
    checkpoint.frozen = record
    scrub.checkpointsToBegin = max(0, scrub.checkpointsToBegin - 1)
    effects.notices.append(.checkpointBegan)
    var orders: [CheckpointEffect] = []
    store.beginCheckpoint(writesMax: 0, into: &orders)
    setPace()
    takeCheckpointOrders(orders)
  }

  func checkpointStep(_ event: CheckpointEvent) {
    guard fault == nil else { return }
    room.mayHaveChanged = true
    var orders: [CheckpointEffect] = []
    store.step(event, into: &orders)
    takeCheckpointOrders(orders)
    if case .grown = event, applyStall == .room { applyAgain() }
    goOnApplying()
  }

  /// Lets the page file grow ahead of need, or gives back what it does not need.
  func resizeStore() {
    guard isOpen else { return }
    var orders: [CheckpointEffect] = []
    store.resizeWhenDue(into: &orders)
    if !orders.isEmpty { takeCheckpointOrders(orders) }
  }

  private func applyAgain() {
    checkpoint.frozenToApply = nil
    applyStall = nil
    applyCommitted()
  }

  /// Tries to grow the page file again when it is time to.
  func growWhenDue() {
    guard now >= checkpoint.growAgainAt else { return }
    checkpoint.growAgainAt = .never
    checkpointStep(.growAgain)
  }

  private func takeCheckpointOrders(_ orders: [CheckpointEffect]) {
    for order in orders {
      switch order {
      case .grow, .shrink, .writePage, .sync, .writeSuperblock: effects.checkpoint.append(order)
      case .awaitRoom: checkpoint.growAgainAt = now + settings.limits.growAgainAfter
      case .awaitLog: checkpoint.awaitsLog = true
      case .finished: checkpointFinished()
      case .failed(let failure): checkpointFailed(failure)
      }
    }
    answerCheckpointWait()
  }

  /// A superblock may only speak of what the log has durably.
  func answerCheckpointWait() {
    guard checkpoint.awaitsLog, let frozen = checkpoint.frozen, fault == nil else { return }
    let touched = frozen.appliedOrdinal > 0 ? frozen.appliedIndex.next : frozen.appliedIndex
    guard replica.raft.durableIndex >= touched else { return }
    checkpoint.awaitsLog = false
    checkpointStep(.logDurable)
  }

  private func checkpointFinished() {
    guard let frozen = checkpoint.frozen else { return }
    checkpoint.frozen = nil
    checkpoint.pace = nil
    let older = checkpoint.durable
    checkpoint.durable = frozen
    checkpoint.released = older.appliedIndex
    statistics.checkpoints += 1
    effects.notices.append(.checkpointFinished(applied: frozen.appliedIndex, pages: store.statistics.pages))
    journalStep(.checkpointed(replica.shard, older.appliedIndex, older.hardState))
    if applyStall == .room { checkpoint.countForRoom += 1 }
    if applyStall != nil { applyAgain() }
  }

  /// Nothing is lost: the log holds everything since the last checkpoint. But nobody knows what the disk holds of this
  /// one, so the node stops; a restart recovers from the older superblock.
  private func checkpointFailed(_ failure: CheckpointFault) {
    effects.notices.append(.checkpointFailed("\(failure.step) failed with errno \(failure.errno)"))
    fail(
      "a checkpoint failed (\(failure.step), errno \(failure.errno)): check the disk and its free space, then restart")
  }
}

// MARK: Pace

extension Node {
  /// The store has no frames for the next command. Pages that a checkpoint has written give some back.
  func stallForMemory() {
    applyStall = .memory
    awaitFrames()
  }

  private func awaitFrames() { checkpoint.frozenToApply = store.statistics.frozenPages - Self.framesToApply }

  /// So many more frames make it worth while to try the command again.
  private static let framesToApply = 64

  private func goOnApplying() {
    guard applyStall == .memory, let frozen = checkpoint.frozenToApply, store.statistics.frozenPages <= frozen else {
      return
    }
    applyAgain()
  }

  private func setPace() {
    guard let pages = store.checkpointPages else { return }
    let interval = now - checkpoint.begunAt
    checkpoint.begunAt = now
    checkpoint.pace = CheckpointPace(
      begunAt: now, logBytesAtBegin: checkpoint.logBytesAtBegin, pages: pages,
      time: min(Nanoseconds(interval.rawValue / 2), settings.limits.checkpointTimeMax))
    if checkpoint.frozenToApply != nil { awaitFrames() }
  }

  /// At the end of a turn: lets the checkpoint under way write as many more pages as it is time for. All of them when
  /// writes wait for its end.
  func paceCheckpoint() {
    checkpoint.paceAt = .never
    guard let pace = checkpoint.pace else { return }
    let facts = CheckpointPace.Facts(
      now: now, logBytes: journal.statistics.bytesWritten, dirtyPages: store.statistics.dirtyPages,
      dirtyPagesMax: store.dirtyPagesMax)
    let isHurried = applyStall != nil || isLogLong || store.room.isTight
    let due = isHurried ? pace.pages : pace.due(facts, settings.limits)
    if due < pace.pages { checkpoint.paceAt = now + settings.limits.checkpointPaceStep }
    var orders: [CheckpointEffect] = []
    store.allowWrites(due, into: &orders)
    takeCheckpointOrders(orders)
  }
}
