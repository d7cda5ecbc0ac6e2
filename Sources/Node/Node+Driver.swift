import Journal
import Primitives
import Raft
import Store
import Tables

// What the driver asks besides stepping: bytes to write, bytes that were read, facts for probes and metrics.

extension Node {
  /// The bytes of a log write: 4096-aligned, stable until its completion is told.
  package func bytes(of write: JournalWrite) -> UnsafeRawBufferPointer { journal.bytes(of: write) }

  /// The bytes of a page or superblock that a checkpoint ordered to be written; aligned and stable likewise.
  package func bytes(of page: PageID) -> UnsafeRawBufferPointer { store.bytes(of: page) }

  /// A log read has completed.
  package func logRead(
    _ id: ReadID, bytes: UnsafeRawBufferPointer, at time: Instant, into output: inout NodeEffects
  ) {
    now = max(now, time)
    swap(&effects, &output)
    defer { swap(&effects, &output) }
    guard fault == nil else { return }
    journal.completeRead(id, bytes: bytes, into: &journalEffects)
    takeJournalResults()
  }

  /// Whether a token or certificate was revoked, as far as this node has applied the log.
  package func isRevoked(_ kind: Revocation.Kind, serial: String) -> Bool {
    let catalog = replica.machine.catalog
    return !catalog.revoked.isEmpty && catalog.isRevoked(Revocation(kind, spelled: serial))
  }

  /// Rises with every change of tables or revocations: what was derived from them may be kept until it does.
  package var catalogGeneration: UInt64 { replica.machine.catalog.generation }

  package var leader: NodeID? { replica.raft.leader?.node }
  package var isLeader: Bool { replica.isLeader }
  package var waitingRequests: Int { requests.count }
  /// The newest checkpoint and log block that are durable.
  package var durableEpoch: Epoch { store.durableEpoch }
  package var durableSequence: UInt64 { journal.watermark }
  /// This start, once its start block is durable. To be made durable in `Boots` before anything is taken from anybody.
  package var openedStart: OpenedStart? { journal.openedStart }
  package var journalStatistics: JournalStatistics { journal.statistics }
  package var storeStatistics: StoreStatistics { store.statistics }
  package var storeRoom: StoreRoom { store.room }
  /// How near the memory of pages is to the processor that asks.
  package var frameNearness: (near: Int, resident: Int) { store.limits.memory.nearness() }

  /// Rot would not lose the page: a tree leads to it, and it is in memory as it is on the disk.
  package func isCleanInMemory(_ page: PageID) -> Bool { store.isCleanInMemory(page) }
  /// For observers of the simulation.
  package var raft: RaftGroup { replica.raft }
  package var appliedIndex: LogIndex { replica.appliedIndex }
  /// Of the state at exactly `appliedIndex`; nil while it is not known.
  package var stateHash: UInt64? { replica.stateHash }
  /// The state is exactly that of `appliedIndex`.
  package var isBetweenEntries: Bool { replica.cursor == nil && replica.resumeOrdinal == 0 }
  package var totals: ShardTotals { replica.machine.totals }
}
