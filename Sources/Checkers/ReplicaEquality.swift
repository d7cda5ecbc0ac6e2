import Primitives

/// Replicas that applied the same log up to the same index hold the same state.
///
/// Fed with (shard, applied index, hash) whenever a replica reports one, in any order, it compares each report with the
/// first one at that position. It remembers the last `limit` positions.
package struct ReplicaEquality: Sendable {
  private struct Position: Hashable, Sendable {
    let shard: ShardID
    let applied: LogIndex
  }

  private struct Report: Sendable {
    let node: NodeID
    let hash: UInt64
  }

  private let limit: Int
  private var reports: [Position: Report] = [:]
  /// The positions held, oldest at `oldest`, as a ring once it is full.
  private var order: [Position] = []
  private var oldest = 0
  /// How many reports were compared with one of another node: a test that compared nothing has shown nothing.
  package private(set) var comparisons = 0

  package init(limit: Int = 100_000) {
    precondition(limit > 0, "room for one position at least")
    self.limit = limit
  }

  package mutating func observe(
    node: NodeID, shard: ShardID, applied: LogIndex, stateHash: UInt64
  ) -> Violation? {
    let position = Position(shard: shard, applied: applied)
    guard let first = reports[position] else {
      remember(position, Report(node: node, hash: stateHash))
      return nil
    }
    if first.node != node { comparisons += 1 }
    guard first.hash != stateHash else { return nil }
    return Violation(
      rule: "ReplicaEquality",
      detail: "shard \(shard) at \(applied): \(first.node) has state hash \(hex(first.hash)), \(node) \(hex(stateHash))"
    )
  }

  private mutating func remember(_ position: Position, _ report: Report) {
    reports[position] = report
    if order.count < limit { return order.append(position) }
    reports[order[oldest]] = nil
    order[oldest] = position
    oldest = (oldest + 1) % limit
  }

  private func hex(_ hash: UInt64) -> String { String(hash, radix: 16) }
}
