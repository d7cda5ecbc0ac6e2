import FileStoreClient
import Foundation
import Primitives
import Synchronization

/// Three nodes on this machine, in a temporary directory. They are made and started by `fscluster`; only processes that it
/// reported as started here are ever killed, by their pids.
final class LocalCluster: Sendable {
  static let nodes = ["n1", "n2", "n3"]

  let directory: String
  private let binaries: String
  let ports: [UInt16]
  private let token: String
  /// The processes that run, as far as we know. Empty for good after `dispose`.
  private let pids = Mutex<[String: Int32]>([:])

  private var addresses: [String] { ports.map { "127.0.0.1:\($0)" } }

  private init(directory: String, binaries: String, ports: [UInt16], token: String) {
    self.directory = directory
    self.binaries = binaries
    self.ports = ports
    self.token = token
  }

  /// `settings` are lines for the nodes' files, in place of those of the same names.
  static func make(binaries: String, seed: UInt64, settings: [String] = []) throws(ChaosError) -> LocalCluster {
    let fscluster = binaries + "/fscluster"
    guard access(fscluster, X_OK) == 0, access(binaries + "/filestored", X_OK) == 0 else {
      throw ChaosError(
        message: "fscluster and filestored are not in \(binaries): swift build -c release --static-swift-stdlib",
        isUsage: true)
    }
    // /tmp often stands in memory, where flushes mean nothing.
    let base = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/var/tmp"
    let parent = URL(fileURLWithPath: base).resolvingSymlinksInPath().path + "/filestore-chaos.\(getpid())"
    guard mkdir(parent, 0o700) == 0 else {
      throw ChaosError(message: "\(parent) cannot be made: \(String(cString: strerror(errno)))", isUsage: true)
    }
    let directory = parent + "/cluster"
    do throws(ChaosError) {
      let ports = try FreePorts.choose(nodes.count, seed: seed)
      let named = ports.flatMap { ["--node", "127.0.0.1:\($0)"] }
      _ = try Program.run(fscluster, ["init", "--name", "chaos"] + named + [directory])
      for node in nodes { try set(settings, in: "\(directory)/\(node)/config.yaml") }
      let token = try Program.run(fscluster, ["token", "--user", "chaos", "--directory", directory])
      return LocalCluster(
        directory: directory, binaries: binaries, ports: ports,
        token: token.trimmingCharacters(in: .whitespacesAndNewlines))
    } catch {
      try? FileManager.default.removeItem(atPath: parent)
      throw error
    }
  }

  private static func set(_ settings: [String], in path: String) throws(ChaosError) {
    let names = settings.map { $0.prefix { $0 != ":" } + ":" }
    do {
      let lines = try String(contentsOfFile: path, encoding: .utf8).split(
        separator: "\n", omittingEmptySubsequences: false)
      let rest = lines.filter { line in !line.isEmpty && !names.contains { line.hasPrefix($0) } }
      let text = (rest.map(String.init) + settings).joined(separator: "\n") + "\n"
      try text.write(toFile: path, atomically: true, encoding: .utf8)
    } catch { throw ChaosError(message: "\(path) cannot be changed: \(error)") }
  }

  // MARK: processes

  private struct Started: Decodable {
    var node: String
    var pid: Int32
  }

  /// Starts nodes and waits until they serve.
  func start(_ names: [String]) throws(ChaosError) {
    let output = try Program.run(
      binaries + "/fscluster", ["start"] + names + ["--directory", directory, "--json"])
    guard let started = try? JSONDecoder().decode([Started].self, from: Data(output.utf8)) else {
      throw ChaosError(message: "fscluster start answered what was not understood: \(output)")
    }
    pids.withLock { pids in
      for one in started { pids[one.node] = one.pid }
    }
  }

  /// Signal 9, to all of them before any is waited for. The moment is that of the first signal.
  func kill(_ names: [String]) throws(ChaosError) -> Instant {
    var victims: [Int32] = []
    for name in names {
      guard let pid = pids.withLock({ $0.removeValue(forKey: name) }), isOurs(pid, name) else {
        throw ChaosError(message: "\(name) does not run: it ended by itself")
      }
      victims.append(pid)
    }
    let moment = Clock.now()
    for pid in victims { Glibc.kill(pid, SIGKILL) }
    for pid in victims where !Self.awaitEnd(pid) {
      throw ChaosError(message: "process \(pid) lives on after signal 9")
    }
    return moment
  }

  func pid(of name: String) -> Int32? { pids.withLock { $0[name] } }

  /// What each running node uses now.
  func samples() -> [String: ProcessSample] {
    pids.withLock { $0 }.reduce(into: [:]) { samples, one in
      samples[one.key] = ProcessSample(pid: one.value, data: "\(directory)/\(one.key)/data")
    }
  }

  /// The process runs with the node's configuration file: a pid alone may have gone to somebody else.
  private func isOurs(_ pid: Int32, _ name: String) -> Bool {
    guard let bytes = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") else { return false }
    return bytes.split(separator: 0).contains { $0.elementsEqual("\(directory)/\(name)/config.yaml".utf8) }
  }

  private static func awaitEnd(_ pid: Int32) -> Bool {
    for _ in 0..<1000 {
      guard let stat = ProcessSample.processor(pid), stat.state != "Z", stat.state != "X" else { return true }
      Clock.sleep(.milliseconds(5))
    }
    return false
  }

  /// Kills what still runs and removes the directory. Can be called twice.
  func dispose(keepFiles: Bool) {
    let rest = pids.withLock { pids in
      defer { pids = [:] }
      return pids
    }
    for (name, pid) in rest where isOurs(pid, name) {
      Glibc.kill(pid, SIGKILL)
      _ = Self.awaitEnd(pid)
    }
    if keepFiles {
      say("the cluster's files are left in \(directory)")
    } else {
      try? FileManager.default.removeItem(atPath: (directory as NSString).deletingLastPathComponent)
    }
  }

  // MARK: clients

  /// A client that asks node `first` before the others.
  func client(first: Int = 0) throws(ChaosError) -> Client {
    let order = (0..<addresses.count).map { addresses[($0 + first) % addresses.count] }
    let configuration = ClientConfiguration(
      endpoints: order.compactMap { Endpoint("https://" + $0) }, authority: directory + "/ca/nodes.pem",
      identity: .token(token))
    do throws(ClientError) { return try Client(configuration) } catch {
      throw ChaosError(message: "no client can be made: \(error)")
    }
  }
}
