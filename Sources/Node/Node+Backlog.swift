import DequeModule
import Journal
import Primitives
import Raft

/// Entries that the start left on disk, on their way back to be applied once they are committed: a few reads at a time, used in
/// the order of the log, whichever ends first.
struct Backlog {
  private struct Part {
    let order: LoadOrder
    let last: LogIndex
    /// Empty until they have come.
    var entries: Deque<Entry> = []
  }

  static let partsMax = 4
  /// Raft numbers its own orders from one.
  private static let firstID = UInt64(1) << 63

  private var parts: Deque<Part> = []
  private var nextID = firstID

  static func isOrder(_ order: LoadOrder) -> Bool { order.id >= firstID }

  var isEmpty: Bool { parts.isEmpty }
  var hasRoom: Bool { parts.count < Self.partsMax }
  /// Through here it was ordered.
  var last: LogIndex? { parts.last?.last }
  var first: Entry? { parts.first?.entries.first }

  subscript(index: LogIndex) -> Entry? {
    for part in parts {
      guard let first = part.entries.first?.index, index >= first, index <= part.last else { continue }
      return part.entries[Int(index.rawValue - first.rawValue)]
    }
    return nil
  }

  mutating func order(_ shard: ShardID, from: LogIndex, through: LogIndex, bytesMax: Int) -> LoadOrder {
    defer { nextID += 1 }
    return LoadOrder(shard: shard, id: nextID, from: from, through: through, bytesMax: bytesMax)
  }

  mutating func ordered(_ order: LoadOrder, through last: LogIndex) { parts.append(Part(order: order, last: last)) }

  /// False when the entries are for somebody else.
  mutating func take(_ entries: [Entry], _ order: LoadOrder) -> Bool {
    guard Self.isOrder(order), let position = parts.firstIndex(where: { $0.order == order }) else { return false }
    precondition(entries.last?.index == parts[position].last, "the log holds what it said it would")
    parts[position].entries = Deque(entries)
    return true
  }

  mutating func removeFirst() {
    parts[0].entries.removeFirst()
    if parts[0].entries.isEmpty { parts.removeFirst() }
  }
}

extension Node {
  /// Orders the next committed entries that are not in memory, as many reads as may be under way.
  func readBacklog() {
    let end = min(replica.raft.commitIndex, replica.raft.cacheFloor)
    while fault == nil, replica.backlog.hasRoom {
      let from = (replica.backlog.last ?? replica.appliedIndex).next
      guard from <= end else { return }
      let order = replica.backlog.order(
        replica.shard, from: from, through: end, bytesMax: settings.limits.backlogReadBytes)
      guard let last = journal.load(order, into: &journalEffects) else { return }
      replica.backlog.ordered(order, through: last)
    }
  }
}
