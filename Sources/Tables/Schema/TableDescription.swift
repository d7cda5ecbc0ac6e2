/// A table's id, never used again. System tables have fixed ones below 100.
@usableFromInline package struct TableID: Hashable, Comparable, Sendable, CustomStringConvertible {
  @usableFromInline package var rawValue: UInt32
  @inlinable package init(_ rawValue: UInt32) { self.rawValue = rawValue }
  @inlinable package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
  @inlinable package var description: String { "table \(rawValue)" }
  /// The first id that a user's table can have.
  package static let firstOfUsers = TableID(100)
  package var isSystem: Bool { self < TableID.firstOfUsers }
}

/// One column. Its id stays when others come and go; it is what stored patches name.
package struct Column: Hashable, Sendable {
  package var id: UInt16
  package var name: String
  package var type: ColumnType
  package var nullable: Bool
  /// What a missing value becomes; null when nothing is said. Only nullable columns have one.
  package var defaultValue: Value

  package init(id: UInt16, name: String, type: ColumnType, nullable: Bool = false, defaultValue: Value = .null) {
    self.id = id
    self.name = name
    self.type = type
    self.nullable = nullable
    self.defaultValue = defaultValue
  }
}

/// What a table is. Valid by construction: `parse`, `decode` and the system tables are the only ways to make one.
///
/// Invariants: column ids and names are unique, ids are below `nextColumn`; the primary key names at least one column,
/// each once, none of them nullable, json or float64; a default has its column's type.
package struct TableDescription: Hashable, Sendable {
  package var id: TableID
  package var name: String
  /// Raised by each schema change; 1 when created.
  package var schema: UInt32
  package var columns: [Column]
  /// Column ids in key order.
  package var primaryKey: [UInt16]
  /// The id that the next column will get.
  package var nextColumn: UInt16
  package var shards: UInt32 = 1
  package var replicas: UInt32 = 3

  init(id: TableID, name: String, columns: [Column], primaryKey: [UInt16]) {
    self.id = id
    self.name = name
    schema = 1
    self.columns = columns
    self.primaryKey = primaryKey
    nextColumn = UInt16(columns.count + 1)
  }

  package func index(ofColumn name: String) -> Int? { columns.firstIndex { $0.name == name } }
  package func index(ofColumn id: UInt16) -> Int? { columns.firstIndex { $0.id == id } }
}

/// Whether `name` can name a table or a column: `[a-z_][a-z0-9_]{0,62}`.
func isName(_ name: String) -> Bool {
  let bytes = Array(name.utf8)
  guard !bytes.isEmpty, bytes.count <= TableLimits.nameBytesMax, bytes[0] &- 0x30 >= 10 else { return false }
  return bytes.allSatisfy { ($0 >= 0x61 && $0 <= 0x7A) || $0 == 0x5F || $0 &- 0x30 < 10 }
}
