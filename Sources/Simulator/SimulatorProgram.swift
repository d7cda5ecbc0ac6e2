import Primitives

/// What `simulate` does once its arguments are parsed.
package enum SimulatorProgram {
  /// Runs of so many seeds must have seen every kind of fault and every interesting state.
  package static let seedsForCoverage: UInt64 = 100

  /// The bugs that this build can plant: none, but in a build of its own.
  package static var bugs: [String] {
    #if PLANTED_BUGS
      return PlantedBug.allCases.map(\.rawValue)
    #else
      return []
    #endif
  }

  /// Plants a bug for the rest of the process; why not, otherwise.
  package static func plant(_ name: String) -> String? {
    #if PLANTED_BUGS
      guard let bug = PlantedBug(rawValue: name) else {
        return "there is no bug \(name) to plant; --list-bugs names them"
      }
      PlantedBug.planted = bug
      return nil
    #else
      return "this build plants no bugs: build it with -Xswiftc -DPLANTED_BUGS --scratch-path .build/bugs"
    #endif
  }

  /// Runs seeds one after the other; false when a checker failed.
  package static func run(
    first: UInt64, count: UInt64, seconds: UInt64, operations: UInt64, trace: Bool, needsCoverage: Bool,
    starting: (UInt64) -> Void = { _ in }
  ) -> Bool {
    var total = SimulationCounters()
    for seed in first..<first + count {
      starting(seed)
      var options = SimulationOptions(seed: seed)
      options.duration = .seconds(seconds)
      options.operationsMin = operations
      options.tellsStory = trace
      let result = Simulation.run(options)
      if trace { for line in result.story { print(line) } }
      total.add(result.counters)
      if let violation = result.violation {
        print("\(violation)")
        print("seed \(seed) failed: \(violation.rule); replay: simulate --seed \(seed) --trace")
        return false
      }
      if count == 1 { print("seed \(seed) passed, trace hash \(String(result.traceHash, radix: 16))") }
    }
    for line in total.lines { print("  \(line)") }
    if needsCoverage, count >= seedsForCoverage, !total.missing.isEmpty {
      print("never happened in \(count) seeds: \(total.missing.joined(separator: ", "))")
      return false
    }
    print("\(count) seeds passed (\(first)...\(first + count - 1))")
    return true
  }
}
