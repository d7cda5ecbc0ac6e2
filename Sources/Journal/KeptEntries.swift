import DequeModule
import Primitives
import Raft

/// What recovery keeps of a shard's entries after its checkpoint: the newest ones within a budget, and of all of them where
/// terms begin and what the members are. The others are loaded from the log when somebody needs them.
///
///     checkpoint | on disk only … … … | entries … last
///                | terms, configurations of both      |
struct KeptEntries {
  /// The last ones, contiguous.
  private(set) var entries: Deque<Entry> = []
  private(set) var terms: [TermStart] = []
  private(set) var configurations: [Entry] = []
  private var bytes = 0

  var isEmpty: Bool { terms.isEmpty }
  var lastTerm: Term { terms.last?.term ?? .zero }

  /// Forgets everything from `index` on.
  mutating func cut(from index: LogIndex) {
    while let last = entries.last, last.index >= index {
      bytes -= last.cost
      entries.removeLast()
    }
    while let last = terms.last, last.index >= index { terms.removeLast() }
    while let last = configurations.last, last.index >= index { configurations.removeLast() }
  }

  /// Adds the entry behind the last one.
  mutating func append(_ entry: Entry, bytesMax: Int) {
    if entry.term > lastTerm || isEmpty { terms.append(TermStart(index: entry.index, term: entry.term)) }
    if entry.kind == .configuration { configurations.append(entry) }
    entries.append(entry)
    bytes += entry.cost
    while bytes > bytesMax, let oldest = entries.popFirst() { bytes -= oldest.cost }
  }
}
