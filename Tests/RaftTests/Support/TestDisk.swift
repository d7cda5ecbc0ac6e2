// A replica's disk as a test sees it: what is durable, and the orders that are not yet.

import Primitives

@testable import Raft

struct TestDisk {
  private(set) var hardState = HardState()
  /// All entries from index 1 on.
  private(set) var entries: [Entry] = []
  /// Orders given and not performed.
  private(set) var queue: [PersistOrder] = []

  var lastIndex: LogIndex { LogIndex(UInt64(entries.count)) }
  var lastTerm: Term { entries.last?.term ?? .zero }

  func entry(at index: LogIndex) -> Entry? {
    index > .zero && index <= lastIndex ? entries[Int(index.rawValue) - 1] : nil
  }

  func holds(_ index: LogIndex, _ term: Term) -> Bool { index == .zero || entry(at: index)?.term == term }

  mutating func accept(_ order: PersistOrder) { queue.append(order) }

  /// Performs all orders up to `id`.
  mutating func perform(through id: PersistID) {
    while let first = queue.first, first.id <= id {
      perform(first, entriesMax: .max)
      queue.removeFirst()
    }
  }

  /// Loses what was ordered, but `whole` orders and `part` of the entries of the next, which had just reached the disk.
  mutating func crash(keeping whole: Int = 0, part: Int? = nil) {
    for order in queue.prefix(whole) { perform(order, entriesMax: .max) }
    if let part, let next = queue.dropFirst(whole).first { perform(next, entriesMax: part) }
    queue = []
  }

  private mutating func perform(_ order: PersistOrder, entriesMax: Int) {
    if let hardState = order.hardState { self.hardState = hardState }
    for (i, entry) in order.entries.prefix(entriesMax).enumerated() {
      if i == 0 { entries.removeLast(entries.count - Int(entry.index.rawValue) + 1) }
      entries.append(entry)
    }
  }

  /// What recovery would find, with a checkpoint at `applied`.
  func restored(configuration: Configuration, applied: LogIndex, logStart: LogIndex) -> RestoredGroup {
    let inLog = entries.prefix(Int(applied.rawValue)).last { $0.kind == .configuration }
    let rest = Array(entries.dropFirst(Int(applied.rawValue)))
    return RestoredGroup(
      hardState: hardState, configuration: configuration, configurationIndex: inLog?.index ?? .zero,
      appliedIndex: applied, appliedTerm: entry(at: applied)?.term ?? .zero, logStart: logStart,
      lastIndex: applied + UInt64(rest.count), terms: rest.map { TermStart(index: $0.index, term: $0.term) },
      configurations: rest.filter { $0.kind == .configuration }, entries: rest)
  }

  /// The answer to a load order.
  func load(_ order: LoadOrder) -> [Entry] {
    var loaded: [Entry] = []
    var bytes = 0
    var index = order.from
    while index <= order.through, let entry = entry(at: index) {
      bytes += entry.cost
      if bytes > order.bytesMax, !loaded.isEmpty { break }
      loaded.append(entry)
      index = index.next
    }
    return loaded
  }
}

func member(_ n: Int) -> Member { Member(node: NodeID(UInt32(n)), incarnation: Incarnation(UInt64(0xA0 + n))) }
