import ArgumentParser
import Glibc
import Logging
import Server

/// Runs one node. Settings come from the file, then the environment, then flags; a later source wins.
@main
struct Filestored: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "filestored", abstract: "Runs one node of a FileStore cluster.",
    discussion: """
      Every setting may stand in the configuration file, in the environment (FILESTORED_DISK_LIMIT for disk-limit) and in a \
      flag. `fscluster init` writes a file for each node. SIGTERM stops gracefully, a second one at once.
      """,
    version: Boot.version)

  @Option(help: "The configuration file, YAML.") var config: String?
  @Flag(help: "Check everything, print the effective settings, and end.") var check = false

  @Option(help: "Name of the cluster.") var cluster: String?
  @Option(help: "This node: n1, n2, …") var node: String?
  @Option(help: "Where to listen: HOST:PORT.") var address: String?
  @Option(help: "Data directory.") var data: String?
  @Option(help: "Directory with nodes.pem and clients.pem.") var ca: String?
  @Option(help: "This node's certificate.") var certificate: String?
  @Option(help: "Its key.") var key: String?
  @Option(help: "All nodes: n1=HOST:PORT,n2=HOST:PORT,…") var peers: String?
  @Option(help: "Threads.") var cores: String?
  @Option(help: "Lanes of the data directory.") var lanes: String?
  @Option(help: "Pin threads to cores: on or off.") var pin: String?
  @Option(help: "Memory for pages: 256MiB.") var memory: String?
  @Option(help: "Reads under the leader's lease: on or off.") var leases: String?
  @Option(help: "How long the loop looks for new work before it sleeps, while clients work: 200us, or off.")
  var busyPoll: String?
  @Option(help: "How long replaced and deleted versions of rows are kept: 1m, or off.") var historyRetention: String?
  @Option(help: "Within this time everything on the disk is read again and compared: 168h, or off.")
  var scrubEvery: String?
  @Option(help: "Most bytes on disk.") var diskLimit: String?
  @Option(help: "Key for encryption at rest.") var encryptionKeyFile: String?
  @Option(help: "Fault injection, for tests: on or off.") var faults: String?
  @Option(help: "Plain text, on loopback only: on or off.") var insecure: String?
  @Option(help: "Level of the log (debug, info, warning, error), or LEVEL:FILE.") var log: String?

  func run() throws {
    let code = runNode(config: config, flags: flags, checkOnly: check)
    if code != 0 { throw ExitCode(code) }
  }

  private var flags: [(Setting, String)] {
    let given: [(Setting, String?)] = [
      (.cluster, cluster), (.node, node), (.address, address), (.data, data), (.ca, ca), (.certificate, certificate),
      (.key, key), (.peers, peers), (.cores, cores), (.lanes, lanes), (.pin, pin), (.memory, memory),
      (.leases, leases), (.busyPoll, busyPoll), (.historyRetention, historyRetention), (.scrubEvery, scrubEvery),
      (.diskLimit, diskLimit), (.encryptionKeyFile, encryptionKeyFile), (.faults, faults), (.insecure, insecure),
      (.log, log),
    ]
    return given.compactMap { setting, text in text.map { (setting, $0) } }
  }
}
