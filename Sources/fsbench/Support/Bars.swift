import Foundation

/// Docs/Bars.json: what the ratios have to reach.
///
///     {"log/append-1/fio": {"ratio_max": 1.25}, "log/append-64": {"ratio_min": 20}}
struct Bars {
  private struct Bar: Decodable {
    var ratioMin: Double?
    var ratioMax: Double?

    enum CodingKeys: String, CodingKey {
      case ratioMin = "ratio_min"
      case ratioMax = "ratio_max"
    }
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
      guard let ratio = figures.first(where: { $0.name == name })?.ratio else { return "\(name): not measured" }
      if let least = bar.ratioMin, ratio < least { return "\(name): \(text(ratio)), at least \(text(least))" }
      if let most = bar.ratioMax, ratio > most { return "\(name): \(text(ratio)), at most \(text(most))" }
      return nil
    }
  }

  private func text(_ ratio: Double) -> String { String(format: "%.3g", ratio) }
}
