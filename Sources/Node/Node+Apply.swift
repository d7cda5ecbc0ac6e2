import Primitives
import Raft
import Store
import Tables

// Committed entries, applied in order, command by command.

extension Node {
  /// Applies what is committed until a page is missing. Each command is applied whole.
  func applyCommitted() {
    guard fault == nil, pages.apply == nil, !isApplyStalled else { return }
    var appliedAny = false
    while let entry = replica.committed.first, fault == nil {
      precondition(entry.index == replica.appliedIndex.next, "entries are applied in order, each once")
      guard applyEntry(entry) else { break }
      _ = replica.committed.popFirst()
      replica.cursor = nil
      replica.resumeOrdinal = 0
      replica.appliedIndex = entry.index
      replica.appliedTerm = entry.term
      replica.stateHash = replica.machine.totals.stateHash
      statistics.entriesApplied += 1
      dropAppended(through: entry)
      appliedAny = true
    }
    guard appliedAny else { return }
    stepRaft(.applied(replica.appliedIndex))
    runWaitingReads()
  }

  /// True when the whole entry is applied.
  private func applyEntry(_ entry: Entry) -> Bool {
    guard entry.kind == .command else { return true }
    do throws(DecodeError) {
      var cursor = try startedCursor(entry)
      while !cursor.isAtEnd {
        let range = try cursor.current()
        guard let outcome = applyCommand(entry, range, cursor.ordinal) else {
          replica.cursor = cursor
          return false
        }
        statistics.commandsApplied += 1
        answerApplied(entry, cursor.ordinal, outcome)
        try cursor.advance()
      }
      return true
    } catch {
      fail("the entry at \(entry.index) cannot be read: \(error.message)")
      return false
    }
  }

  private func startedCursor(_ entry: Entry) throws(DecodeError) -> EntryCursor {
    if let cursor = replica.cursor { return cursor }
    return try EntryCursor(entry.payload, skipping: replica.resumeOrdinal)
  }

  /// Nil when a page is missing (it was ordered) or the store has no room (a checkpoint makes some).
  private func applyCommand(_ entry: Entry, _ range: Range<Int>, _ ordinal: UInt32) -> Tables.Reply? {
    let version = Timestamp(index: entry.index, ordinal: ordinal)
    do throws(PrepareFailure) {
      return try entry.payload.withBytes { raw throws(PrepareFailure) in
        try replica.machine.apply(
          UnsafeRawBufferPointer(rebasing: raw[range]), version: version, store: store)
      }
    } catch {
      waitToApply(error)
      return nil
    }
  }

  private func waitToApply(_ failure: PrepareFailure) {
    switch failure {
    case .missing(let missing):
      load(missing)
      pages.apply = missing.page
    case .outOfMemory, .diskFull:
      isApplyStalled = true
    }
  }

  private func answerApplied(_ entry: Entry, _ ordinal: UInt32, _ outcome: Tables.Reply) {
    guard let appended = replica.appended.first, appended.index == entry.index, appended.term == entry.term else {
      return
    }
    guard let handle = appended.handles[Int(ordinal)] else { return ownApplied(outcome) }
    commandApplied(handle, outcome)
  }

  private func dropAppended(through entry: Entry) {
    while let first = replica.appended.first, first.index <= entry.index { _ = replica.appended.popFirst() }
  }
}
