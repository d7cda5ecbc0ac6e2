import Primitives
import Store

/// The tables of a shard, in memory: what the system tables say, ready for use. A value; `ShardMachine` keeps it up to
/// date as it applies commands, others copy it.
package struct Catalog: Sendable {
  /// Live tables with the system tables, sorted by id.
  private var byID: [Table]
  /// The same, sorted by name.
  private var byName: [Table]
  /// Tables without a name whose rows are still to be removed, sorted.
  package private(set) var dropped: [TableID] = []
  /// Sorted.
  package private(set) var revoked: [Revocation] = []
  /// The id that the next table will get.
  package private(set) var nextTable = TableID.firstOfUsers
  /// Rises with every change, so that what was derived from a catalog can be compared with it.
  package private(set) var generation: UInt64 = 0

  /// Only the system tables.
  package init() {
    byID = SystemTables.all
    byName = SystemTables.all.sorted { $0.nameBytes.lexicographicallyPrecedes($1.nameBytes) }
  }

  package func table(_ id: TableID) -> Table? {
    let index = position(id)
    return index < byID.count && byID[index].id == id ? byID[index] : nil
  }

  package func table(named name: UnsafeRawBufferPointer) -> Table? {
    let index = position(name)
    guard index < byName.count, byName[index].nameBytes.withBytes({ $0.equals(name) }) else { return nil }
    return byName[index]
  }

  package func table(named name: String) -> Table? { withText(name) { table(named: $0) } }

  /// The table of that name, or the refusal that says there is none.
  package func find(_ name: UnsafeRawBufferPointer) throws(Refusal) -> Table {
    if let table = table(named: name) { return table }
    let text = String(decoding: name, as: UTF8.self)
    throw Refusal(
      .tableNotFound, "There is no table \(text): create it with POST /v1/tables, or correct the name.", table: text)
  }

  /// The tables of users, by name.
  package var userTables: [Table] { byName.filter { !$0.id.isSystem } }
  /// All tables, by id.
  package var allTables: [Table] { byID }

  /// `{"tables":[…]}`, by name; system tables are not listed.
  package func appendJSON(to out: inout [UInt8]) {
    append("{\"tables\":[", to: &out)
    for (i, table) in userTables.enumerated() {
      if i > 0 { out.append(UInt8(ascii: ",")) }
      table.description.appendJSON(to: &out)
    }
    append("]}", to: &out)
  }

  package func isRevoked(_ revocation: Revocation) -> Bool {
    let index = revoked.partition { $0 >= revocation }
    return index < revoked.count && revoked[index] == revocation
  }

  // MARK: Changes

  mutating func add(_ table: Table) {
    byID.insert(table, at: position(table.id))
    byName.insert(table, at: table.nameBytes.withBytes { position($0) })
    nextTable = max(nextTable, TableID(table.id.rawValue + 1))
    generation += 1
  }

  mutating func drop(_ table: Table) {
    byID.removeAll { $0.id == table.id }
    byName.removeAll { $0.id == table.id }
    addDropped(table.id)
  }

  mutating func addDropped(_ id: TableID) {
    dropped.insert(id, at: dropped.partition { $0 >= id })
    generation += 1
  }

  mutating func forgetDropped(_ id: TableID) {
    dropped.removeAll { $0 == id }
    generation += 1
  }

  mutating func add(_ revocation: Revocation) {
    guard !isRevoked(revocation) else { return }
    revoked.insert(revocation, at: revoked.partition { $0 >= revocation })
    generation += 1
  }

  mutating func setNextTable(_ id: TableID) { nextTable = id }

  private func position(_ id: TableID) -> Int { byID.partition { $0.id >= id } }

  private func position(_ name: UnsafeRawBufferPointer) -> Int {
    byName.partition { $0.nameBytes.withBytes { $0.order(name) } >= 0 }
  }
}

extension Array {
  /// The first index whose element is `behind`; elements that are stand behind those that are not.
  fileprivate func partition(_ behind: (Element) -> Bool) -> Int {
    var low = 0
    var high = count
    while low < high {
      let middle = (low + high) / 2
      if behind(self[middle]) { high = middle } else { low = middle + 1 }
    }
    return low
  }
}

/// A token or certificate that counts no more.
package struct Revocation: Hashable, Comparable, Sendable {
  package enum Kind: UInt8, Sendable, CaseIterable {
    case token = 1
    case certificate = 2

    package var name: String { self == .token ? "token" : "certificate" }
  }

  package var kind: Kind
  package var serial: String

  package init(_ kind: Kind, _ serial: String) {
    self.kind = kind
    self.serial = serial
  }

  package static func < (a: Revocation, b: Revocation) -> Bool {
    a.kind != b.kind
      ? a.kind.rawValue < b.kind.rawValue : a.serial.utf8.lexicographicallyPrecedes(b.serial.utf8)
  }
}
