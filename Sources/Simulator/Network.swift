import Primitives

/// What lies between the machines: delays, loss, duplicates, cuts.
struct Network {
  let nodes: Int
  /// How many faults cut this direction now.
  private var cuts: [Int]
  var lossPerMille: UInt64 = 0
  var slowPerMille: UInt64 = 0
  private(set) var delivered = 0
  private(set) var lost = 0
  private(set) var duplicated = 0

  init(nodes: Int) {
    self.nodes = nodes
    cuts = Array(repeating: 0, count: nodes * nodes)
  }

  func isCut(from: Int, to: Int) -> Bool { cuts[from * nodes + to] > 0 }
  mutating func cut(from: Int, to: Int) { cuts[from * nodes + to] += 1 }
  mutating func heal(from: Int, to: Int) { cuts[from * nodes + to] = max(0, cuts[from * nodes + to] - 1) }
  mutating func healAll() {
    cuts = Array(repeating: 0, count: nodes * nodes)
    lossPerMille = 0
    slowPerMille = 0
  }

  /// When copies of a payload sent now arrive: none, one, or two.
  mutating func arrivals(from: Int, to: Int, at now: Instant, _ random: inout SeededRandom) -> [Instant] {
    guard !isCut(from: from, to: to), !random.chance(lossPerMille, outOf: 1000) else {
      lost += 1
      return []
    }
    delivered += 1
    var times = [now + delay(&random)]
    if lossPerMille > 0, random.chance(lossPerMille, outOf: 1000) {
      duplicated += 1
      times.append(now + delay(&random))
    }
    return times
  }

  private func delay(_ random: inout SeededRandom) -> Nanoseconds {
    let usual = Nanoseconds.microseconds(50 + random.below(400))
    guard slowPerMille > 0, random.chance(slowPerMille, outOf: 1000) else { return usual }
    return .milliseconds(1 + random.below(80))
  }
}
