import Journal
import Primitives
import Raft

/// 64 entries of 100 bytes, each an order of its own, in one block: from the orders to the block, and from its durable
/// write to the last order's confirmation.
final class JournalPath: HotPath {
  let units = 64
  private static let shard = ShardID(1)
  private static let now = Instant(nanoseconds: 1_000_000_000)
  private var journal: Journal
  private var effects = JournalEffects()
  private var appended: PersistID = 0

  init() {
    let identity = JournalIdentity(directory: 1, lane: LaneID(0), boot: 1)
    let recovered = certainly("a journal begins") { () throws(JournalRefusal) in
      try recoverJournal(NoFiles(), identity: identity, checkpoints: [])
    }
    journal = Journal(recovered: recovered, identity: identity, settings: JournalSettings())
    while !journal.isOpen {
      journal.flush(at: JournalPath.now, into: &effects)
      for event in takeCompletions() { journal.step(event, at: JournalPath.now, into: &effects) }
    }
    effects.removeAll()
  }

  func operate(_ count: Meter) {
    let orders = (0..<units).map { _ in nextOrder() }
    count {
      for order in orders { journal.append(shard: JournalPath.shard, order: order) }
      journal.flush(at: JournalPath.now, into: &effects)
    }
    let completions = takeCompletions()
    count {
      for event in completions { journal.step(event, at: JournalPath.now, into: &effects) }
      journal.flush(at: JournalPath.now, into: &effects)
    }
    expect(effects.list.last == .persisted(JournalPath.shard, appended), "all are durable")
    effects.removeAll()
  }

  private func nextOrder() -> PersistOrder {
    appended += 1
    let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: appended), count: 100)
    let entry = Entry(index: LogIndex(appended), term: Term(1), kind: .command, payload: payload)
    return PersistOrder(id: appended, hardState: appended == 1 ? HardState(term: Term(1)) : nil, entries: [entry])
  }

  private func takeCompletions() -> [JournalEvent] {
    let completions = effects.list.compactMap { effect -> JournalEvent? in
      switch effect {
      case .write(let write): .written(write.id)
      case .prepare(let order): .segmentReady(file: order.file)
      default: nil
      }
    }
    effects.removeAll()
    return completions
  }
}

private final class NoFiles: JournalSource {
  var files: [JournalFile] { [] }
  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    fatalError("there is no file to read")
  }
}
