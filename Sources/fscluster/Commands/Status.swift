import ArgumentParser
import FileStoreClient
import Foundation
import Tables

/// `fscluster status`: health, nodes and what limits now.
struct Status: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show health, nodes and what limits now. Exit code 3: degraded.")

  @Flag(help: "Show it again every second, until interrupted.") var watch = false
  @Flag(help: "Print the result as JSON, one object a line.") var json = false
  @OptionGroup var connection: ConnectionOptions

  struct Report {
    var cluster: ClusterAnswer
    var nodes: [NodeList.Node]
    /// Both answers as they came.
    var json: String
  }

  func run() throws(CommandError) {
    let cluster = try Cluster(connection.clientConfiguration())
    guard watch else {
      let report = try ask(cluster)
      show(report)
      if report.cluster.health != "ok" { throw .silent(.degraded) }
      return
    }
    while true {
      do throws(CommandError) {
        let report = try ask(cluster)
        if !json, Console.outputIsTerminal { Console.write(Array("\u{1B}[H\u{1B}[2J".utf8), to: 1) }
        show(report)
      } catch {
        Console.write(Array(error.text.utf8), to: 2)
      }
      sleep(1)
    }
  }

  private func ask(_ cluster: Cluster) throws(CommandError) -> Report {
    let about = try cluster.send(request("/v1/cluster")).body
    let nodes = try cluster.send(request("/v1/nodes")).body
    return Report(
      cluster: try Cluster.decode(ClusterAnswer.self, about, of: "/v1/cluster"),
      nodes: try Cluster.decode(NodeList.self, nodes, of: "/v1/nodes").nodes,
      json: "{\"cluster\":\(String(decoding: about, as: UTF8.self)),\"nodes\":\(Status.list(nodes))}")
  }

  /// Somebody waits before the screen.
  private func request(_ path: String) -> ClientRequest {
    var request = ClientRequest(.get, path)
    request.timeoutMilliseconds = 5000
    return request
  }

  /// The value of the member `nodes`, with all that the server says.
  private static func list(_ body: [UInt8]) -> String {
    guard case .object(let members)? = try? JSONValue.parse(body),
      let list = members.first(where: { $0.name == "nodes" })
    else { return "[]" }
    return String(decoding: list.value.bytes, as: UTF8.self)
  }

  private func show(_ report: Report) {
    if json { return Console.out(report.json) }
    for line in Status.lines(report) { Console.out(line) }
  }

  static func lines(_ report: Report) -> [String] {
    let cluster = report.cluster
    var lines = [
      "cluster \(cluster.name)  \(cluster.health), \(tolerance(cluster.failuresTolerated))",
      "version \(cluster.version)  id \(cluster.id)", "",
    ]
    var table = [["node", "address", "state", "shard", "role", "term", "applied", "state hash", "rows", "log"]]
    for node in report.nodes {
      let start = [node.id, node.address, node.state]
      if node.replicas.isEmpty { table.append(start + Array(repeating: "-", count: 7)) }
      for replica in node.replicas { table.append(start + cells(replica)) }
    }
    lines += Humane.table(table, right: [5, 6, 8, 9])
    lines.append("")
    lines += disks(report.nodes) + scrubs(report.nodes) + memory(report.nodes)
    lines.append(cluster.limits.isEmpty ? "Nothing limits now." : "Limits now:")
    lines += cluster.limits.map { "- " + $0 }
    return lines
  }

  private static func cells(_ replica: NodeList.Replica) -> [String] {
    [
      String(replica.shard), replica.role, String(replica.term), String(replica.appliedIndex), replica.stateHash ?? "-",
      replica.rows.map { Humane.count(Int($0)) } ?? "-", replica.logBytes.map(Humane.bytes) ?? "-",
    ]
  }

  private static func disks(_ nodes: [NodeList.Node]) -> [String] {
    var table = [["disk", "data", "garbage", "free", "log", "limit"]]
    for node in nodes {
      guard let disk = node.disk else { continue }
      let bytes = [disk.data, disk.garbage, disk.free, disk.log].map(Humane.bytes)
      table.append([node.id] + bytes + [disk.limit.map(Humane.bytes) ?? "none"])
    }
    return table.count > 1 ? Humane.table(table, right: [1, 2, 3, 4, 5]) + [""] : []
  }

  private static func scrubs(_ nodes: [NodeList.Node]) -> [String] {
    var table = [["scrub", "state", "done", "passes", "last finished", "damage found", "rewritten"]]
    for node in nodes {
      guard let scrub = node.scrub else { continue }
      let last = scrub.finishedSecondsAgo.map { Humane.seconds(Double($0)) + " ago" } ?? "-"
      table.append([
        node.id, scrub.state, scrub.percent.map { "\($0) %" } ?? "-", String(scrub.passes), last,
        String(scrub.damageFound), String(scrub.damageRewritten),
      ])
    }
    return table.count > 1 ? Humane.table(table, right: [2, 3, 4, 5, 6]) + [""] : []
  }

  private static func memory(_ nodes: [NodeList.Node]) -> [String] {
    var table = [["memory", "resident", "budget"]]
    for node in nodes {
      guard let memory = node.memory else { continue }
      table.append([node.id, Humane.bytes(memory.resident), Humane.bytes(memory.budget)])
    }
    return table.count > 1 ? Humane.table(table, right: [1, 2]) + [""] : []
  }

  private static func tolerance(_ failures: Int) -> String {
    switch failures {
    case ..<1: "survives no further failure"
    case 1: "survives the failure of one node"
    default: "survives the failure of \(failures) nodes"
    }
  }
}
