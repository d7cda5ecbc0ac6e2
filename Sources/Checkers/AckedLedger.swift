import Primitives

/// What was acknowledged, to be found again at the end.
///
/// For each key the newest acknowledged write is kept (versions give the order). At the end the row has to have that
/// version and value, or a newer version: then some later write, acknowledged or not, replaced it. It is much weaker than
/// linearizability, and cheap: one entry a key, whatever the number of operations.
///
/// A key that any delete may have touched may be absent; the ledger then only checks what is there.
package struct AckedLedger: Sendable {
  /// A row as it was acknowledged, or as it was read at the end.
  package struct Row: Equatable, Sendable {
    package var value: UInt64
    package var version: Timestamp

    package init(value: UInt64, version: Timestamp) {
      self.value = value
      self.version = version
    }
  }

  private struct Entry: Sendable {
    let key: String
    var newest: Row?
    var mayBeAbsent = false
  }

  private var places: [String: Int] = [:]
  private var entries: [Entry] = []
  /// How many writes were acknowledged.
  package private(set) var acknowledged = 0

  package init() {}

  /// The keys that were acknowledged or deleted, in the order of their first appearance.
  package var keys: [String] { entries.map(\.key) }

  /// A write of `row` was acknowledged. In any order. Returns a violation if another value was acknowledged at the same
  /// version.
  package mutating func acknowledge(_ key: String, _ row: Row) -> Violation? {
    acknowledged += 1
    let place = place(of: key)
    guard let newest = entries[place].newest, newest.version >= row.version else {
      entries[place].newest = row
      return nil
    }
    if newest.version > row.version || newest == row { return nil }
    return Violation(
      rule: "OneValuePerVersion",
      detail: "key \"\(key)\", version \(row.version): acknowledged with value \(newest.value) and value \(row.value)")
  }

  /// A delete of `key` was sent and is not known to have failed: from now on it may be absent.
  package mutating func mayDelete(_ key: String) { entries[place(of: key)].mayBeAbsent = true }

  /// Compares `key` with what was read of it after all was over (nil: no row).
  package func check(_ key: String, found row: Row?) -> Violation? {
    guard let place = places[key], let newest = entries[place].newest else { return nil }
    guard let row else {
      return entries[place].mayBeAbsent ? nil : lost(key, newest, "there is no row")
    }
    if row.version < newest.version {
      return lost(key, newest, "the row has value \(row.value) at the older version \(row.version)")
    }
    if row.version == newest.version, row.value != newest.value {
      return lost(key, newest, "the row has value \(row.value) at that version")
    }
    return nil
  }

  /// Checks every key; `read` gives the row at the end. At most `limit` violations.
  package func checkAll(limit: Int = 20, read: (String) -> Row?) -> [Violation] {
    var violations: [Violation] = []
    for entry in entries where violations.count < limit {
      if let violation = check(entry.key, found: read(entry.key)) { violations.append(violation) }
    }
    return violations
  }

  private func lost(_ key: String, _ newest: Row, _ seen: String) -> Violation {
    Violation(
      rule: "AckedIsDurable",
      detail: "key \"\(key)\": value \(newest.value) was acknowledged at version \(newest.version), but \(seen)")
  }

  private mutating func place(of key: String) -> Int {
    if let place = places[key] { return place }
    places[key] = entries.count
    entries.append(Entry(key: key))
    return entries.count - 1
  }
}
