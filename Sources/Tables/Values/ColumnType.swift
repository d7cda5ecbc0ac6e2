/// The types a column can have. Raw values stand in formats.
package enum ColumnType: UInt8, Sendable, CaseIterable {
  case bool = 1
  case int64 = 2
  case float64 = 3
  case decimal = 4
  case text = 5
  case bytes = 6
  case timestamp = 7
  case uuid = 8
  case json = 9

  package init?(name: String) {
    guard let type = ColumnType.allCases.first(where: { $0.name == name }) else { return nil }
    self = type
  }

  package var name: String {
    switch self {
    case .bool: "bool"
    case .int64: "int64"
    case .float64: "float64"
    case .decimal: "decimal"
    case .text: "text"
    case .bytes: "bytes"
    case .timestamp: "timestamp"
    case .uuid: "uuid"
    case .json: "json"
    }
  }

  /// Bytes of a cell, nil for those of varying length.
  var fixedWidth: Int? {
    switch self {
    case .bool: 1
    case .int64, .float64, .timestamp: 8
    case .uuid: 16
    case .decimal: Decimal.cellBytes
    case .text, .bytes, .json: nil
    }
  }

  /// Whether a primary key may hold it: json has no order, and equality of float64 surprises.
  var canBeKey: Bool { self != .json && self != .float64 }
}
