// Terms of a log in the space of its changes of term: `(first index, term)` for each run of equal terms.
//
//     index    1  2  3  4  5  6  7          runs   (1, t1) (4, t2) (6, t5)
//     term     1  1  1  2  2  5  5
//
// So the term of an entry that left the memory long ago is known, and so are the two questions of fast back-off.

import Primitives

struct TermRuns: Equatable, Sendable {
  private struct Run: Equatable, Sendable {
    var first: LogIndex
    var term: Term
  }

  /// Never empty; first and term both strictly ascending, except that a truncated log may leave just the first.
  private var runs: [Run]
  /// The last index whose term is known.
  private(set) var lastIndex: LogIndex

  /// A log that is known from `index` on.
  init(index: LogIndex, term: Term) {
    runs = [Run(first: index, term: term)]
    lastIndex = index
  }

  /// The oldest index whose term is known.
  var firstIndex: LogIndex { runs[0].first }
  var lastTerm: Term { runs[runs.count - 1].term }
  var count: Int { runs.count }

  mutating func append(_ index: LogIndex, _ term: Term) { append(index, term, through: index) }

  /// The entries `index` … `last`; none if that is before.
  mutating func append(_ index: LogIndex, _ term: Term, through last: LogIndex) {
    guard last >= index else { return }
    precondition(index == lastIndex.next, "terms are appended without a gap")
    precondition(term >= lastTerm, "terms never fall along a log")
    if term > lastTerm { runs.append(Run(first: index, term: term)) }
    lastIndex = last
  }

  /// Forgets `index` and all after it.
  mutating func truncate(from index: LogIndex) {
    precondition(index > firstIndex, "the start of the known terms stays")
    while let last = runs.last, last.first >= index { runs.removeLast() }
    lastIndex = index.previous
  }

  /// Forgets what is before `index`, and the oldest runs beyond `runsMax` if they end before `limit`.
  mutating func trim(before index: LogIndex, runsMax: Int, limit: LogIndex) {
    while runs.count > 1, runs[1].first <= index || (runs.count > runsMax && runs[1].first <= limit) {
      runs.removeFirst()
    }
  }

  /// The term at `index`; nil when it is not known. Before the log stands term zero.
  subscript(index: LogIndex) -> Term? {
    if index == .zero { return .zero }
    guard index >= firstIndex, index <= lastIndex else { return nil }
    return runs[position(of: index)].term
  }

  /// The last index at or before `index` with a term of at most `term`; the index before the known ones if there is none.
  func lastIndex(atOrBefore index: LogIndex, termAtMost term: Term) -> LogIndex {
    guard index >= firstIndex else { return index }
    var end = min(index, lastIndex)
    var at = position(of: end)
    while runs[at].term > term {
      end = runs[at].first.previous
      guard at > 0 else { return end }
      at -= 1
    }
    return end
  }

  private func position(of index: LogIndex) -> Int {
    var (low, high) = (0, runs.count - 1)
    while low < high {
      let middle = (low + high + 1) / 2
      if runs[middle].first <= index { low = middle } else { high = middle - 1 }
    }
    return low
  }
}
