import Foundation
import Primitives

/// Overwrites fixed keys at half of the rate that was just measured as the peak, and looks every second at memory,
/// descriptors and log of each node: nothing may grow. Then nobody asks for anything, and the nodes have to be quiet.
struct SoakScenario {
  static let peakSeconds: UInt64 = 15
  static let idleSeconds: UInt64 = 60
  static let growthMax = 1.03
  static let idleMax = 0.02
  private static let drivers = 2

  let cluster: LocalCluster
  let report: Report
  let minutes: Int

  func run() throws(ChaosError) {
    try ChaosTable.create(cluster.client())
    if minutes > 0 {
      let filled = try Overwriter(cluster: cluster, number: 0).fill()
      guard filled.refused == 0 else { throw ChaosError(message: "filling: \(filled.problem ?? "")") }
      let peak = try load(rate: nil) { Clock.sleep(.seconds(Self.peakSeconds)) }
      report.tell(
        "peak: \(Int(peak.rate)) writes/s over \(Self.peakSeconds) s, \(Self.drivers) × \(Overwriter.inFlightMax) in flight"
      )
      report.add("soak/peak", peak.rate, "1/s")
      try soak(rate: peak.rate / 2)
    }
    try measureIdleness()
  }

  // MARK: load

  /// Runs the drivers while `meanwhile` lasts; the rate at which writes were acknowledged.
  private func load(rate: Double?, _ meanwhile: () -> Void) throws(ChaosError) -> (rate: Double, refused: Int) {
    let drivers = (0..<Self.drivers).map { Overwriter(cluster: cluster, number: $0) }
    let crew = DriverCrew(drivers, rate: rate.map { $0 / Double(Self.drivers) })
    let begun = Clock.now()
    meanwhile()
    let result = crew.finish()
    if let problem = result.problem { report.tell("the load: \(problem)") }
    return (Double(result.acknowledged) / (Clock.now() - begun).seconds, result.refused)
  }

  private func soak(rate: Double) throws(ChaosError) {
    say("\(minutes) minutes at \(Int(rate)) writes/s")
    var minutesSeen: [[String: ResourceMaxima]] = []
    let reached = try load(rate: rate) {
      for minute in 1...minutes {
        minutesSeen.append(watchOneMinute())
        tell(minute, minutesSeen[minute - 1])
      }
    }
    report.add("soak/rate", reached.rate, "1/s", .atLeast(rate * 0.95))
    report.add("soak/refused", Double(reached.refused), "writes", .atMost(0))
    compare(minutesSeen)
  }

  private func watchOneMinute() -> [String: ResourceMaxima] {
    var maxima: [String: ResourceMaxima] = [:]
    let begun = Clock.now()
    for second in 1...60 as ClosedRange<UInt64> {
      Clock.sleep(begun + .seconds(second) - Clock.now())
      for (node, sample) in cluster.samples() { maxima[node, default: ResourceMaxima()].add(sample) }
    }
    return maxima
  }

  private func tell(_ minute: Int, _ maxima: [String: ResourceMaxima]) {
    let texts = LocalCluster.nodes.compactMap { node in maxima[node].map { "\(node) \($0.text)" } }
    report.tell("minute \(minute): " + texts.joined(separator: "   "))
  }

  /// The third minute against the last one. A shorter soak has nothing to compare.
  private func compare(_ minutes: [[String: ResourceMaxima]]) {
    guard minutes.count > 3, let last = minutes.last else { return report.tell("too short to compare: no bar") }
    for (name, value) in ResourceMaxima.values {
      var worst = 0.0
      for node in LocalCluster.nodes {
        guard let early = minutes[2][node], let late = last[node] else {
          return report.fail("\(node) ended during the soak")
        }
        worst = max(worst, value(late) / value(early))
      }
      report.add("soak/growth/\(name)", worst, "ratio", .atMost(Self.growthMax))
    }
    report.add("soak/rss", last.values.map { Double($0.residentBytes) / 1_048_576 }.max() ?? 0, "MiB")
  }

  // MARK: idleness

  private func measureIdleness() throws(ChaosError) {
    say("idle for \(Self.idleSeconds) s")
    Clock.sleep(.seconds(5))
    let (before, begun) = (try cpuSeconds(), Clock.now())
    Clock.sleep(.seconds(Self.idleSeconds))
    let used = try cpuSeconds() - before
    report.add("idle/cpu", used / (Clock.now() - begun).seconds, "cores", .atMost(Self.idleMax))
  }

  private func cpuSeconds() throws(ChaosError) -> Double {
    var sum = 0.0
    for node in LocalCluster.nodes {
      guard let pid = cluster.pid(of: node), let stat = ProcessSample.processor(pid) else {
        throw ChaosError(message: "\(node) does not run any more")
      }
      sum += stat.cpuSeconds
    }
    return sum
  }
}

/// The most that a node used during a minute.
struct ResourceMaxima {
  var residentBytes: UInt64 = 0
  var descriptors = 0
  var logBytes: UInt64 = 0

  static let values: [(name: String, value: @Sendable (ResourceMaxima) -> Double)] = [
    ("rss", { Double($0.residentBytes) }), ("descriptors", { Double($0.descriptors) }),
    ("log", { Double($0.logBytes) }),
  ]

  mutating func add(_ sample: ProcessSample) {
    residentBytes = max(residentBytes, sample.residentBytes)
    descriptors = max(descriptors, sample.descriptors)
    logBytes = max(logBytes, sample.logBytes)
  }

  var text: String { "rss \(residentBytes >> 20) MiB, fds \(descriptors), log \(logBytes >> 20) MiB" }
}
