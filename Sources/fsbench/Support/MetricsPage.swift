/// A page of Prometheus metrics.
struct MetricsPage {
  /// `name{label="value",…} number`, and `name number`.
  private let samples: [(sample: Substring, value: Double)]

  init(_ text: String) {
    samples = text.split(whereSeparator: \.isNewline).compactMap { line in
      guard !line.hasPrefix("#"), let space = line.lastIndex(of: " ") else { return nil }
      return Double(line[line.index(after: space)...]).map { (line[..<space], $0) }
    }
  }

  /// The sum over all samples of a name that carry these labels (`key="value"`); zero without one.
  func total(_ name: String, _ labels: String...) -> Double {
    samples.reduce(0) { sum, one in
      let isNamed = one.sample.prefix { $0 != "{" } == name
      return isNamed && labels.allSatisfy { one.sample.contains($0) } ? sum + one.value : sum
    }
  }
}
