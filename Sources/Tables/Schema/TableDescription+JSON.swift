// A table description as API.md section 2 shows it. What is written is read back as the same description.

extension TableDescription {
  /// Reads the body of `POST /v1/tables`. The id is given when the table is created; until then it is 0.
  package static func parse(_ json: UnsafeRawBufferPointer) throws(Refusal) -> TableDescription {
    guard case .object(let members) = try JSONValue.parse(json) else {
      throw Refusal(.invalidArgument, "A table description is a JSON object with name, columns and primary_key.")
    }
    var parser = DescriptionParser()
    for member in members { try parser.take(member) }
    return try parser.finish()
  }

  package static func parse(_ json: [UInt8]) throws(Refusal) -> TableDescription {
    try json.withBytes { (raw) throws(Refusal) in try parse(raw) }
  }

  package func appendJSON(to out: inout [UInt8]) {
    append("{\"name\":", to: &out)
    appendJSONString(name, to: &out)
    append(",\"columns\":[", to: &out)
    for (i, column) in columns.enumerated() {
      if i > 0 { out.append(UInt8(ascii: ",")) }
      column.appendJSON(to: &out)
    }
    append("],\"primary_key\":[", to: &out)
    for (i, id) in primaryKey.enumerated() {
      if i > 0 { out.append(UInt8(ascii: ",")) }
      guard let index = index(ofColumn: id) else { preconditionFailure("a key column is a column") }
      appendJSONString(columns[index].name, to: &out)
    }
    append("],\"partition\":\"range\",\"shards\":", to: &out)
    appendDecimalDigits(UInt64(shards), to: &out)
    append(",\"replicas\":", to: &out)
    appendDecimalDigits(UInt64(replicas), to: &out)
    out.append(UInt8(ascii: "}"))
  }
}

extension Column {
  fileprivate func appendJSON(to out: inout [UInt8]) {
    append("{\"name\":", to: &out)
    appendJSONString(name, to: &out)
    append(",\"type\":", to: &out)
    appendJSONString(type.name, to: &out)
    if nullable { append(",\"nullable\":true", to: &out) }
    if defaultValue != .null {
      append(",\"default\":", to: &out)
      defaultValue.appendJSON(to: &out)
    }
    out.append(UInt8(ascii: "}"))
  }
}

/// Takes the members of a description one by one, then checks how they fit together.
private struct DescriptionParser {
  var name: String?
  var columns: [Column]?
  var keyNames: [String]?

  mutating func take(_ member: JSONValue.Member) throws(Refusal) {
    switch member.name {
    case "name": name = try tableName(member.value)
    case "columns": columns = try parseColumns(member.value)
    case "primary_key": keyNames = try parseKeyNames(member.value)
    case "partition": try checkPartition(member.value)
    case "shards":
      try checkNumber(member, only: "1", "A table has one shard for now: leave shards out or set it to 1.")
    case "replicas":
      try checkNumber(member, only: "3", "A table has three replicas for now: leave replicas out or set it to 3.")
    default:
      throw invalid(
        "A table description has no member \"\(member.name)\": use name, columns, primary_key, partition, shards "
          + "and replicas.")
    }
  }

  func finish() throws(Refusal) -> TableDescription {
    guard let name else { throw invalid("The table description has no name: add \"name\".") }
    guard let columns else { throw invalid("The table description has no columns: add \"columns\".") }
    guard let keyNames else { throw invalid("The table description has no primary key: add \"primary_key\".") }
    var primaryKey: [UInt16] = []
    for keyName in keyNames {
      let id = try keyColumn(keyName, of: columns)
      guard !primaryKey.contains(id) else {
        throw invalid("primary_key names column \(keyName) twice: name it once.", column: keyName)
      }
      primaryKey.append(id)
    }
    let description = TableDescription(id: TableID(0), name: name, columns: columns, primaryKey: primaryKey)
    try checkSize(description.encoded().count, TableLimits.descriptionBytesMax)
    var json: [UInt8] = []
    description.appendJSON(to: &json)
    try checkSize(json.count, TableLimits.descriptionJSONBytesMax)
    return description
  }

  private func checkSize(_ count: Int, _ limit: Int) throws(Refusal) {
    guard count > limit else { return }
    throw Refusal(.tooLarge, "The table description is over \(limit) bytes: shorten its defaults.", limit: limit)
  }

  private func invalid(_ detail: String, column: String? = nil) -> Refusal {
    Refusal(.invalidArgument, detail, column: column)
  }

  private func tableName(_ value: JSONValue) throws(Refusal) -> String {
    guard case .string(let name) = value, isName(name) else {
      throw invalid("A table's name is a string of 1 to 63 letters a-z, digits and _, and does not begin with a digit.")
    }
    guard !name.hasPrefix("fs_") else {
      throw invalid("Names that begin with fs_ are reserved for system tables: choose another name.")
    }
    return name
  }

  private func parseColumns(_ value: JSONValue) throws(Refusal) -> [Column] {
    guard case .array(let elements) = value, !elements.isEmpty else {
      throw invalid("columns is an array of at least one column, such as {\"name\":\"id\",\"type\":\"int64\"}.")
    }
    guard elements.count <= TableLimits.columnsMax else {
      throw Refusal(
        .tooLarge, "A table has at most \(TableLimits.columnsMax) columns, not \(elements.count).",
        limit: TableLimits.columnsMax)
    }
    var columns: [Column] = []
    for element in elements {
      var parser = ColumnParser(position: columns.count)
      columns.append(try parser.parse(element))
    }
    let sorted = columns.map(\.name).sorted()
    for i in 1..<max(sorted.count, 1) where sorted[i] == sorted[i - 1] {
      throw invalid("Two columns are named \(sorted[i]): rename one.", column: sorted[i])
    }
    return columns
  }

  private func parseKeyNames(_ value: JSONValue) throws(Refusal) -> [String] {
    var names: [String] = []
    if case .array(let elements) = value {
      for case .string(let name) in elements { names.append(name) }
      if names.count == elements.count, !names.isEmpty { return names }
    }
    throw invalid("primary_key is an array of at least one column name.")
  }

  private func keyColumn(_ name: String, of columns: [Column]) throws(Refusal) -> UInt16 {
    guard let column = columns.first(where: { $0.name == name }) else {
      throw Refusal(
        .unknownColumn, "primary_key names \(name), which is not among the columns: add it, or correct the name.",
        column: name)
    }
    guard column.type.canBeKey else {
      throw invalid("Column \(name) of type \(column.type.name) cannot be in the primary key.", column: name)
    }
    guard !column.nullable else {
      throw invalid("Column \(name) is in the primary key and cannot be nullable.", column: name)
    }
    return column.id
  }

  private func checkPartition(_ value: JSONValue) throws(Refusal) {
    switch value {
    case .string("range"): return
    case .string("hash"):
      throw Refusal(.notSupported, "Hash partition is not built yet: leave partition out or set it to \"range\".")
    default: throw invalid("partition is \"range\" or \"hash\".")
    }
  }

  private func checkNumber(_ member: JSONValue.Member, only: String, _ detail: String) throws(Refusal) {
    guard case .number(let text) = member.value, text.allSatisfy({ $0 &- 0x30 < 10 }), text != [0x30] else {
      throw invalid("\(member.name) is a whole number above zero.")
    }
    guard text.elementsEqual(only.utf8) else { throw Refusal(.notSupported, detail) }
  }
}

private struct ColumnParser {
  /// From zero.
  let position: Int
  var name: String?
  var type: ColumnType?
  var nullable = false
  var defaultText: JSONValue = .null

  init(position: Int) { self.position = position }

  mutating func parse(_ element: JSONValue) throws(Refusal) -> Column {
    guard case .object(let members) = element else {
      throw invalid("is not an object: write it as {\"name\":…,\"type\":…}.")
    }
    for member in members { try take(member) }
    guard let name else { throw invalid("has no name: add \"name\".") }
    guard let type else { throw invalid("has no type: add \"type\".") }
    let value = try defaultValue(type)
    guard value == .null || nullable else {
      throw invalid("has a default but is not nullable: a default is for nullable columns, add \"nullable\":true.")
    }
    return Column(id: UInt16(position + 1), name: name, type: type, nullable: nullable, defaultValue: value)
  }

  private mutating func take(_ member: JSONValue.Member) throws(Refusal) {
    switch (member.name, member.value) {
    case ("name", .string(let text)) where isName(text) && !text.hasPrefix("fs_"): name = text
    case ("name", _):
      throw invalid(
        "needs a name of 1 to 63 letters a-z, digits and _, that begins neither with a digit nor with fs_.")
    case ("type", .string(let text)):
      guard let known = ColumnType(name: text) else {
        let all = ColumnType.allCases.map(\.name).joined(separator: ", ")
        throw invalid("has the unknown type \"\(text)\": use one of \(all).")
      }
      type = known
    case ("nullable", .bool(let value)): nullable = value
    case ("default", let value): defaultText = value
    case ("type", _): throw invalid("needs its type as a string.")
    case ("nullable", _): throw invalid("has a nullable that is neither true nor false.")
    default: throw invalid("has an unknown member \"\(member.name)\": use name, type, nullable and default.")
    }
  }

  private func defaultValue(_ type: ColumnType) throws(Refusal) -> Value {
    do throws(CellFault) {
      return try defaultText.bytes.withBytes { (raw) throws(CellFault) in try Value(type, json: raw) }
    } catch {
      switch error {
      case .json(let fault): throw fault.refusal
      case .mismatch(let mismatch):
        throw Refusal(
          .typeMismatch, "The default of column \(name ?? "\(position + 1)") \(mismatch.text).", column: name)
      }
    }
  }

  private func invalid(_ detail: String) -> Refusal {
    Refusal(.invalidArgument, "Column \(name ?? "number \(position + 1)") \(detail)", column: name)
  }
}
