import Foundation
import Tables

/// Makes a table's description from the first rows of a file, for `--create`.
///
/// A column is int64 when all its values are whole numbers, float64 when they are numbers, bool or text when they are
/// that; anything else is json. Whatever is no key may be null, because a later row may leave it out.
struct ColumnInference {
  /// So many rows are looked at.
  static let rowsMax = 1000

  private enum Kind: Equatable {
    case unknown, bool, int64, float64, text, json
  }

  private var names: [String] = []
  private var kinds: [String: Kind] = [:]

  /// Takes the members of one row.
  mutating func add(_ members: [JSONValue.Member]) {
    for member in members {
      if kinds[member.name] == nil { names.append(member.name) }
      kinds[member.name] = merge(kinds[member.name] ?? .unknown, kind(of: member.value))
    }
  }

  /// Takes the fields of one CSV row; an empty one says nothing.
  mutating func add(header: [String], fields: [CSV.Field]) {
    for (name, field) in zip(header, fields) {
      if kinds[name] == nil { names.append(name) }
      kinds[name] = mergeCSV(kinds[name] ?? .unknown, kind(of: field))
    }
  }

  private func kind(of value: JSONValue) -> Kind {
    switch value {
    case .null: .unknown
    case .bool: .bool
    case .number(let digits): Int64(String(decoding: digits, as: UTF8.self)) != nil ? .int64 : .float64
    case .string: .text
    case .array, .object: .json
    }
  }

  private func kind(of field: CSV.Field) -> Kind {
    guard let text = field.text, !text.isEmpty else { return .unknown }
    if field.isQuoted { return .text }
    if text == "true" || text == "false" { return .bool }
    guard case .number = try? JSONValue.parse(field.bytes) else { return .text }
    return Int64(text) != nil ? .int64 : .float64
  }

  private func merge(_ a: Kind, _ b: Kind) -> Kind {
    if a == b || b == .unknown { return a }
    if a == .unknown { return b }
    return [a, b].allSatisfy({ $0 == .int64 || $0 == .float64 }) ? .float64 : .json
  }

  /// In CSV everything is a text when it is nothing better.
  private func mergeCSV(_ a: Kind, _ b: Kind) -> Kind {
    let merged = merge(a, b)
    return merged == .json ? .text : merged
  }

  /// The description; throws when a key column is missing or of a type that no key has.
  func description(table: String, key: [String]) throws(CommandError) -> TableShape {
    for name in key {
      guard let kind = kinds[name] else {
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
        name: name, type: type(kinds[name] ?? .unknown), nullable: key.contains(name) ? nil : true)
    }
    return TableShape(name: table, columns: columns, primaryKey: key)
  }

  private func type(_ kind: Kind) -> String {
    switch kind {
    case .unknown, .text: "text"
    case .bool: "bool"
    case .int64: "int64"
    case .float64: "float64"
    case .json: "json"
    }
  }
}
