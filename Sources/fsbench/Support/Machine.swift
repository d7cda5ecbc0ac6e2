import Foundation

/// What the machine did meanwhile: time that the host took, and load.
final class Machine {
  /// Beyond this share of stolen time a round does not count.
  static let stealMax = 0.05
  /// So many times a round is repeated before its figure is taken as it is.
  static let repeatsMax = 5

  private(set) var repeats = 0
  private(set) var spoiled = 0
  private let startLoad = Machine.load()
  private let ticks: () -> Ticks

  init(ticks: @escaping () -> Ticks = Ticks.now) { self.ticks = ticks }

  /// Runs one round of one side, again when the host stole too much of it.
  func measure<R>(_ body: () throws(BenchError) -> R) throws(BenchError) -> R {
    for _ in 0..<Machine.repeatsMax {
      let before = ticks()
      let result = try body()
      if ticks().steal(since: before) <= Machine.stealMax { return result }
      repeats += 1
    }
    spoiled += 1
    return try body()
  }

  var summary: String {
    var text = "load average \(startLoad) before, \(Machine.load()) after; \(repeats) rounds repeated for stolen time"
    if spoiled > 0 { text += "; \(spoiled) taken in spite of it" }
    return text
  }

  private static func load() -> String {
    let text = (try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? "?"
    return String(text.prefix { $0 != " " })
  }
}

/// The first line of /proc/stat: `cpu user nice system idle iowait irq softirq steal …`.
struct Ticks {
  var total: Double
  var stolen: Double

  static func now() -> Ticks { Ticks((try? String(contentsOfFile: "/proc/stat", encoding: .utf8)) ?? "") }

  init(_ stat: String) {
    let line = stat.prefix { $0 != "\n" }
    let fields = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
    self.init(total: fields.reduce(0, +), stolen: fields.count == 8 ? fields[7] : 0)
  }

  init(total: Double, stolen: Double) { (self.total, self.stolen) = (total, stolen) }

  func steal(since before: Ticks) -> Double {
    total > before.total ? (stolen - before.stolen) / (total - before.total) : 0
  }
}

/// A directory that goes when its owner goes.
final class Scratch {
  let path: String

  init(under parent: String) throws(BenchError) {
    var template = Array("\(parent)/fsbench.XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else {
      throw .usage("\(parent): \(String(cString: strerror(errno))); name another --directory")
    }
    path = String(cString: made)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
