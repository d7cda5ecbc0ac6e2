/// What `simulate` does once its arguments are parsed.
package enum SimulatorProgram {
  package static func listBugs() { print("this build plants no bugs") }

  /// Runs seeds one after the other; false when a checker failed.
  package static func run(first: UInt64, count: UInt64, seconds: UInt64, trace: Bool, bug: String?) throws -> Bool {
    var total = SimulationCounters()
    for seed in first..<first + count {
      var options = SimulationOptions(seed: seed)
      options.duration = .seconds(seconds)
      options.tellsStory = trace
      let result = Simulation.run(options)
      if trace { for line in result.story { print(line) } }
      total.add(result.counters)
      if let violation = result.violation {
        print("seed \(seed) failed: \(violation)")
        print("replay: simulate --seed \(seed) --trace")
        return false
      }
      if count == 1 { print("seed \(seed) passed, trace hash \(String(result.traceHash, radix: 16))") }
    }
    print("\(count) seeds passed (\(first)...\(first + count - 1))")
    for line in total.lines { print("  \(line)") }
    return true
  }
}

extension SimulationCounters {
  mutating func add(_ other: SimulationCounters) {
    operations += other.operations
    acknowledgedWrites += other.acknowledgedWrites
    unknownOutcomes += other.unknownOutcomes
    elections += other.elections
    pageMisses += other.pageMisses
    checkpoints += other.checkpoints
    forwarded += other.forwarded
    readRounds += other.readRounds
    restarts += other.restarts
    for index in faults.indices { faults[index] += other.faults[index] }
  }

  /// A line each, for people.
  var lines: [String] {
    let named: [(String, UInt64)] = [
      ("operations", operations), ("acknowledged writes", acknowledgedWrites), ("unknown outcomes", unknownOutcomes),
      ("elections won", elections), ("restarts", restarts), ("checkpoints", checkpoints), ("page misses", pageMisses),
      ("requests forwarded", forwarded), ("read rounds", readRounds),
    ]
    let faultLines = zip(SimulationCounters.faultNames, faults).map { ("fault: \($0)", $1) }
    return (named + faultLines).map { "\($0): \($1)" }
  }
}
