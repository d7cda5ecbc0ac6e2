import Foundation

/// Docs/Bars.json: what the ratios have to reach, or the values of figures without a reference.
///
///     {"log/append-1/fio": {"ratio_max": 1.25}, "log/append-64": {"ratio_min": 20}, "recovery/log-1GiB": {"value_max": 3}}
struct Bars {
  private struct Bar: Decodable {
    var ratioMin: Double?
    var ratioMax: Double?
    var valueMax: Double?

    enum CodingKeys: String, CodingKey {
      case ratioMin = "ratio_min"
      case ratioMax = "ratio_max"
      case valueMax = "value_max"
    }

    /// How a figure misses it, if it does.
    func missed(by figure: Figure?) -> String? {
      guard let figure else { return "not measured" }
      if let valueMax, figure.value > valueMax {
        return "\(figure.readable(figure.value)), at most \(figure.readable(valueMax))"
      }
      guard ratioMin != nil || ratioMax != nil else { return nil }
      guard let ratio = figure.ratio else { return "not measured" }
      if let ratioMin, ratio < ratioMin { return "\(text(ratio)), at least \(text(ratioMin))" }
      if let ratioMax, ratio > ratioMax { return "\(text(ratio)), at most \(text(ratioMax))" }
      return nil
    }

    private func text(_ ratio: Double) -> String { String(format: "%.3g", ratio) }
  }

  private let bars: [String: Bar]

  init(path: String) throws(BenchError) {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw .usage("\(path) cannot be read; name the file of bars by --bars")
    }
    do { bars = try JSONDecoder().decode([String: Bar].self, from: data) } catch {
      throw .usage("\(path) is no file of bars: \(error)")
    }
  }

  /// A sentence for each bar below `prefix` that is missed. One that was not measured is missed.
  func missed(by figures: [Figure], prefix: String) -> [String] {
    bars.filter { $0.key.hasPrefix(prefix) }.sorted { $0.key < $1.key }.compactMap { name, bar in
      bar.missed(by: figures.first { $0.name == name }).map { "\(name): \($0)" }
    }
  }
}
