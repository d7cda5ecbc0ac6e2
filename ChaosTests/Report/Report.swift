import Checkers
import Foundation
import Primitives

/// A figure and what it has to be.
struct Figure {
  enum Bar {
    case atMost(Double)
    case atLeast(Double)
    /// Only told.
    case none
  }

  var name: String
  var value: Double
  var unit: String
  var bar = Bar.none

  var isMet: Bool {
    switch bar {
    case .atMost(let limit): value <= limit
    case .atLeast(let limit): value >= limit
    case .none: true
    }
  }

  var barText: String {
    switch bar {
    case .atMost(let limit): "at most \(Self.text(limit))"
    case .atLeast(let limit): "at least \(Self.text(limit))"
    case .none: ""
    }
  }

  /// Without a fraction when it has none, otherwise with four digits behind the point.
  static func text(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int64(value)) : String(format: "%.4f", value)
  }

  var json: String {
    var line = "{\"name\":\"\(name)\",\"value\":\(Self.text(value)),\"unit\":\"\(unit)\""
    switch bar {
    case .atMost(let limit): line += ",\"at_most\":\(Self.text(limit)),\"met\":\(isMet)"
    case .atLeast(let limit): line += ",\"at_least\":\(Self.text(limit)),\"met\":\(isMet)"
    case .none: break
    }
    return line + "}"
  }
}

/// Everything that a run finds: the story as it goes on, and at the end violations, figures for people, then one JSON line a
/// figure. All on standard output; standard error only shows what is being done.
final class Report {
  private let seed: UInt64
  private let begun = Clock.now()
  private let machine = MachineSample()
  private var figures: [Figure] = []
  private var violations: [Violation] = []
  private var failure: String?

  init(seed: UInt64) {
    self.seed = seed
    tell("seed \(seed)")
  }

  var hasViolations: Bool { !violations.isEmpty }
  var allBarsMet: Bool { failure == nil && violations.isEmpty && figures.allSatisfy(\.isMet) }

  /// A line of the story.
  func tell(_ line: String) { out(line) }

  func add(_ name: String, _ value: Double, _ unit: String, _ bar: Figure.Bar = .none) {
    figures.append(Figure(name: name, value: value, unit: unit, bar: bar))
  }

  func add(_ found: [Violation]) { violations += found }
  func fail(_ reason: String) { failure = reason }

  func print() {
    let now = MachineSample()
    out("")
    let stolen = now.stolenShare(since: machine) * 100
    out(
      String(
        format:
          "seed %llu, %.0f s, load average %.1f at the start and %.1f at the end, %.1f %% of the CPU stolen",
        seed, (Clock.now() - begun).seconds, machine.loadAverage, now.loadAverage, stolen))
    if stolen > 5 { out("More than 5 % stolen: times of this run say little. Repeat it.") }
    printFigures()
    for violation in violations.prefix(40) { out("VIOLATION \(violation)") }
    if violations.count > 40 { out("and \(violations.count - 40) more violations") }
    if let failure { out("FAILED \(failure)") }
    out(allBarsMet ? "All bars are met." : "Bars are missed.")
    for figure in figures { out(figure.json) }
  }

  private func printFigures() {
    let width = figures.map(\.name.count).max() ?? 0
    for figure in figures {
      let name = figure.name.padding(toLength: width, withPad: " ", startingAt: 0)
      let mark = figure.isMet ? "" : "   MISSED"
      out("  \(name)  \(Figure.text(figure.value)) \(figure.unit)   \(figure.barText)\(mark)")
    }
  }

  /// At once, also through a pipe.
  private func out(_ line: String) { FileHandle.standardOutput.write(Data((line + "\n").utf8)) }
}
