import Foundation
import Tables

/// A row on its way into a table.
struct ImportRow: Equatable {
  var line: Int
  /// Offset behind its record in the file.
  var end: UInt64
  /// The record as it came, for the file of rejects.
  var source: [UInt8]
  /// The key as it stands in a path, percent-encoded.
  var pathKey: [UInt8]
  /// The key as JSON: the value, or an array of a composite key's values.
  var jsonKey: [UInt8]
  /// The row as a JSON object.
  var body: [UInt8]
}

/// Why a record is no row. The text stands behind `line N:`.
struct RowFault: Error, Equatable {
  var text: String
}

/// Makes rows of records.
struct RowParser {
  let table: TableShape
  /// The names of a CSV file's columns, from its first line; nil for NDJSON.
  let header: [String]?
  private let keyColumns: [TableShape.Column]
  private let csvColumns: [TableShape.Column]

  /// Throws when the header names a column that the table does not have.
  init(table: TableShape, header: [String]?) throws(CommandError) {
    self.table = table
    self.header = header
    keyColumns = table.primaryKey.compactMap(table.column)
    var columns: [TableShape.Column] = []
    for name in header ?? [] {
      guard let column = table.column(name) else {
        throw .usage(
          "the file's column `\(name)` is not in the table \(table.name)",
          next: "The table has \(table.columns.map(\.name).joined(separator: ", ")).")
      }
      columns.append(column)
    }
    csvColumns = columns
  }

  func parse(_ record: SourceRecord) throws(RowFault) -> ImportRow {
    guard !record.isTooLong else { throw RowFault(text: "longer than \(RecordReader.recordBytesMax >> 20) MiB") }
    if header != nil { return try parseCSV(record) }
    return try parseNDJSON(record)
  }

  private func parseNDJSON(_ record: SourceRecord) throws(RowFault) -> ImportRow {
    let value: JSONValue
    do { value = try JSONValue.parse(record.bytes) } catch { throw RowFault(text: error.detail) }
    guard case .object(let members) = value else { throw RowFault(text: "not a JSON object") }
    return try row(record, members: members, body: record.bytes)
  }

  private func parseCSV(_ record: SourceRecord) throws(RowFault) -> ImportRow {
    let fields: [CSV.Field]
    do throws(CSV.Fault) { fields = try CSV.parse(record.bytes) } catch { throw RowFault(text: error.text) }
    guard fields.count == csvColumns.count else {
      throw RowFault(text: "\(fields.count) fields, but the header names \(csvColumns.count)")
    }
    var members: [JSONValue.Member] = []
    for (field, column) in zip(fields, csvColumns) {
      guard let value = try value(of: field, in: column) else { continue }
      members.append(.init(name: column.name, value: value))
    }
    return try row(record, members: members, body: JSONValue.object(members).bytes)
  }

  /// A CSV field as JSON of the column's type; the server checks ranges. Nil: the field is left to its default.
  private func value(of field: CSV.Field, in column: TableShape.Column) throws(RowFault) -> JSONValue? {
    guard let text = field.text else { throw RowFault(text: "column \(column.name): not UTF-8") }
    if text.isEmpty, !field.isQuoted, column.type != "text" || column.nullable == true { return nil }
    switch column.type {
    case "int64", "float64", "json":
      do { return try JSONValue.parse(field.bytes) } catch {
        throw RowFault(text: "column \(column.name): `\(shortened(text))` is no \(column.type)")
      }
    case "bool":
      guard let value = ["true": true, "false": false, "t": true, "f": false, "1": true, "0": false][text.lowercased()]
      else { throw RowFault(text: "column \(column.name): `\(shortened(text))` is no bool") }
      return .bool(value)
    default: return .string(text)
    }
  }

  private func row(
    _ record: SourceRecord, members: [JSONValue.Member], body: [UInt8]
  ) throws(RowFault) -> ImportRow {
    var path: [UInt8] = []
    var values: [JSONValue] = []
    for column in keyColumns {
      guard let value = members.first(where: { $0.name == column.name })?.value else {
        throw RowFault(text: "the key column \(column.name) is missing")
      }
      if !values.isEmpty { path.append(UInt8(ascii: ",")) }
      try KeyPath.append(value, of: column, to: &path)
      values.append(value)
    }
    let json = values.count == 1 ? values[0].bytes : JSONValue.array(values).bytes
    return ImportRow(
      line: record.line, end: record.end, source: record.bytes, pathKey: path, jsonKey: json, body: body)
  }

  private func shortened(_ text: String) -> String { text.count > 40 ? text.prefix(40) + "…" : text }
}

/// A key's values as they stand in a path (API.md section 3).
enum KeyPath {
  static func append(
    _ value: JSONValue, of column: TableShape.Column, to path: inout [UInt8]
  ) throws(RowFault) {
    switch value {
    case .string(let text):
      appendEncoded(column.type == "bytes" ? base64URL(text) : text, to: &path)
    case .number(let digits): appendEncoded(String(decoding: digits, as: UTF8.self), to: &path)
    case .bool(let value): path.append(contentsOf: (value ? "true" : "false").utf8)
    case .null: throw RowFault(text: "the key column \(column.name) is null")
    case .array, .object: throw RowFault(text: "the key column \(column.name) is no single value")
    }
  }

  /// Percent-encodes all but RFC 3986's unreserved characters.
  static func appendEncoded(_ text: String, to path: inout [UInt8]) {
    let hex = Array("0123456789ABCDEF".utf8)
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        path.append(byte)
      default: path.append(contentsOf: [UInt8(ascii: "%"), hex[Int(byte >> 4)], hex[Int(byte & 15)]])
      }
    }
  }

  private static func base64URL(_ text: String) -> String {
    String(text.compactMap { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 == "=" ? nil : $0 })
  }
}
