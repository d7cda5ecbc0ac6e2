/// Progress of a long command on standard error: a bar that is drawn over on a terminal, a line every five seconds
/// elsewhere.
///
///     importing packages  [############----------------]  43 %  27 311 rows  8 912 rows/s  4.1 s left
struct Progress {
  let title: String
  /// What is counted, in the plural.
  let unit: String
  let isTerminal: Bool
  private let started: Double
  private var drawn: Double
  private var window: [(time: Double, count: Int)] = []

  init(title: String, unit: String, isTerminal: Bool = Console.errorIsTerminal, now: Double = Monotonic.now()) {
    self.title = title
    self.unit = unit
    self.isTerminal = isTerminal
    started = now
    drawn = now
  }

  /// Shows where things stand, if it is time to. `share` is between 0 and 1, nil when the end is not known.
  mutating func update(count: Int, share: Double?, now: Double = Monotonic.now()) {
    guard now - drawn >= (isTerminal ? 0.1 : 5) else { return }
    drawn = now
    window.append((now, count))
    if window.count > 30 { window.removeFirst() }
    let text = line(count: count, share: share, now: now, width: isTerminal ? Console.width - 1 : 120)
    if isTerminal {
      Console.write(Array("\r\u{1B}[K\(text)".utf8), to: 2)
    } else {
      Console.note(text)
    }
  }

  /// Rows a second over the last updates.
  private func rate(_ now: Double, _ count: Int) -> Double {
    let (time, earlier) = window.count > 1 ? window[0] : (started, 0)
    return now > time ? Double(count - earlier) / (now - time) : 0
  }

  func line(count: Int, share: Double?, now: Double, width: Int) -> String {
    var facts = "\(Humane.count(count)) \(unit)  \(Humane.count(Int(rate(now, count)))) \(unit)/s"
    guard let share else { return "\(title)  \(facts)" }
    let elapsed = now - started
    if share > 0.01, share < 1 { facts += "  \(Humane.seconds(elapsed / share * (1 - share))) left" }
    let percent = "\(Int(share * 100)) %"
    let room = min(40, width - title.count - facts.count - percent.count - 10)
    guard isTerminal, room >= 8 else { return "\(title)  \(percent)  \(facts)" }
    let full = Int(Double(room) * min(max(share, 0), 1))
    let bar = String(repeating: "#", count: full) + String(repeating: "-", count: room - full)
    return "\(title)  [\(bar)]  \(percent)  \(facts)"
  }

  /// Takes the bar away, so that other lines can be written.
  func clear() {
    if isTerminal { Console.write(Array("\r\u{1B}[K".utf8), to: 2) }
  }

  var elapsed: Double { Monotonic.now() - started }
}
