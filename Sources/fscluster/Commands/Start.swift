import ArgumentParser
import FileStoreClient
import Foundation
import Ring

/// `fscluster start [NODE…]`: starts nodes of this machine and waits until they serve.
struct Start: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Start nodes of this machine; waits until they serve.")

  @Argument(help: "Nodes to start; all of the directory if none is named.") var nodes: [String] = []
  @OptionGroup var local: LocalOptions

  func run() throws(CommandError) {
    let directory = try ClusterDirectory.named(local.directory)
    let started = try NodeStarter(directory: directory).start(directory.nodes(nodes))
    local.print(started) { "\($0.node)  \($0.address)  \($0.wasRunning ? "was running" : "started")  pid \($0.pid)" }
  }
}

/// Options of the commands that work on a directory.
struct LocalOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Directory of the cluster (default: ./filestore).", valueName: "dir"))
  var directory: String?

  @Flag(help: "Print the result as JSON.") var json = false

  /// Prints one line a value, or all of them as one JSON array.
  func print<T: Encodable>(_ values: [T], _ line: (T) -> String) {
    if json {
      Console.out(Console.json(values))
    } else {
      for value in values { Console.out(line(value)) }
    }
  }
}

/// A node that runs.
struct StartedNode: Codable, Equatable {
  var node: String
  var address: String
  var pid: Int32
  var wasRunning: Bool
}

/// Starts nodes and waits for their readiness.
struct NodeStarter {
  /// For all nodes together: they need each other to become ready.
  static let readySeconds = 30.0

  let directory: ClusterDirectory

  func start(_ nodes: [String]) throws(CommandError) -> [StartedNode] {
    let program = try NodeStarter.program()
    var started: [StartedNode] = []
    for node in nodes where directory.process(of: node).running() == nil { try checkPort(of: node) }
    for node in nodes {
      let process = directory.process(of: node)
      let address = try directory.address(of: node).description
      if let pid = process.running() {
        started.append(StartedNode(node: node, address: address, pid: pid, wasRunning: true))
      } else {
        let pid = try process.start(program: program)
        started.append(StartedNode(node: node, address: address, pid: pid, wasRunning: false))
      }
    }
    try awaitReady(started)
    return started
  }

  /// `filestored` stands beside this program.
  static func program() throws(CommandError) -> String {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("filestored").path
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw .usage("\(path) is missing", next: "Build it with `swift build -c release --product filestored`.")
    }
    return path
  }

  /// Binds the node's address for a moment: the kernel knows best whether a node could.
  func checkPort(of node: String) throws(CommandError) {
    let address = try directory.address(of: node)
    let socket: SocketAddress
    do throws(SocketAddress.Refusal) { socket = try SocketAddress(address.description) } catch {
      throw .usage("\(node) cannot start: \(error)")
    }
    do throws(SystemError) { _ = try Listener(socket) } catch { throw refusal(node, address, error) }
  }

  private func refusal(_ node: String, _ address: NodeAddress, _ error: SystemError) -> CommandError {
    guard error.isAddressInUse else {
      return .usage("\(node) cannot listen on \(address): \(error)", next: "Is it an address of this machine?")
    }
    let holder = PortHolder.find(port: address.port)?.description ?? "a process of another user (root can see which)"
    return .usage(
      "\(node) cannot start: \(address) is taken by \(holder)",
      next: "Stop that process, or make the cluster with other addresses.")
  }

  private func awaitReady(_ nodes: [StartedNode]) throws(CommandError) {
    let end = Monotonic.now() + NodeStarter.readySeconds
    let cluster = try Cluster(directory.clientConfiguration(identity: .none))
    var waiting = nodes
    var reasons: [String: String] = [:]
    while true {
      var still: [StartedNode] = []
      for node in waiting {
        guard NodeProcess.isAlive(node.pid), NodeProcess.awaitEnd(node.pid, seconds: 0) == false else {
          throw died(node)
        }
        reasons[node.node] = notReady(node, cluster)
        if reasons[node.node] != nil { still.append(node) }
      }
      waiting = still
      if waiting.isEmpty { return }
      guard Monotonic.now() < end else { throw late(waiting, reasons) }
      usleep(50_000)
    }
  }

  /// Nil when the node serves; otherwise what it says.
  private func notReady(_ node: StartedNode, _ cluster: Cluster) -> String? {
    var request = ClientRequest(.get, "/readyz")
    request.endpoint = directory.file.nodeNames.firstIndex(of: node.node)
    request.retries = false
    request.timeoutMilliseconds = 2000
    request.attemptMilliseconds = 2000
    do throws(ClientError) {
      let response = try cluster.client.send(request)
      if response.status == 200 { return nil }
      let text = String(decoding: response.body.prefix(200), as: UTF8.self)
      return response.problem.flatMap { $0.code.hasPrefix("http-") ? nil : $0.detail } ?? text
    } catch { return error.description }
  }

  private func died(_ node: StartedNode) -> CommandError {
    let process = directory.process(of: node.node)
    return .failed(
      "\(node.node) ended right after its start",
      next: "Its log (\(process.log)) ends with:\n" + process.lastLines().map { "  " + $0 }.joined(separator: "\n"))
  }

  private func late(_ nodes: [StartedNode], _ reasons: [String: String]) -> CommandError {
    let names = nodes.map(\.node).joined(separator: ", ")
    let reason = nodes.compactMap { reasons[$0.node] }.first.map { ": \($0)" } ?? ""
    return .failed(
      "not ready after \(Int(NodeStarter.readySeconds)) s: \(names)\(reason)",
      next: "It keeps running. A node serves once a majority of the nodes is up; see `fscluster status` and "
        + nodes.map { directory.process(of: $0.node).log }.joined(separator: ", ") + ".")
  }
}
