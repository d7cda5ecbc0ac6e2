import Foundation

/// Docs/Bars.json: what the ratios have to reach, or, of figures without a reference, the values.
///
///     {"log/append-1/fio": {"ratio_max": 1.25}, "log/append-64": {"ratio_min": 20},
///      "memory/hot-read/p99/latency": {"value_max": 0.001}}
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

    /// Nil when what the bar is about was not measured.
    func subject(of figure: Figure) -> Double? { valueMax == nil ? figure.ratio : figure.value }
    var least: Double? { ratioMin }
    var most: Double? { valueMax ?? ratioMax }
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
      guard let found = figures.first(where: { $0.name == name }).flatMap(bar.subject) else {
        return "\(name): not measured"
      }
      if let least = bar.least, found < least { return "\(name): \(text(found)), at least \(text(least))" }
      if let most = bar.most, found > most { return "\(name): \(text(found)), at most \(text(most))" }
      return nil
    }
  }

  private func text(_ number: Double) -> String { String(format: "%.3g", number) }
}
