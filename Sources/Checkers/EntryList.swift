// The two small structures under the linearizability search.

/// Calls and answers in the order of time, doubly linked, so that an operation is taken out and put back in O(1).
/// Entry `2 i` is the call of operation i, `2 i + 1` its answer; the end is one entry more.
struct EntryList {
  private var following: [Int]
  private var preceding: [Int]
  /// The entry behind the last.
  let end: Int

  /// At equal times calls stand before answers: such operations are concurrent.
  init(_ times: [(invoked: UInt64, returned: UInt64)]) {
    end = times.count * 2
    let entries = (0..<end).sorted { a, b in
      let (timeA, timeB) = (time(of: a, times), time(of: b, times))
      return (timeA, a & 1, a) < (timeB, b & 1, b)
    }
    following = [Int](repeating: 0, count: end + 1)
    preceding = following
    var last = end
    for entry in entries {
      following[last] = entry
      preceding[entry] = last
      last = entry
    }
    following[last] = end
    preceding[end] = last
  }

  var first: Int { following[end] }
  func next(_ entry: Int) -> Int { following[entry] }
  func isCall(_ entry: Int) -> Bool { entry != end && entry & 1 == 0 }
  func isEnd(_ entry: Int) -> Bool { entry == end }

  mutating func lift(_ operation: Int) {
    unlink(operation * 2)
    unlink(operation * 2 + 1)
  }

  /// Puts back the operation lifted last of those that are out.
  mutating func unlift(_ operation: Int) {
    link(operation * 2 + 1)
    link(operation * 2)
  }

  private mutating func unlink(_ entry: Int) {
    following[preceding[entry]] = following[entry]
    preceding[following[entry]] = preceding[entry]
  }

  private mutating func link(_ entry: Int) {
    following[preceding[entry]] = entry
    preceding[following[entry]] = entry
  }
}

private func time(of entry: Int, _ times: [(invoked: UInt64, returned: UInt64)]) -> UInt64 {
  entry & 1 == 0 ? times[entry / 2].invoked : times[entry / 2].returned
}

/// A set of small numbers.
struct BitSet: Hashable {
  private var words: [UInt64]
  /// How many words of all ones stand before `words` (only in a trimmed copy).
  private var fullWords = 0

  init(count: Int) { words = [UInt64](repeating: 0, count: (count + 63) / 64) }

  mutating func insert(_ member: Int) { words[member >> 6] |= 1 << UInt64(member & 63) }
  mutating func remove(_ member: Int) { words[member >> 6] &= ~(1 << UInt64(member & 63)) }

  /// The same set without its full beginning and its empty end: short where operations are taken roughly in order. Only
  /// for comparing with other trimmed copies.
  var trimmed: BitSet {
    var copy = self
    let full = words.prefix { $0 == .max }.count
    let used = (words.lastIndex { $0 != 0 } ?? -1) + 1
    copy.words = full < used ? Array(words[full..<used]) : []
    copy.fullWords = full
    return copy
  }
}
