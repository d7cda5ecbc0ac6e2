import Journal
import Primitives
import Raft
import Store
import Tables

// At a start, entries that the log itself calls committed are applied while what stands behind them is still being read: reading waits
// for the disk, applying for the processor. It is the same as what the loop would do with them later, and ends where it would have
// to wait there: when the dirty pages want a checkpoint, when there is no room, or when too many pages are not in memory, since
// the loop reads many of those at a time and this one at a time.

final class EarlyApply {
  /// Pages that are read here, one after the other.
  private static let loadsMax = 64

  private let machine: ShardMachine
  private let store: Store
  private let load: (PageMissing) -> Bool
  private let lookahead = Lookahead()
  private var loads = 0
  private(set) var appliedIndex: LogIndex
  private(set) var appliedTerm: Term
  /// Commands of the entry behind it that are applied too.
  private(set) var appliedOrdinal: UInt32

  /// `load` brings a page into memory; false when it cannot.
  init(_ machine: ShardMachine, _ store: Store, _ record: ReplicaRecord, load: @escaping (PageMissing) -> Bool) {
    self.machine = machine
    self.store = store
    self.load = load
    (appliedIndex, appliedTerm, appliedOrdinal) = (record.appliedIndex, record.appliedTerm, record.appliedOrdinal)
  }

  /// Applies the next entry. False when that is for later, with what follows; some of its commands may be applied.
  func take(_ entry: Entry) -> Bool {
    precondition(entry.index == appliedIndex.next, "entries are applied in order, each once")
    guard store.statistics.dirtyPages < store.dirtyPagesMax, entry.kind != .command || applyCommands(of: entry) else {
      return false
    }
    (appliedIndex, appliedTerm, appliedOrdinal) = (entry.index, entry.term, 0)
    return true
  }

  /// True when all of them are applied. An entry that cannot be read is left to the loop, which says so.
  private func applyCommands(of entry: Entry) -> Bool {
    do throws(DecodeError) {
      var cursor = try EntryCursor(entry.payload, skipping: appliedOrdinal)
      lookahead.begin(cursor)
      return try entry.payload.withBytes { raw throws(DecodeError) in
        while !cursor.isAtEnd {
          let range = try cursor.command(raw)
          let ahead = try lookahead.look(from: cursor.ordinal, machine.shard, store)
          let version = Timestamp(index: entry.index, ordinal: cursor.ordinal)
          guard apply(UnsafeRawBufferPointer(rebasing: raw[range]), version, ahead) else { return false }
          cursor.advance(over: range)
          appliedOrdinal = cursor.ordinal
        }
        return true
      }
    } catch { return false }
  }

  private func apply(_ command: UnsafeRawBufferPointer, _ version: Timestamp, _ ahead: LeafAhead) -> Bool {
    while true {
      do throws(PrepareFailure) {
        _ = try machine.apply(command, version: version, store: store, ahead: ahead)
        return true
      } catch {
        guard case .missing(let missing) = error, loads < Self.loadsMax, load(missing) else { return false }
        loads += 1
      }
    }
  }
}
