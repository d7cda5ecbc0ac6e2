import BudgetMeter

/// One path of the product's code, prepared so that it can be run again and again.
protocol HotPath: AnyObject {
  /// How many of its units one operation does: the commands of an entry, the rows of a page.
  var units: Int { get }

  /// One operation: what is the product's work goes through `count`, what surrounds it does not. Traps when the outcome is
  /// not the expected one, so that no refusal is measured for a result.
  func operate(_ count: Meter)
}

/// Where work is counted, or only done.
struct Meter {
  let isCounting: Bool

  func callAsFunction(_ work: () -> Void) {
    guard isCounting else { return work() }
    withoutActuallyEscaping(work) { work in
      var work = work
      withUnsafeMutablePointer(to: &work) { place in
        fs_budget_counted({ $0?.assumingMemoryBound(to: (() -> Void).self).pointee() }, place)
      }
    }
  }
}

/// A path by its name on the command line and in budgets.json.
struct PathEntry {
  let name: String
  /// What a figure is for one of.
  let unit: String
  let warmUp: Int
  let operations: Int
  let make: () -> any HotPath

  static var all: [PathEntry] {
    [
      PathEntry(name: "get", unit: "request", warmUp: 200, operations: 1000) { GetPath(atOnce: 1, isSecure: false) },
      PathEntry(name: "get-16", unit: "request", warmUp: 50, operations: 100) { GetPath(atOnce: 16, isSecure: false) },
      PathEntry(name: "get-tls", unit: "request", warmUp: 200, operations: 1000) { GetPath(atOnce: 1, isSecure: true) },
      PathEntry(name: "put-1", unit: "command", warmUp: 200, operations: 1000) { PutPath(atOnce: 1) },
      PathEntry(name: "put-64", unit: "command", warmUp: 20, operations: 40) { PutPath(atOnce: 64) },
      PathEntry(name: "follower-1", unit: "command", warmUp: 200, operations: 1000) { FollowerPath(atOnce: 1) },
      PathEntry(name: "follower-64", unit: "command", warmUp: 20, operations: 40) { FollowerPath(atOnce: 64) },
      PathEntry(name: "scan-row", unit: "row", warmUp: 20, operations: 100) { ScanPath() },
      PathEntry(name: "batch-row", unit: "row", warmUp: 20, operations: 100) { BatchPath() },
      PathEntry(name: "journal-record", unit: "record", warmUp: 50, operations: 200) { JournalPath() },
      PathEntry(name: "store-insert", unit: "row", warmUp: 500, operations: 4000) { StoreInsertPath() },
      PathEntry(name: "store-read", unit: "row", warmUp: 500, operations: 4000) { StoreReadPath() },
      PathEntry(name: "store-scan", unit: "row", warmUp: 10, operations: 500) { StoreScanPath() },
      PathEntry(name: "peer-encode", unit: "message", warmUp: 50, operations: 2000) { EncodePath() },
      PathEntry(name: "peer-decode", unit: "message", warmUp: 50, operations: 2000) { DecodePath() },
    ]
  }
}

/// What cannot fail here; a failure ends the program with its words.
func certainly<T, Failure: Error>(_ what: String, _ body: () throws(Failure) -> T) -> T {
  do throws(Failure) { return try body() } catch { fatalError("\(what): \(error)") }
}

/// Ends the program with the words when something is not as expected. (What a precondition says is not kept in release.)
func expect(_ condition: Bool, _ words: @autoclosure () -> String) {
  if !condition { fatalError(words()) }
}
