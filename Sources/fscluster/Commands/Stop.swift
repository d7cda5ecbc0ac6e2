import ArgumentParser
import Foundation

/// `fscluster stop [NODE…]`: ends nodes of this machine.
struct Stop: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Stop nodes of this machine.",
    discussion: "A node hands its leadership over and answers what it has begun, for at most 30 s (SIGTERM).")

  @Argument(help: "Nodes to stop; all of the directory if none is named.") var nodes: [String] = []
  @Flag(help: "Kill them at once (SIGKILL). No acknowledged write is lost.") var force = false
  @OptionGroup var local: LocalOptions

  func run() throws(CommandError) {
    let directory = try ClusterDirectory.named(local.directory)
    let stopped = try NodeStopper(directory: directory, force: force).stop(directory.nodes(nodes))
    local.print(stopped) { node in
      node.pid.map { "\(node.node)  stopped  (was pid \($0))" } ?? "\(node.node)  was not running"
    }
  }
}

/// `fscluster restart [NODE…]`: one node after the other, so that the cluster goes on serving.
struct Restart: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Restart nodes of this machine, one after the other.")

  @Argument(help: "Nodes to restart; all of the directory if none is named.") var nodes: [String] = []
  @Flag(help: "Kill them at once (SIGKILL) instead of asking.") var force = false
  @OptionGroup var local: LocalOptions

  func run() throws(CommandError) {
    let directory = try ClusterDirectory.named(local.directory)
    var all: [StartedNode] = []
    for node in try directory.nodes(nodes) {
      _ = try NodeStopper(directory: directory, force: force).stop([node])
      let started = try NodeStarter(directory: directory).start([node])
      for one in started where !local.json { Console.out("\(one.node)  \(one.address)  restarted  pid \(one.pid)") }
      all += started
    }
    if local.json { Console.out(Console.json(all)) }
  }
}

/// A node that does not run any more; `pid` is nil when it did not before.
struct StoppedNode: Codable, Equatable {
  var node: String
  var pid: Int32?
}

struct NodeStopper {
  /// The node's own limit is 30 s.
  static let graceSeconds = 35.0

  let directory: ClusterDirectory
  let force: Bool

  func stop(_ nodes: [String]) throws(CommandError) -> [StoppedNode] {
    var stopped: [StoppedNode] = []
    for node in nodes {
      let pid = directory.process(of: node).running()
      if let pid { try signal(pid, of: node) }
      stopped.append(StoppedNode(node: node, pid: pid))
    }
    for node in stopped {
      if let pid = node.pid, !NodeProcess.awaitEnd(pid, seconds: NodeStopper.graceSeconds) {
        throw .failed(
          "\(node.node) (pid \(pid)) did not end within \(Int(NodeStopper.graceSeconds)) s",
          next: "Kill it with `fscluster stop \(node.node) --force`; nothing acknowledged is lost.")
      }
      unlink(directory.process(of: node.node).pidFile)
    }
    return stopped
  }

  private func signal(_ pid: Int32, of node: String) throws(CommandError) {
    guard kill(pid, force ? SIGKILL : SIGTERM) == 0 || errno == ESRCH else {
      throw .failed(
        "\(node) (pid \(pid)) cannot be stopped: \(String(cString: strerror(errno)))",
        next: "Run the command as the user who started the node, or as root.")
    }
  }
}
