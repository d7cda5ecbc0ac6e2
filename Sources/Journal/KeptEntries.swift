import DequeModule
import Primitives
import Raft

/// What recovery keeps of a shard's entries after its checkpoint: the newest ones within a budget, and of all of them where
/// terms begin and what the members are. The others are loaded from the log when somebody needs them.
///
///     checkpoint | taken … … | on disk only … … … | entries … last
///                | terms, configurations of all            |
///
/// Entries that are known to be committed may be taken while those behind them are still being read.
struct KeptEntries {
  /// The last ones, contiguous, without those that were taken.
  private(set) var entries: Deque<Entry> = []
  private(set) var terms: [TermStart] = []
  private(set) var configurations: [Entry] = []
  /// The last one that was taken; the checkpoint's at first.
  private(set) var taken: LogIndex
  private let applied: LogIndex
  private var last: LogIndex
  private var bytes = 0
  /// A block said that this entry is committed.
  private var committed = TermStart(index: .zero, term: .zero)

  /// After a checkpoint that holds `applied`.
  init(applied: LogIndex) {
    self.applied = applied
    (taken, last) = (applied, applied)
  }

  var isEmpty: Bool { terms.isEmpty }
  var lastTerm: Term { terms.last?.term ?? .zero }

  /// Forgets everything from `index` on. False when some of it was taken: nothing that is committed is ever replaced.
  mutating func cut(from index: LogIndex) -> Bool {
    guard index > taken || taken == applied else { return false }
    while let last = entries.last, last.index >= index {
      bytes -= last.cost
      entries.removeLast()
    }
    while let last = terms.last, last.index >= index { terms.removeLast() }
    while let last = configurations.last, last.index >= index { configurations.removeLast() }
    last = min(last, index.previous)
    return true
  }

  /// Adds the entry behind the last one.
  mutating func append(_ entry: Entry, bytesMax: Int) {
    if entry.term > lastTerm || isEmpty { terms.append(TermStart(index: entry.index, term: entry.term)) }
    if entry.kind == .configuration { configurations.append(entry) }
    last = entry.index
    entries.append(entry)
    bytes += entry.cost
    while bytes > bytesMax, let oldest = entries.popFirst() { bytes -= oldest.cost }
  }

  mutating func noteCommitted(_ index: LogIndex, _ term: Term) {
    if index > committed.index { committed = TermStart(index: index, term: term) }
  }

  /// The next entry to be taken, if it is here and known to be committed. An entry of the right index and another term is one that
  /// a later block replaces.
  var nextCommitted: Entry? {
    guard let first = entries.first, first.index == taken.next, committed.index <= last,
      first.index <= committed.index, term(at: committed.index) == committed.term
    else { return nil }
    return first
  }

  mutating func takeNext() {
    guard let first = entries.popFirst() else { preconditionFailure("the next entry is here") }
    bytes -= first.cost
    taken = first.index
  }

  /// The term of an entry after the checkpoint, of which terms are known.
  func term(at index: LogIndex) -> Term? { terms.last { $0.index <= index }?.term }
}
