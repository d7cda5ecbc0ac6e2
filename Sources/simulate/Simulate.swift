import ArgumentParser
import Simulator

@main
struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Runs whole clusters from seeds and checks what they promised.",
    discussion: "A failure prints its seed; --seed N replays it exactly, --trace tells what happened.")

  @Option(help: "Run this seed alone.") var seed: UInt64?
  @Option(help: "The first seed of many.") var firstSeed: UInt64 = 1
  @Option(help: "How many seeds.") var seeds: UInt64 = 100
  @Option(help: "Virtual seconds of load.") var seconds: UInt64 = 60
  @Flag(help: "Tell the story of each run.") var trace = false
  @Flag(help: "List the bugs that this build can plant.") var listBugs = false
  @Option(help: "Plant this bug (only in a build made for it).") var bug: String?

  func run() throws {
    if listBugs { return SimulatorProgram.listBugs() }
    let first = seed ?? firstSeed
    let passed = try SimulatorProgram.run(
      first: first, count: seed == nil ? seeds : 1, seconds: seconds, trace: trace, bug: bug)
    if !passed { throw ExitCode(1) }
  }
}
