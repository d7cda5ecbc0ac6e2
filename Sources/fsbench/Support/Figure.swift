import Foundation

/// One measured value, and the reference's.
struct Figure {
  enum Unit: String {
    case perSecond = "1/s"
    case seconds = "s"
    /// A number of things, or a ratio.
    case number = "1"
  }

  struct Reference {
    var name: String
    var value: Double
  }

  var name: String
  var value: Double
  var unit: Unit
  var reference: Reference?

  /// Ours / reference; nil without a reference, or when it measured nothing.
  var ratio: Double? { reference.flatMap { $0.value > 0 ? value / $0.value : nil } }

  /// One line of `--json`. Keys in this order.
  var json: String {
    var line = "{\"name\":\"\(name)\",\"value\":\(Figure.number(value)),\"unit\":\"\(unit.rawValue)\""
    if let reference {
      line += ",\"reference\":\"\(reference.name)\",\"reference_value\":\(Figure.number(reference.value))"
    }
    if let ratio { line += ",\"ratio\":\(Figure.number(ratio))" }
    return line + "}"
  }

  /// Four significant digits, in plain decimals.
  static func number(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return "0" }
    let digits = max(0, 3 - Int(log10(abs(value)).rounded(.down)))
    return String(format: "%.\(digits)f", value)
  }

  /// For people: 44.1 µs, 1.22 M/s.
  func readable(_ value: Double) -> String {
    switch unit {
    case .seconds: Figure.scaled(value, [(1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")])
    case .number: Figure.number(value)
    case .perSecond: Figure.scaled(value, [(1e6, "M/s"), (1e3, "K/s"), (1, "/s")])
    }
  }

  private static func scaled(_ value: Double, _ units: [(size: Double, name: String)]) -> String {
    let unit = units.first { value >= $0.size } ?? units[units.count - 1]
    return String(format: "%.3g ", value / unit.size) + unit.name
  }
}

extension Array where Element == Double {
  /// Zero when empty.
  var median: Double {
    guard !isEmpty else { return 0 }
    let ordered = sorted()
    let middle = count / 2
    return count % 2 == 1 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2
  }
}
