import Primitives

// A table description in the catalog and in commands. Layout: Docs/Formats-tables.md, "Table description".

extension TableDescription {
  private static let formatVersion: UInt8 = 1

  package func encoded() -> [UInt8] {
    var writer = ByteWriter()
    encode(into: &writer)
    return writer.bytes
  }

  package func encode(into writer: inout ByteWriter) {
    writer.write(TableDescription.formatVersion)
    writer.write(id.rawValue)
    writer.writeSized(name)
    writer.write(schema)
    writer.write(nextColumn)
    writer.write(UInt8(0))  // partition: range
    writer.write(shards)
    writer.write(replicas)
    writer.writeVarint(UInt64(columns.count))
    for column in columns {
      writer.write(column.id)
      writer.writeSized(column.name)
      writer.write(column.type.rawValue)
      writer.write(UInt8(column.nullable ? 1 : 0) | (column.defaultValue == .null ? 0 : 2))
      if column.defaultValue != .null {
        var cell: [UInt8] = []
        column.defaultValue.appendCell(to: &cell)
        writer.writeSized(cell)
      }
    }
    writer.writeVarint(UInt64(primaryKey.count))
    for id in primaryKey { writer.write(id) }
  }

  package init(from reader: inout ByteReader) throws(DecodeError) {
    let start = reader.offset
    let version: UInt8 = try reader.read()
    guard version == TableDescription.formatVersion else { throw .invalid("a table description of another format") }
    id = TableID(try reader.read())
    name = try reader.readText(limit: TableLimits.nameBytesMax)
    schema = try reader.read()
    nextColumn = try reader.read()
    let partition: UInt8 = try reader.read()
    guard partition == 0 else { throw .invalid("an unknown partition") }
    shards = try reader.read()
    replicas = try reader.read()
    columns = []
    let count = try reader.readVarint()
    guard count >= 1, count <= TableLimits.columnsMax else { throw .invalid("a number of columns over its limit") }
    for _ in 0..<count { columns.append(try Column(from: &reader)) }
    primaryKey = []
    let keyCount = try reader.readVarint()
    guard keyCount >= 1, keyCount <= count else { throw .invalid("a number of key columns over its limit") }
    for _ in 0..<keyCount { primaryKey.append(try reader.read()) }
    guard reader.offset - start <= TableLimits.descriptionBytesMax else {
      throw .invalid("a description over its limit")
    }
    try validate()
  }

  /// The invariants, for bytes from elsewhere.
  private func validate() throws(DecodeError) {
    guard isName(name) else { throw .invalid("a table name that is none") }
    var ids: Set<UInt16> = []
    var names: Set<String> = []
    for column in columns {
      guard isName(column.name), names.insert(column.name).inserted, ids.insert(column.id).inserted,
        column.id < nextColumn, column.nullable || column.defaultValue == .null
      else { throw .invalid("a column that cannot be") }
    }
    for id in primaryKey {
      guard ids.remove(id) != nil, let index = index(ofColumn: id), columns[index].type.canBeKey,
        !columns[index].nullable
      else { throw .invalid("a key column that cannot be") }
    }
  }
}

extension Column {
  fileprivate init(from reader: inout ByteReader) throws(DecodeError) {
    id = try reader.read()
    name = try reader.readText(limit: TableLimits.nameBytesMax)
    guard let type = ColumnType(rawValue: try reader.read()) else { throw .invalid("an unknown column type") }
    self.type = type
    let flags: UInt8 = try reader.read()
    guard flags < 4 else { throw .invalid("unknown flags of a column") }
    nullable = flags & 1 != 0
    defaultValue = .null
    if flags & 2 != 0 {
      let cell = try reader.readSized(limit: TableLimits.rowBytesMax)
      guard isValidCell(type, cell) else { throw .invalid("a default that is no value of its type") }
      defaultValue = Value(type, cell: cell)
    }
  }
}
