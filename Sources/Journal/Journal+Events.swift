import DequeModule
import Primitives
import Raft

// What happens when the driver or a group reports a fact.

extension Journal {
  /// Takes in a fact. Orders for writes come from the `flush` that ends the turn.
  package func step(_ event: JournalEvent, at now: Instant, into effects: inout JournalEffects) {
    switch event {
    case .written(let id): handleWritten(id, at: now, into: &effects)
    case .writeFailed(let id, let errno): handleWriteFailed(id, errno: errno, into: &effects)
    case .segmentReady(let file): handleSegmentReady(file)
    case .segmentFailed(let file, let errno): handleSegmentFailed(file, errno: errno, at: now, into: &effects)
    case .readFailed(let id, let errno): handleReadFailed(id, errno: errno, into: &effects)
    case .checkpointed(let shard, let index, let hardState): handleCheckpointed(shard, index, hardState)
    case .held(let shard, let index): handleHeld(shard, index)
    case .tick: break
    case .shutdown: handleShutdown(into: &effects)
    }
  }

  // MARK: Writes

  private func handleWritten(_ id: WriteID, at now: Instant, into effects: inout JournalEffects) {
    guard let first = inFlight.first, id >= first.sequence, id - first.sequence < UInt64(inFlight.count) else {
      preconditionFailure("a write in flight was reported")
    }
    let position = Int(id - first.sequence)
    precondition(inFlight[position].outcome == .open, "a write is reported once")
    inFlight[position].outcome = .written
    buffers.giveBack(inFlight[position].write.buffer)
    lastActivity = now
    while let block = inFlight.first, block.outcome == .written {
      inFlight.removeFirst()
      retire(block, into: &effects)
    }
    maybeFreeOldest()
  }

  /// The block and all before it are durable.
  private func retire(_ block: BlockInFlight, into effects: inout JournalEffects) {
    watermark = block.sequence
    segments.setDurableEnd(use: block.use, block.write.offset + UInt64(block.write.count))
    for end in block.ends { effects.add(.persisted(end.shard, end.id)) }
    durableOldest = max(durableOldest, block.namedOldest)
    files.recycle(below: durableOldest)
    if block.kind == .start, phase == .opening {
      phase = .open
      effects.add(.opened)
    }
  }

  private func handleWriteFailed(_ id: WriteID, errno: Int32, into effects: inout JournalEffects) {
    guard let position = inFlight.firstIndex(where: { $0.sequence == id }) else {
      preconditionFailure("a write in flight was reported")
    }
    precondition(inFlight[position].outcome == .open, "a write is reported once")
    inFlight[position].outcome = .failed
    let write = inFlight[position].write
    fail(JournalFault(kind: .write, file: write.file, offset: write.offset, errno: errno), into: &effects)
  }

  /// The first fault counts. Blocks before a bad one may still become durable and be reported; nothing new is formed.
  func fail(_ fault: JournalFault, into effects: inout JournalEffects) {
    if case .failed = phase { return }
    phase = .failed(fault)
    waiting.removeAll()
    restated.removeAll()
    waitingBytes = 0
    prepareAgainAt = nil
    effects.add(.failed(fault))
  }

  // MARK: Groups

  private func handleCheckpointed(_ shard: ShardID, _ index: LogIndex, _ hardState: HardState?) {
    let slot = shards.obtain(shard)
    shards.logs[slot].noteCheckpoint(index, segments: &segments)
    if let hardState, shards.logs[slot].hardState.map({ hardState.covers($0) }) ?? true {
      shards.logs[slot].hardStateUse = 0
    }
    maybeFreeOldest()
  }

  private func handleHeld(_ shard: ShardID, _ index: LogIndex) {
    let slot = shards.obtain(shard)
    shards.logs[slot].noteHeld(index, segments: &segments)
    maybeFreeOldest()
  }

  private func handleShutdown(into effects: inout JournalEffects) {
    switch phase {
    case .open: phase = .closing
    case .opening: close(into: &effects)
    case .closing, .closed, .failed: break
    }
  }
}
