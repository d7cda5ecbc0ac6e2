import Primitives

extension Report {
  /// What was found when everything had been read back.
  func add(_ examination: Examination, scenario: String) {
    let found = examination
    add("\(scenario)/acknowledged", Double(found.acknowledged), "rows", .atLeast(1))
    add("\(scenario)/not-executed", Double(found.notExecuted), "rows")
    add("\(scenario)/unknown", Double(found.unknown), "rows")
    add("\(scenario)/lost", Double(found.lost), "rows", .atMost(0))
    add("\(scenario)/replicas-equal-after", found.equalAfter?.seconds ?? -1, "s", .atLeast(0))
    add("\(scenario)/shared-operations", Double(found.hotOperations), "operations", .atLeast(1))
    tell(
      "\(scenario): \(found.acknowledged) rows acknowledged, \(found.lost) of them lost; \(found.notExecuted) refused; "
        + "\(found.unknown) unknown, of which \(found.unknownFound) are there; \(found.hotOperations) operations on "
        + "\(found.hotKeys) shared keys checked; \(found.comparisons) pairs of replicas compared")
    add(found.violations)
  }

  /// Why some writes were not acknowledged, by kind.
  func tellTroubles(_ log: Log) {
    for (text, count) in log.troubles.sorted(by: { $0.value > $1.value }).prefix(8) { tell("  \(count) × \(text)") }
  }

  /// Flushes that the device finished while the load ran. A client that waits for each of its writes needs one flush at
  /// least for each, however many clients share it.
  func addFlushes(_ counter: FlushCounter?, before: UInt64?, log: Log, scenario: String) {
    var largest = 0
    var counts: [UInt64: Int] = [:]
    for row in log.rows {
      guard case .acknowledged = row.outcome else { continue }
      counts[row.value >> 40, default: 0] += 1
      largest = max(largest, counts[row.value >> 40] ?? 0)
    }
    guard let before, let after = counter?.read() else {
      return fail("the directory stands on no disk with a flush counter: set TMPDIR to one that does")
    }
    add("\(scenario)/flushes", Double(after - before), "flushes", .atLeast(Double(largest)))
  }
}
