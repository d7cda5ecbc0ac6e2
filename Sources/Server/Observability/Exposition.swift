import Primitives

/// Prometheus' text format, version 0.0.4: written line by line, base units, names with the prefix `filestore_`.
package struct Exposition {
  package private(set) var bytes: [UInt8] = []

  package init() {}

  private mutating func append(_ text: String) { bytes.append(contentsOf: text.utf8) }

  private mutating func head(_ name: String, _ kind: String, _ help: String) {
    append("# HELP filestore_\(name) \(help)\n# TYPE filestore_\(name) \(kind)\n")
  }

  /// A number that only grows; the name ends in `_total`.
  package mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
    head(name, "counter", help)
    append("filestore_\(name) \(value)\n")
  }

  package mutating func counter(_ name: String, _ help: String, by label: String, _ values: [(String, UInt64)]) {
    head(name, "counter", help)
    for (key, value) in values { append("filestore_\(name){\(label)=\"\(key)\"} \(value)\n") }
  }

  package mutating func gauge(_ name: String, _ help: String, _ value: UInt64) {
    head(name, "gauge", help)
    append("filestore_\(name) \(value)\n")
  }

  package mutating func gauge(_ name: String, _ help: String, by labels: [(String, UInt64)]) {
    head(name, "gauge", help)
    for (label, value) in labels { append("filestore_\(name){\(label)} \(value)\n") }
  }

  /// Seconds, from a value in nanoseconds.
  package mutating func seconds(_ name: String, _ help: String, kind: String = "counter", nanoseconds: UInt64) {
    head(name, kind, help)
    append("filestore_\(name) \(Self.seconds(nanoseconds))\n")
  }

  package mutating func histogram(_ name: String, _ help: String, by label: String, _ values: [(String, Histogram)]) {
    head(name, "histogram", help)
    for (key, histogram) in values {
      histogram.forEachCumulative { bound, count in
        append("filestore_\(name)_bucket{\(label)=\"\(key)\",le=\"\(Self.seconds(bound))\"} \(count)\n")
      }
      append("filestore_\(name)_bucket{\(label)=\"\(key)\",le=\"+Inf\"} \(histogram.count)\n")
      append("filestore_\(name)_sum{\(label)=\"\(key)\"} \(Self.seconds(histogram.sum))\n")
      append("filestore_\(name)_count{\(label)=\"\(key)\"} \(histogram.count)\n")
    }
  }

  /// `0.0015` for 1 500 000, without rounding.
  static func seconds(_ nanoseconds: UInt64) -> String {
    let fraction = String(1_000_000_000 + nanoseconds % 1_000_000_000).dropFirst()
    var digits = fraction[...]
    while digits.last == "0" { digits = digits.dropLast() }
    let whole = String(nanoseconds / 1_000_000_000)
    return digits.isEmpty ? whole : "\(whole).\(digits)"
  }
}
