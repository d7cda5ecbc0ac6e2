// The catalog is tables: rows like any other, changed by commands of their own, readable by anyone who may read.
//
//     fs_tables    name → id, schema, description (JSON, for people), definition (binary, for us)
//     fs_settings  name → value (JSON).  next_table_id: the id that the next table will get
//     fs_dropped   id → name.            tables whose rows are still being removed
//     fs_revoked   kind, serial → expires.  kind is "token" or "certificate"; rows may go when `expires` has passed
//
// Their descriptions are fixed in the program; a change of one of them is a new format version of the cluster.

package enum SystemTables {
  package static let tables = make(
    1, "fs_tables",
    [
      ("name", .text, false), ("id", .int64, false), ("schema", .int64, false),
      ("description", .json, false), ("definition", .bytes, false),
    ], key: 1)
  package static let settings = make(2, "fs_settings", [("name", .text, false), ("value", .json, false)], key: 1)
  package static let dropped = make(3, "fs_dropped", [("id", .int64, false), ("name", .text, false)], key: 1)
  package static let revoked = make(
    4, "fs_revoked", [("kind", .text, false), ("serial", .text, false), ("expires", .timestamp, true)], key: 2)

  /// By id.
  package static let all: [Table] = [tables, settings, dropped, revoked]

  static let nextTableSetting = "next_table_id"

  /// The first `key` columns are the primary key.
  private static func make(
    _ id: UInt32, _ name: String, _ columns: [(name: String, type: ColumnType, nullable: Bool)], key: Int
  ) -> Table {
    let list = columns.enumerated().map {
      Column(id: UInt16($0 + 1), name: $1.name, type: $1.type, nullable: $1.nullable)
    }
    return Table(
      TableDescription(id: TableID(id), name: name, columns: list, primaryKey: list.prefix(key).map(\.id)))
  }
}
