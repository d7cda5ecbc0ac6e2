import Primitives
import Raft
import Store
import Tables

// Committed entries, applied in order, command by command, a turn's share at a time.

/// What the next command waits for.
enum ApplyStall: Equatable {
  /// Frames: a checkpoint gives some back.
  case memory
  /// Pages: two checkpoints free those that the superblocks hold, or the file grows.
  case room
}

extension Node {
  /// What a command counts for beside its bytes, in bytes: a row of 1 KiB takes about twice the time of one of 100 bytes.
  private static let commandCost = 1 << 10

  /// This turn has applied its share; the next one goes on with a `.tick`.
  package var hasMoreToApply: Bool {
    if replica.committed.isEmpty, replica.backlog.isEmpty { return false }
    return canApply && replica.nextCommitted != nil
  }

  private var canApply: Bool { fault == nil && !isClosing && pages.apply == nil && applyStall == nil }

  /// Applies what is committed until a page is missing or the turn's share is used up. Each command is applied whole.
  func applyCommitted() {
    guard canApply else { return }
    var appliedAny = false
    while applyRoom > 0, fault == nil, let entry = replica.nextCommitted {
      precondition(entry.index == replica.appliedIndex.next, "entries are applied in order, each once")
      guard applyEntry(entry) else { break }
      replica.removeNextCommitted()
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
      replica.lookahead.begin(cursor)
      return try entry.payload.withBytes { raw throws(DecodeError) in try apply(entry, raw, &cursor) }
    } catch {
      fail("the entry at \(entry.index) cannot be read: \(error.message)")
      return false
    }
  }

  /// Its commands from `cursor` on; `raw` is the entry's payload.
  private func apply(
    _ entry: Entry, _ raw: UnsafeRawBufferPointer, _ cursor: inout EntryCursor
  ) throws(DecodeError) -> Bool {
    let (machine, lookahead, shard, store) = (replica.machine, replica.lookahead, replica.shard, store)
    while !cursor.isAtEnd {
      let range = try cursor.command(raw)
      let ahead = try lookahead.look(from: cursor.ordinal, shard, store)
      let version = Timestamp(index: entry.index, ordinal: cursor.ordinal)
      let outcome: Tables.Reply
      do throws(PrepareFailure) {
        outcome = try machine.apply(
          UnsafeRawBufferPointer(rebasing: raw[range]), version: version, store: store, ahead: ahead)
        checkpoint.countForRoom = 0
      } catch {
        waitToApply(error)
        replica.cursor = cursor
        if pages.apply != nil { loadAhead(entry, cursor) }
        return false
      }
      count(outcome)
      applyRoom -= range.count + Self.commandCost
      if !replica.appended.isEmpty { answerApplied(entry, cursor.ordinal, outcome) }
      cursor.advance(over: range)
      if applyRoom <= 0, !cursor.isAtEnd {
        replica.cursor = cursor
        return false
      }
    }
    return true
  }

  /// What the node itself proposes is no client's command.
  private func count(_ outcome: Tables.Reply) {
    switch outcome {
    case .advanced, .purged: statistics.ownCommandsApplied += 1
    default: statistics.commandsApplied += 1
    }
  }

  private func startedCursor(_ entry: Entry) throws(DecodeError) -> EntryCursor {
    if let cursor = replica.cursor { return cursor }
    return try EntryCursor(entry.payload, skipping: replica.resumeOrdinal)
  }

  private func waitToApply(_ failure: PrepareFailure) {
    switch failure {
    case .missing(let missing):
      load(missing)
      pages.apply = missing.page
    case .outOfMemory: stallForMemory()
    case .diskFull: applyStall = .room
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
