// One replica's log as it is in memory, and what is known about its durability.
//
//     1 … floor | floor+1 … … … … … … … … … … lastIndex
//     on disk   |  in memory
//     only      |      ▲ applied   ▲ commit        ▲ durable may stand anywhere above the floor
//
// After a start with a long log applied and commit may stand below the floor: what recovery did not keep in memory, whoever
// needs it reads from the journal. Terms are known from the applied index on in any case.
//
// An entry is durable when the *last* order that covered it has been persisted: an entry that was overwritten and came
// back under a later term is not made durable by the order that wrote it first.

import DequeModule
import Primitives

struct RaftLog: Sendable {
  /// An order that is not persisted yet, and through where it covers the log as it is now.
  private struct Unpersisted: Sendable {
    var id: PersistID
    var through: LogIndex
  }

  private var entries: Deque<Entry> = []
  /// The last index that is not in memory.
  private(set) var floor: LogIndex
  /// Where it stood at the start: only below may it be above the applied index.
  let floorAtStart: LogIndex
  private(set) var terms: TermRuns
  private(set) var commitIndex: LogIndex
  private(set) var appliedIndex: LogIndex
  private(set) var durableIndex: LogIndex
  private var unpersisted: Deque<Unpersisted> = []
  /// The cost of all entries in memory, and of those of them above `appliedIndex`.
  private(set) var cachedBytes = 0
  private(set) var unappliedBytes = 0

  /// A recovered log: everything is durable, the last entries are in memory. Terms are told from `appliedIndex` on; through
  /// `committedIndex`, at or above it, entries are committed and applied.
  init(
    appliedIndex: LogIndex, appliedTerm: Term, committedIndex: LogIndex? = nil, lastIndex: LogIndex,
    terms starts: [TermStart], entries recovered: [Entry]
  ) {
    let committedIndex = committedIndex ?? appliedIndex
    floor = LogIndex(lastIndex.rawValue - UInt64(recovered.count))
    floorAtStart = floor
    precondition(committedIndex >= appliedIndex && floor >= committedIndex, "what is applied was not recovered")
    terms = TermRuns(index: appliedIndex, term: appliedTerm)
    for (start, end) in zip(starts, starts.dropFirst().map(\.index.previous) + [lastIndex]) {
      terms.append(start.index, start.term, through: min(end, floor))
    }
    commitIndex = committedIndex
    self.appliedIndex = committedIndex
    durableIndex = lastIndex
    for entry in recovered { push(entry) }
  }

  var lastIndex: LogIndex { floor + UInt64(entries.count) }
  var lastTerm: Term { terms.lastTerm }

  func term(at index: LogIndex) -> Term? { terms[index] }

  /// The entry at an index that is in memory.
  subscript(index: LogIndex) -> Entry {
    precondition(index > floor && index <= lastIndex, "an entry in memory")
    return entries[offset(of: index)]
  }

  /// The entries `from` ... `through`, all in memory.
  func entries(from: LogIndex, through: LogIndex) -> [Entry] {
    guard from <= through else { return [] }
    precondition(from > floor && through <= lastIndex, "entries in memory")
    return Array(entries[offset(of: from)...offset(of: through)])
  }

  /// The same, appended to a list.
  func appendEntries(from: LogIndex, through: LogIndex, to list: inout [Entry]) {
    guard from <= through else { return }
    precondition(from > floor && through <= lastIndex, "entries in memory")
    for position in offset(of: from)...offset(of: through) { list.append(entries[position]) }
  }

  /// As many entries from `from` on as cost at most `bytesMax`, at least one if there is one.
  func entries(from: LogIndex, bytesMax: Int) -> [Entry] {
    guard from <= lastIndex else { return [] }
    precondition(from > floor, "entries in memory")
    let start = offset(of: from)
    var end = start + 1
    var bytes = entries[start].cost
    while end < entries.count, bytes + entries[end].cost <= bytesMax {
      bytes += entries[end].cost
      end += 1
    }
    return Array(entries[start..<end])
  }

  /// A log that ends with `(index, term)` is at least as up to date as this one (Raft, section 5.4.1).
  func isUpToDate(_ index: LogIndex, _ term: Term) -> Bool { (term, index) >= (lastTerm, lastIndex) }

  private func offset(of index: LogIndex) -> Int { Int(index.rawValue - floor.rawValue - 1) }
}

// MARK: Changes

extension RaftLog {
  /// Appends entries that `order` will make durable, cutting off what stood there before.
  mutating func append(_ new: ArraySlice<Entry>, order: PersistID) {
    guard let first = new.first else { return }
    precondition(first.index > commitIndex, "a committed entry is never overwritten")
    if first.index <= lastIndex { truncate(from: first.index) }
    for entry in new { push(entry) }
    if unpersisted.last?.id == order { unpersisted.removeLast() }
    unpersisted.append(Unpersisted(id: order, through: lastIndex))
  }

  private mutating func push(_ entry: Entry) {
    precondition(entry.index == lastIndex.next, "a log without gaps")
    terms.append(entry.index, entry.term)
    entries.append(entry)
    cachedBytes += entry.cost
    unappliedBytes += entry.cost
  }

  private mutating func truncate(from index: LogIndex) {
    while lastIndex >= index, let entry = entries.popLast() {
      cachedBytes -= entry.cost
      unappliedBytes -= entry.cost
    }
    floor = min(floor, index.previous)
    terms.truncate(from: index)
    durableIndex = min(durableIndex, index.previous)
    for i in unpersisted.indices { unpersisted[i].through = min(unpersisted[i].through, index.previous) }
  }

  /// All orders up to `id` are durable.
  mutating func persisted(through id: PersistID) {
    while let order = unpersisted.first, order.id <= id {
      durableIndex = max(durableIndex, order.through)
      unpersisted.removeFirst()
    }
  }

  mutating func commit(through index: LogIndex) {
    precondition(index >= commitIndex && index <= lastIndex, "commit moves forward inside the log")
    commitIndex = index
  }

  mutating func applied(through index: LogIndex) {
    precondition(index <= commitIndex, "only committed entries are applied")
    while appliedIndex < index {
      appliedIndex = appliedIndex.next
      if appliedIndex > floor { unappliedBytes -= self[appliedIndex].cost }
    }
  }

  /// Drops entries that are applied and durable from memory, oldest first, until the rest is within the budget.
  mutating func evict(cacheBytesMax: Int) {
    let limit = min(appliedIndex, durableIndex)
    while cachedBytes > cacheBytesMax, floor < limit, let entry = entries.popFirst() {
      cachedBytes -= entry.cost
      floor = floor.next
    }
  }

  /// Forgets terms that no follower will be asked for: everybody has the log through `heldByAll`.
  mutating func forgetTerms(heldByAll: LogIndex, runsMax: Int) {
    let limit = min(floor, appliedIndex)
    terms.trim(before: min(heldByAll, limit), runsMax: runsMax, limit: limit)
  }

  /// Walks the whole log: contiguous, terms as recorded, costs as counted.
  func checkEntries() {
    var (cached, unapplied) = (0, 0)
    for (i, entry) in entries.enumerated() {
      precondition(entry.index == floor + UInt64(i) + 1, "a log without gaps")
      precondition(terms[entry.index] == entry.term, "the recorded term is the entry's")
      cached += entry.cost
      if entry.index > appliedIndex { unapplied += entry.cost }
    }
    precondition(cached == cachedBytes && unapplied == unappliedBytes, "costs are counted exactly")
  }
}
