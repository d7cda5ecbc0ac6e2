import Foundation

/// The directory of a cluster with nodes on this machine, and where things stand in it.
///
///     DIR/cluster.yaml                          name, id, addresses
///     DIR/ca/nodes.pem nodes.key                CA of the nodes' certificates; clients verify servers by nodes.pem
///     DIR/ca/clients.pem clients.key            CA of the clients' certificates; its key signs tokens
///     DIR/client/admin.pem admin.key            a client certificate of the user admin
///     DIR/n1/config.yaml node.pem node.key      a node's settings and identity
///     DIR/n1/data/ log pid                      what it keeps, writes and is
struct ClusterDirectory {
  static let standard = "./filestore"

  /// Absolute, symbolic links resolved: it is compared with the arguments of running processes.
  let path: String
  let file: ClusterFile

  init(_ path: String) throws(CommandError) {
    let url = URL(fileURLWithPath: path).resolvingSymlinksInPath()
    self.path = url.path
    let description = url.appendingPathComponent("cluster.yaml")
    guard let text = try? String(contentsOf: description, encoding: .utf8) else {
      throw .usage(
        "there is no cluster in \(path)",
        next: "Make one with `fscluster init`, or name its directory with --directory.")
    }
    file = try ClusterFile.parse(text)
  }

  func inside(_ name: String) -> String { path + "/" + name }
  func inside(_ node: String, _ name: String) -> String { path + "/" + node + "/" + name }

  var nodeAuthority: String { inside("ca/nodes.pem") }
  var clientAuthority: String { inside("ca/clients.pem") }
  var clientAuthorityKey: String { inside("ca/clients.key") }
  var adminCertificate: String { inside("client/admin.pem") }
  var adminKey: String { inside("client/admin.key") }

  func process(of node: String) -> NodeProcess {
    NodeProcess(
      configuration: inside(node, "config.yaml"), pidFile: inside(node, "pid"), log: inside(node, "log"))
  }

  func address(of node: String) throws(CommandError) -> NodeAddress {
    guard let text = file.nodes[node] else { throw unknown(node) }
    return try NodeAddress(text)
  }

  /// The nodes to work on: those named, in the cluster's order, or all of them.
  func nodes(_ named: [String]) throws(CommandError) -> [String] {
    for name in named where file.nodes[name] == nil { throw unknown(name) }
    return file.nodeNames.filter { named.isEmpty || named.contains($0) }
  }

  private func unknown(_ node: String) -> CommandError {
    .usage("the cluster in \(path) has no node `\(node)`", next: "It has \(file.nodeNames.joined(separator: ", ")).")
  }

  /// As the node's settings say; where `init` put it, without them.
  func data(of node: String) -> String {
    guard let text = try? String(contentsOfFile: inside(node, "config.yaml"), encoding: .utf8),
      let data = NodeConfiguration.paths(text).data
    else { return inside(node, "data") }
    return data.hasPrefix("/") ? data : inside(node, data)
  }

  func isInsecure(_ node: String) -> Bool {
    guard let text = try? String(contentsOfFile: inside(node, "config.yaml"), encoding: .utf8) else { return false }
    return NodeConfiguration.isInsecure(text)
  }

  /// `https://127.0.0.1:7101`; `http` for a node whose settings say `insecure: true`.
  func endpoint(of node: String) throws(CommandError) -> String {
    "\(isInsecure(node) ? "http" : "https")://\(try address(of: node))"
  }
}
