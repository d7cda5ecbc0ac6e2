import ArgumentParser
import Foundation
import Primitives
import Transport

/// `fscluster init`: makes a cluster on this machine: authorities, certificates, formatted data, settings of each node.
struct Init: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make a cluster of three nodes: certificates, settings and formatted data.",
    discussion: """
      Example: fscluster init --name demo --node 127.0.0.1:7101 --node 127.0.0.1:7102 --node 127.0.0.1:7103

      DIR must not exist. Afterwards: fscluster start --directory DIR
      """)

  @Argument(help: ArgumentHelp("Directory of the new cluster (default: ./filestore).", valueName: "dir"))
  var place: String?
  @Option(help: ArgumentHelp("The same as an option, as the other commands have it.", valueName: "dir"))
  var directory: String?
  @Option(help: ArgumentHelp("Name of the cluster.", valueName: "name")) var name = "filestore"
  @Option(
    name: .customLong("node"),
    help: ArgumentHelp("HOST:PORT of a node; three of them: n1, n2, n3.", valueName: "address"))
  var addresses: [String] = []
  @Flag(help: "Plain text instead of TLS; only for tests, only on loopback addresses.") var insecure = false
  @Flag(help: "Print the result as JSON.") var json = false

  private struct Made: Codable {
    var directory: String
    var name: String
    var id: String
    var nodes: [String: String]
  }

  func validate() throws {
    if place != nil, directory != nil { throw ValidationError("The directory is named twice.") }
  }

  func run() throws(CommandError) {
    let directory = place ?? directory ?? ClusterDirectory.standard
    let plan = try ClusterPlan(name: name, addresses: addresses, insecure: insecure)
    let maker = ClusterMaker(plan: plan, path: URL(fileURLWithPath: directory).path)
    try maker.make()
    if json {
      let nodes = plan.file.nodes
      Console.out(Console.json(Made(directory: maker.path, name: name, id: plan.file.id, nodes: nodes)))
    } else {
      Console.out("cluster \(name) with the nodes \(plan.file.nodeNames.joined(separator: ", ")) made in \(directory)")
      Console.out("start it with: fscluster start --directory \(directory)")
    }
  }
}

/// What is to be made, checked.
struct ClusterPlan {
  let file: ClusterFile
  let addresses: [NodeAddress]
  let insecure: Bool

  init(name: String, addresses texts: [String], insecure: Bool) throws(CommandError) {
    try ClusterFile.checkName(name)
    guard texts.count == 3 else {
      throw .usage(
        "a cluster is made with three nodes, not \(texts.count)",
        next: "Give --node ADDRESS three times, for instance --node 127.0.0.1:7101.")
    }
    var addresses: [NodeAddress] = []
    for text in texts {
      let address = try NodeAddress(text)
      guard !addresses.contains(address) else { throw .usage("two nodes cannot have the address \(address)") }
      guard !insecure || address.isLoopback else {
        throw .usage("--insecure is for loopback addresses only, not \(address)", next: "Leave --insecure out.")
      }
      addresses.append(address)
    }
    self.addresses = addresses
    self.insecure = insecure
    var nodes: [String: String] = [:]
    for (index, address) in addresses.enumerated() { nodes["n\(index + 1)"] = address.description }
    let id = Entropy.bytes(16).map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
    file = ClusterFile(name: name, id: id, nodes: nodes)
  }
}

/// Makes the directory of a plan, all of it or nothing: it grows under another name and is renamed at the end.
struct ClusterMaker {
  let plan: ClusterPlan
  let path: String
  private var growing: String { path + ".making" }

  init(plan: ClusterPlan, path: String) {
    self.plan = plan
    self.path = path
  }

  func make() throws(CommandError) {
    guard access(path, F_OK) != 0 else {
      throw .usage("\(path) exists", next: "Name another directory, or remove it if its data is not needed.")
    }
    try? FileManager.default.removeItem(atPath: growing)
    do throws(CommandError) {
      try directory("")
      try makeIdentities()
      for node in plan.file.nodeNames { try makeNode(node) }
      try DataFormat(plan: plan).format { growing + "/\($0)/data" }
      try write("cluster.yaml", plan.file.yaml, mode: 0o644)
    } catch {
      try? FileManager.default.removeItem(atPath: growing)
      throw error
    }
    guard rename(growing, path) == 0 else {
      throw .failed("\(path) cannot be made: \(String(cString: strerror(errno)))")
    }
    sync()
  }

  /// The two authorities and what they sign.
  private func makeIdentities() throws(CommandError) {
    try directory("/ca")
    try directory("/client")
    do throws(TLSRefusal) {
      let nodes = try CertificateAuthority(name: "FileStore \(plan.file.name) nodes")
      let clients = try CertificateAuthority(name: "FileStore \(plan.file.name) clients")
      try nodes.credentials.write(certificateFile: growing + "/ca/nodes.pem", keyFile: growing + "/ca/nodes.key")
      try clients.credentials.write(certificateFile: growing + "/ca/clients.pem", keyFile: growing + "/ca/clients.key")
      try clients.issueClient(user: "admin", validity: .days(3650)).write(
        certificateFile: growing + "/client/admin.pem", keyFile: growing + "/client/admin.key")
      for (index, address) in plan.addresses.enumerated() {
        let node = NodeID(UInt32(index + 1))
        guard mkdir(growing + "/\(node)", 0o700) == 0 else { throw TLSRefusal("\(node)", "mkdir failed") }
        try nodes.issueNode(cluster: plan.file.id, id: node, hosts: [address.host]).write(
          certificateFile: growing + "/\(node)/node.pem", keyFile: growing + "/\(node)/node.key")
      }
    } catch { throw .failed("the certificates cannot be made: \(error)") }
  }

  private func makeNode(_ node: String) throws(CommandError) {
    let nodes = plan.file.nodeNames.map { ($0, plan.file.nodes[$0] ?? "") }
    let configuration = NodeConfiguration(
      cluster: plan.file.name, node: node, nodes: nodes, insecure: plan.insecure)
    try write("\(node)/config.yaml", configuration.yaml, mode: 0o644)
  }

  private func directory(_ name: String) throws(CommandError) {
    guard mkdir(growing + name, 0o700) == 0 else {
      throw .usage("\(growing + name) cannot be made: \(String(cString: strerror(errno)))")
    }
  }

  private func write(_ name: String, _ text: String, mode: Int) throws(CommandError) {
    guard
      FileManager.default.createFile(
        atPath: growing + "/" + name, contents: Data(text.utf8), attributes: [.posixPermissions: mode])
    else { throw .failed("\(growing)/\(name) cannot be written") }
  }
}
