import ArgumentParser

/// A size of memory, as people write it: `512MiB`, `1GiB`.
struct ByteCount: ExpressibleByArgument, CustomStringConvertible {
  let value: Int

  init(_ value: Int) { self.value = value }

  init?(argument: String) {
    for (unit, scale) in ByteCount.units where argument.hasSuffix(unit) {
      guard let number = Int(argument.dropLast(unit.count)) else { return nil }
      let (value, overflow) = number.multipliedReportingOverflow(by: scale)
      guard !overflow else { return nil }
      self.value = value
      return
    }
    return nil
  }

  private static let units = [("GiB", 1 << 30), ("MiB", 1 << 20)]

  var description: String {
    for (unit, scale) in ByteCount.units where value % scale == 0 { return "\(value / scale)\(unit)" }
    return "\(value) bytes"
  }
}
