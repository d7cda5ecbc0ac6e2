import ArgumentParser
import Glibc
import Simulator

@main
struct Simulate: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Runs whole clusters from seeds and checks what they promised.",
    discussion: """
      A failure prints its seed; --seed N replays it exactly, --trace tells what happened. Exit code 1: a checker failed, \
      or in 100 seeds and more a kind of fault or an interesting state never occurred; 2: wrong arguments.
      """)

  @Option(help: "Run this seed alone.") var seed: UInt64?
  @Option(help: "The first seed of many.") var firstSeed: UInt64 = 1
  @Option(help: "How many seeds.") var seeds: UInt64 = 100
  @Option(help: "Virtual seconds of load, at least.") var seconds: UInt64 = 60
  @Option(help: "Requests of clients, at least: a run goes on until they were sent.") var operations: UInt64 = 2000
  @Flag(help: "Tell the story of each run.") var trace = false
  @Flag(help: "List the bugs that this build can plant, one a line.") var listBugs = false
  @Option(help: "Plant this bug (only in a build made for it).") var bug: String?

  func run() throws {
    if listBugs {
      for name in SimulatorProgram.bugs { print(name) }
      return
    }
    if let bug, let refusal = SimulatorProgram.plant(bug) {
      let line = Array("simulate: \(refusal)\n".utf8)
      _ = write(STDERR_FILENO, line, line.count)
      throw ExitCode(2)
    }
    Traps.watch()
    let passed = SimulatorProgram.run(
      first: seed ?? firstSeed, count: seed == nil ? seeds : 1, seconds: seconds, operations: operations, trace: trace,
      needsCoverage: bug == nil, starting: Traps.running)
    if !passed { throw ExitCode(1) }
  }
}
