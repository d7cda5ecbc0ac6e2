/// A batch that writes one value to every key of a group is seen whole or not at all.
///
/// - Parameters:
///   - group: the keys that are only ever written together, by batches that give all of them one distinct value (or
///     delete all).
///   - values: what one read that shows one moment (a page of a scan, a lookup within a shard) saw, in the order of
///     `group`; nil for no row.
package func checkBatchAtomicity(group: [String], values: [UInt64?]) -> Violation? {
  precondition(group.count == values.count, "a value for every key")
  guard let other = values.firstIndex(where: { $0 != values[0] }) else { return nil }
  return Violation(
    rule: "BatchAtomicity",
    detail: "one read saw \(shown(values[0])) at \"\(group[0])\" and \(shown(values[other])) at \"\(group[other])\"")
}

private func shown(_ value: UInt64?) -> String { value.map { "value \($0)" } ?? "no row" }
