/// Which records of a file are done, so that an import can go on after an interruption.
///
/// Writers finish in any order; what is recorded is the longest beginning of the file of which every record is done.
/// Records behind it are sent again, which does no harm: a row is put whole.
struct PrefixTracker {
  /// A place between two records.
  struct Place: Equatable, Codable {
    /// Offset of the next record.
    var offset: UInt64
    /// Number of its line.
    var line: Int
  }

  private struct Record {
    var behind: Place
    var isDone: Bool
  }

  /// Everything before it is done.
  private(set) var done: Place
  private var records: [Record] = []
  /// The number of `records[0]`.
  private var firstNumber = 0
  private var consumed = 0

  init(from start: Place = Place(offset: 0, line: 1)) { done = start }

  /// Records that were begun and that the prefix does not cover.
  var waiting: Int { records.count - consumed }

  /// A record was read; `behind` is the place behind it. Returns its number.
  mutating func begin(behind: Place) -> Int {
    records.append(Record(behind: behind, isDone: false))
    return firstNumber + records.count - 1
  }

  mutating func finish(_ number: Int) {
    let index = number - firstNumber
    precondition(index >= consumed && index < records.count && !records[index].isDone, "a record is done once")
    records[index].isDone = true
    while consumed < records.count, records[consumed].isDone {
      done = records[consumed].behind
      consumed += 1
    }
    if consumed > 4096 {
      records.removeSubrange(..<consumed)
      firstNumber += consumed
      consumed = 0
    }
  }
}
