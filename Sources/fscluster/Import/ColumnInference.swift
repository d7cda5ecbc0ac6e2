import Foundation
import Tables

/// Makes a table's description from the first rows of a file, for `--create`.
///
/// A column is int64 when its values are whole numbers, float64 when they are numbers, bool or text when they are that.
/// Up to one value in ten may be of another kind: such a line will be rejected. Beyond that the column is json (in CSV:
/// text). Whatever is no key may be null, because a later row may leave it out.
struct ColumnInference {
  /// So many rows are looked at.
  static let rowsMax = 1000

  private enum Kind: CaseIterable {
    case bool, int64, float64, text, json
  }

  private var names: [String] = []
  /// For each column how many values there were of each kind; null counts as none.
  private var counts: [String: [Kind: Int]] = [:]
  private var isCSV = false

  /// Takes the members of one row.
  mutating func add(_ members: [JSONValue.Member]) {
    for member in members { add(member.name, kind(of: member.value)) }
  }

  /// Takes the fields of one CSV row; an empty one says nothing.
  mutating func add(header: [String], fields: [CSV.Field]) {
    isCSV = true
    for (name, field) in zip(header, fields) { add(name, kind(of: field)) }
  }

  private mutating func add(_ name: String, _ kind: Kind?) {
    if counts[name] == nil { names.append(name) }
    if counts[name] == nil { counts[name] = [:] }
    if let kind { counts[name]?[kind, default: 0] += 1 }
  }

  private func kind(of value: JSONValue) -> Kind? {
    switch value {
    case .null: nil
    case .bool: .bool
    case .number(let digits): Int64(String(decoding: digits, as: UTF8.self)) != nil ? .int64 : .float64
    case .string: .text
    case .array, .object: .json
    }
  }

  private func kind(of field: CSV.Field) -> Kind? {
    guard let text = field.text, !text.isEmpty else { return nil }
    if field.isQuoted { return .text }
    if text == "true" || text == "false" { return .bool }
    guard case .number = try? JSONValue.parse(field.bytes) else { return .text }
    return Int64(text) != nil ? .int64 : .float64
  }

  /// Nil when the column does not occur.
  private func kind(of name: String) -> Kind? {
    guard let counts = counts[name] else { return nil }
    let total = counts.values.reduce(0, +)
    if total == 0 { return .text }
    func isMost(_ kinds: Set<Kind>) -> Bool {
      kinds.reduce(0) { $0 + counts[$1, default: 0] } * 10 >= total * 9
    }
    for kind in Kind.allCases where kind != .float64 && isMost([kind]) { return kind == .int64 ? whole(counts) : kind }
    if isMost([.int64, .float64]) { return .float64 }
    return isCSV ? .text : .json
  }

  /// Numbers with a fraction are no outliers among whole ones.
  private func whole(_ counts: [Kind: Int]) -> Kind { counts[.float64, default: 0] > 0 ? .float64 : .int64 }

  /// The description; throws when a key column is missing or of a type that no key has.
  func description(table: String, key: [String]) throws(CommandError) -> TableShape {
    for name in key {
      guard let kind = kind(of: name) else {
        throw .usage(
          "the key column `\(name)` is in none of the first rows",
          next: "They have \(names.joined(separator: ", ")).")
      }
      guard kind != .float64, kind != .json else {
        throw .usage(
          "the column `\(name)` holds values that cannot be a key (float64 or json)",
          next: "Name another column with --key, or describe the table with --schema FILE.")
      }
    }
    let columns = names.map { name in
      TableShape.Column(
        name: name, type: type(kind(of: name) ?? .text), nullable: key.contains(name) ? nil : true)
    }
    return TableShape(name: table, columns: columns, primaryKey: key)
  }

  private func type(_ kind: Kind) -> String {
    switch kind {
    case .text: "text"
    case .bool: "bool"
    case .int64: "int64"
    case .float64: "float64"
    case .json: "json"
    }
  }
}
