import ArgumentParser

/// How many rows, as people write it: `2500`, `500K`, `10M`.
struct RowCount: ExpressibleByArgument {
  let value: Int

  init(_ value: Int) { self.value = value }

  init?(argument: String) {
    let scale = Self.scale(of: argument.last)
    guard let number = Int(scale == 1 ? argument[...] : argument.dropLast()) else { return nil }
    let (value, overflow) = number.multipliedReportingOverflow(by: scale)
    guard !overflow else { return nil }
    self.value = value
  }

  private static func scale(of unit: Character?) -> Int {
    switch unit {
    case "K": 1_000
    case "M": 1_000_000
    default: 1
    }
  }

  var defaultValueDescription: String {
    for (scale, unit) in [(1_000_000, "M"), (1_000, "K")] where value % scale == 0 { return "\(value / scale)\(unit)" }
    return "\(value)"
  }
}
