import FileStoreClient
import Foundation
import Node
import Primitives
import Raft
import Ring
import Server
import Store
import Transport

/// A cluster of one node or three on free ports of 127.0.0.1, in a directory of its own that goes with it.
package final class TestCluster {
  package let directory: String
  package let name: String
  package let id: String
  package let ports: [UInt16]
  package let isInsecure: Bool
  package let nodeAuthority: CertificateAuthority
  package let clientAuthority: CertificateAuthority
  package private(set) var nodes: [RunningNode?]
  /// The data directory of each node now.
  private var data: [String]

  package init(nodes count: Int, name: String = "test", isInsecure: Bool = false) throws {
    directory = try temporaryDirectory()
    self.name = name
    self.isInsecure = isInsecure
    ports = try freePorts(count)
    nodes = Array(repeating: nil, count: count)
    data = Array(repeating: "data", count: count)
    let bytes = Entropy.bytes(16)
    id = bytes.map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
    nodeAuthority = try CertificateAuthority(name: "nodes")
    clientAuthority = try CertificateAuthority(name: "clients")
    try FileSystem.makeDirectory(directory + "/ca")
    try nodeAuthority.credentials.write(
      certificateFile: directory + "/ca/nodes.pem", keyFile: directory + "/ca/nodes.key")
    try clientAuthority.credentials.write(
      certificateFile: directory + "/ca/clients.pem", keyFile: directory + "/ca/clients.key")
    let members = (1...UInt32(count)).map { Member(node: NodeID($0), incarnation: Incarnation(Entropy.number() | 1)) }
    for member in members { try format(member, cluster: bytes, founders: members) }
  }

  private func format(_ member: Member, cluster: [UInt8], founders: [Member]) throws {
    let path = directory + "/\(member.node)"
    for part in ["", "/data", "/data/lane-0", "/data/lane-0/log"] { try FileSystem.makeDirectory(path + part) }
    let identity = StoreIdentity(
      cluster: cluster, node: member.node, lane: LaneID(0), incarnation: member.incarnation, directory: Entropy.number()
    )
    let pages = formatLane(identity: identity, founders: Raft.Configuration(voters: founders))
    try FileSystem.replace(path + "/data/lane-0/pages", with: pages)
    try nodeAuthority.issueNode(cluster: id, id: member.node).write(
      certificateFile: path + "/node.pem", keyFile: path + "/node.key")
  }

  /// Ends all nodes and removes the directory.
  package func destroy() {
    for node in nodes { node?.signal() }
    for node in nodes where node?.end == nil { node?.stop() }
    try? FileManager.default.removeItem(atPath: directory)
  }

  // MARK: - Nodes

  package func path(_ node: Int, _ file: String = "") -> String { directory + "/n\(node)/" + file }

  /// The settings of a node, as its configuration file would say them. `changes` come last, as flags do.
  package func configuration(
    _ node: Int, _ changes: [(Setting, String)] = []
  ) throws(ConfigurationRefusal) -> EffectiveSettings {
    let peers = ports.enumerated().map { "n\($0 + 1)=127.0.0.1:\($1)" }.joined(separator: ",")
    var raw = RawSettings()
    let values: [(Setting, String)] = [
      (.cluster, name), (.node, "n\(node)"), (.address, "127.0.0.1:\(ports[node - 1])"),
      (.data, path(node, data[node - 1])), (.ca, directory + "/ca"), (.certificate, path(node, "node.pem")),
      (.key, path(node, "node.key")), (.peers, peers),
      (.insecure, isInsecure ? "on" : "off"),
    ]
    for (setting, text) in values + changes { raw.readFlag(setting, text) }
    return try EffectiveSettings(raw)
  }

  /// Begins to start nodes (all of them, if none is named).
  package func start(
    _ named: Int..., changes: [(Setting, String)] = [], limits: EdgeLimits = EdgeLimits(),
    prepare: @escaping @Sendable (Server) -> Void = { _ in }
  ) throws {
    for node in named.isEmpty ? Array(1...ports.count) : named {
      nodes[node - 1] = try RunningNode(
        configuration(node, changes), log: path(node, "log"), limits: limits, prepare: prepare)
    }
  }

  /// Starts a node that has stopped, on a copy of its data: the old server, which is never freed, holds the lock.
  package func startAgain(_ node: Int, changes: [(Setting, String)] = []) throws {
    let copy = data[node - 1] + "+"
    try FileManager.default.copyItem(atPath: path(node, data[node - 1]), toPath: path(node, copy))
    data[node - 1] = copy
    try start(node, changes: changes)
  }

  package func node(_ number: Int) -> RunningNode {
    guard let node = nodes[number - 1] else { preconditionFailure("n\(number) was started") }
    return node
  }

  // MARK: - Clients

  package func token(user: String = "tester", seconds: Int = 3600, cluster: String? = nil) throws -> String {
    let expires = UInt64(Int(Date().timeIntervalSince1970) + seconds)
    return try TokenAuthority(key: .text(clientAuthority.credentials.key)).issue(
      TokenClaims(user: user, cluster: cluster ?? id, expires: expires))
  }

  package var endpoints: [Endpoint] {
    ports.map { Endpoint(isSecure: !isInsecure, host: "127.0.0.1", port: $0) }
  }

  package func client(_ identity: ClientIdentity? = nil) throws -> TestClient {
    let identity = try identity ?? .token(token())
    return TestClient(
      try Client(
        ClientConfiguration(endpoints: endpoints, authority: directory + "/ca/nodes.pem", identity: identity)))
  }
}

/// Asks one node at a time and takes the first answer.
package final class TestClient {
  package let client: Client

  init(_ client: Client) { self.client = client }

  package func ask(
    _ method: ClientRequest.Method, _ path: String, _ body: String = "", headers: [Header] = [], node: Int = 1,
    milliseconds: UInt32 = 30_000
  ) throws(ClientError) -> ClientResponse {
    var request = ClientRequest(method, path, body: Array(body.utf8), mayRepeat: false)
    request.headers = headers
    request.endpoint = node - 1
    request.retries = false
    request.timeoutMilliseconds = milliseconds + 1000
    request.attemptMilliseconds = milliseconds
    return try client.send(request)
  }

  /// Until the node says that it serves.
  package func waitUntilReady(_ nodes: Int..., seconds: Double = 60) -> Bool {
    nodes.allSatisfy { node in
      waitUntil(seconds: seconds) {
        do throws(ClientError) { return try ask(.get, "/readyz", node: node, milliseconds: 1000).status == 200 } catch {
          return false
        }
      }
    }
  }

  /// The number of one metric without labels, or with those that `name` holds.
  package func metric(_ name: String, node: Int = 1) throws(ClientError) -> Double? {
    let lines = try ask(.get, "/metrics", node: node).text.split(separator: "\n")
    return lines.first { $0.hasPrefix(name + " ") }.flatMap { Double($0.dropFirst(name.count + 1)) }
  }
}

extension ClientResponse {
  package var text: String { String(decoding: body, as: UTF8.self) }
}

package func temporaryDirectory() throws -> String {
  let path = NSTemporaryDirectory() + "filestore-test-" + UUID().uuidString
  try FileSystem.makeDirectory(path)
  return path
}

/// Ports of 127.0.0.1 that nobody listens on. They lie below those that the kernel gives to outgoing connections and to
/// listeners without a port of their own, and in this process each is handed out once: nobody takes one before its node does.
package func freePorts(_ count: Int) throws -> [UInt16] { try (0..<count).map { _ in try FreePorts.next() } }

private enum FreePorts {
  private static let handedOut = Locked<Set<UInt16>>([])

  static func next() throws -> UInt16 {
    while true {
      let port = UInt16.random(in: 12_000..<32_000)
      if handedOut.withLock({ $0.insert(port).inserted }), try isFree(port) { return port }
    }
  }

  private static func isFree(_ port: UInt16) throws -> Bool {
    let address = try SocketAddress("127.0.0.1:\(port)")
    do throws(SystemError) { _ = Holder(try Listener(address)) } catch {
      guard error.isAddressInUse else { throw error }
      return false
    }
    return true
  }
}

private final class Holder {
  private let listener: Listener
  init(_ listener: consuming Listener) { self.listener = listener }
}
