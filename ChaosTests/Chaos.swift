import ArgumentParser
import Foundation

/// `ChaosTests/run`: kills real nodes under load and asks afterwards whether anything was lost.
///
/// **How it works.** Three `filestored` processes speak TLS on loopback ports of their own, in a temporary directory that
/// is removed at the end; `fscluster` makes, starts and restarts them, as a user would. Nothing looks into a node: what is
/// known of the cluster comes from its API, from `/proc`, and from the flush counter of the disk. A scenario
/// (`Scenarios/`) does harm while workers (`Workload/`) write and read, each on a thread with a client of its own, and
/// write down what they sent, when, and how it ended. When all is over, `Checks/` read everything back and judge; the
/// checkers are those of the simulator. `Report/` prints what was measured and holds it against the bars.
///
/// - `KillScenario`: one node after another dies by signal 9, mostly the leader, and comes back.
/// - `CrashScenario`: all three die at once.
/// - `MixedScenario`: all kinds of requests for minutes, on nodes with little memory: memory, descriptors and disk stay
///   within their budgets.
/// - `SoakScenario`: half of the peak rate for minutes; memory, descriptors and log must stay flat. Then idleness.
///
/// **What it shows.** Acknowledged writes survive; refused ones ("not executed") never appear; keys shared by several
/// clients are linearizable through all failovers; the pause after a leader's death is short; replicas end equal.
///
/// **What it does not show.** A killed process loses nothing that the kernel took: power loss is the simulator's task; here
/// only the flush counter tells that flushes happen. All nodes share one disk and one clock. Seeds choose victims and
/// moments, but real time does not repeat itself: a seed gives the same plan, not the same run.
///
/// Exit codes: 0 every bar was met; 1 a bar was missed; 2 wrong usage or environment.
@main
struct Chaos: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ChaosTests/run",
    abstract: "Kills nodes of a cluster of real processes under load, and checks that nothing is lost.")

  @Flag(help: "Five kills of a leader instead of twenty, one crash of all nodes instead of three.") var quick = false
  @Option(help: ArgumentHelp("Kills of a leader (default: 20).", valueName: "count")) var kills: Int?
  @Option(help: ArgumentHelp("Crashes of all nodes at once (default: 3).", valueName: "count")) var crashes: Int?
  @Option(help: ArgumentHelp("Keep the load of the kills up for at least so long.", valueName: "seconds"))
  var seconds: Double = 0
  @Option(
    help: ArgumentHelp("Instead: so many minutes at half of the peak rate, then idleness.", valueName: "minutes"))
  var soak: Int?
  @Option(
    help: ArgumentHelp(
      "Instead: so many minutes of all kinds of requests, held against budgets of memory, descriptors and disk.",
      valueName: "minutes"))
  var mixed: Int?
  @Option(help: "Chooses victims and moments (default: drawn, and printed).") var seed: UInt64?
  @Option(help: ArgumentHelp("Where filestored and fscluster stand (default: beside this).", valueName: "dir"))
  var binaries: String?
  @Flag(help: "Leave the cluster's directory with its logs behind.") var keep = false

  func validate() throws {
    if let kills, kills < 0 { throw ValidationError("--kills takes a number from 0.") }
    if let crashes, crashes < 0 { throw ValidationError("--crashes takes a number from 0.") }
    if let soak, soak < 0 || soak > 1440 {
      throw ValidationError("--soak takes minutes, 0 to 1440 (0: idleness).")
    }
    if let mixed, !(1...1440).contains(mixed) { throw ValidationError("--mixed takes minutes, 1 to 1440.") }
    if mixed != nil, soak != nil { throw ValidationError("Either --mixed or --soak.") }
    if !(0...86_400).contains(seconds) { throw ValidationError("--seconds takes a number up to 86400.") }
  }

  func run() throws {
    let seed = seed ?? UInt64.random(in: 0..<1_000_000)
    let report = Report(seed: seed)
    do throws(ChaosError) {
      let cluster = try LocalCluster.make(
        binaries: binaries ?? Self.ownDirectory, seed: seed, settings: mixed == nil ? [] : MixedScenario.settings)
      endOnSignal(cluster)
      try execute(cluster, report, seed)
      cluster.dispose(keepFiles: keep || report.hasViolations)
    } catch {
      report.fail(error.message)
      if error.isUsage { throw ExitCode(2) }
    }
    report.print()
    if !report.allBarsMet { throw ExitCode(1) }
  }

  private func execute(_ cluster: LocalCluster, _ report: Report, _ seed: UInt64) throws(ChaosError) {
    do throws(ChaosError) {
      try cluster.start(LocalCluster.nodes)
      if let mixed {
        try MixedScenario(cluster: cluster, report: report, minutes: mixed, seed: seed).run()
      } else if let soak {
        try SoakScenario(cluster: cluster, report: report, minutes: soak).run()
      } else {
        try KillScenario(
          cluster: cluster, report: report, leaderKills: kills ?? (quick ? 5 : 20), secondsMin: seconds, seed: seed
        ).run()
        try CrashScenario(cluster: cluster, report: report, crashes: crashes ?? (quick ? 1 : 3), seed: seed).run()
      }
    } catch {
      cluster.dispose(keepFiles: true)
      throw error
    }
  }

  /// An interrupted run leaves no node behind.
  private func endOnSignal(_ cluster: LocalCluster) {
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler {
        cluster.dispose(keepFiles: false)
        _exit(128 + number)
      }
      source.resume()
      Self.signalSources.append(source)
    }
  }

  /// They have to live as long as the process.
  nonisolated(unsafe) private static var signalSources: [any DispatchSourceSignal] = []

  private static var ownDirectory: String {
    let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return URL(fileURLWithPath: own ?? CommandLine.arguments[0]).deletingLastPathComponent().path
  }
}

/// The test itself could not go on; what it found about the cluster is in the report.
struct ChaosError: Error {
  var message: String
  /// Nothing was tried: the environment is wrong.
  var isUsage = false
}

/// What happens, while it happens.
func say(_ line: String) {
  FileHandle.standardError.write(Data((line + "\n").utf8))
}
