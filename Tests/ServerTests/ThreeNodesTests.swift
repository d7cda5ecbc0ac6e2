import FileStoreClient
import Foundation
import Primitives
import TestNodes
import Testing

@testable import Server

/// Three nodes that find each other.
@Suite(.serialized) struct ThreeNodesTests {
  private func startedCluster(isInsecure: Bool = false) throws -> (TestCluster, TestClient) {
    let cluster = try TestCluster(nodes: 3, isInsecure: isInsecure)
    try cluster.start(changes: [(.memory, "64MiB")])
    let client = try cluster.client()
    try #require(client.waitUntilReady(1, 2, 3), "\(cluster.node(1).lines)")
    let table =
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#
    try #require(try client.ask(.post, "/v1/tables", table, node: 2).status == 201)
    return (cluster, client)
  }

  private struct Nodes: Decodable {
    struct Node: Decodable {
      struct Replica: Decodable {
        var role: String
        var appliedIndex: Int
        var stateHash: String?
      }
      var id: String
      var state: String
      var replicas: [Replica]
    }
    var nodes: [Node]

    var leader: Int? { nodes.first { $0.replicas.first?.role == "leader" }.flatMap { Int($0.id.dropFirst()) } }
    /// All three are up and have applied the same.
    var areEqual: Bool {
      let states = Set(
        nodes.map { node in node.replicas.first.flatMap { one in one.stateHash.map { "\(one.appliedIndex) \($0)" } } })
      return !states.contains(nil) && nodes.allSatisfy { $0.state == "up" && !$0.replicas.isEmpty } && states.count == 1
    }
  }

  private func nodes(_ client: TestClient, _ node: Int) throws -> Nodes {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return try decoder.decode(Nodes.self, from: Data(client.ask(.get, "/v1/nodes", node: node).body))
  }

  private func leader(_ client: TestClient, ask node: Int) throws -> Int {
    var found: Int?
    let isFound = try waitUntil {
      found = try nodes(client, node).leader
      return found != nil
    }
    #expect(isFound)
    return try #require(found)
  }

  @Test(arguments: [false, true])
  func anyNodeAnswersAndAllHaveTheSame(isInsecure: Bool) throws {
    let (cluster, client) = try startedCluster(isInsecure: isInsecure)
    defer { cluster.destroy() }
    for node in 1...3 {
      #expect(try client.ask(.put, "/v1/tables/t/rows/\(node)", #"{"v":"x"}"#, node: node).status == 201)
      for other in 1...3 { #expect(try client.ask(.get, "/v1/tables/t/rows/\(node)", node: other).status == 200) }
    }
    // More than one frame of a link holds.
    let large = #"{"v":""# + String(repeating: "y", count: 1_000_000) + #""}"#
    let keys = (0..<12).map { "\"large\($0)\"" }
    for node in 0..<12 {
      // On a loaded machine the leader may change meanwhile: what was refused is sent again.
      let path = "/v1/tables/t/rows/large\(node)"
      #expect(try waitUntil { try [200, 201].contains(client.ask(.put, path, large, node: node % 3 + 1).status) })
    }
    let lookup = #"{"table":"t","keys":[\#(keys.joined(separator: ","))]}"#
    for node in 1...3 {
      #expect(try client.ask(.post, "/v1/lookup", lookup, node: node, milliseconds: 30_000).body.count > 12_000_000)
    }
    #expect(try waitUntil { try nodes(client, 1).areEqual })
    for node in 1...3 { #expect(try client.metric("filestore_payloads_undecodable_total", node: node) == 0) }
  }

  @Test func aLeaderThatStopsHandsOverAndCatchesUpLater() throws {
    let (cluster, client) = try startedCluster()
    defer { cluster.destroy() }
    let first = try leader(client, ask: 1)
    let other = first % 3 + 1
    #expect(cluster.node(first).stop() == .success(0))
    #expect(cluster.node(first).lines.contains("drains"))
    for number in 0..<20 {
      #expect(try client.ask(.put, "/v1/tables/t/rows/\(number)", #"{"v":"x"}"#, node: other).status == 201)
    }
    let status = try client.ask(.get, "/v1/cluster", node: other).text
    #expect(status.contains(#""health":"degraded""#) && status.contains(#""failures_tolerated":0"#))
    #expect(status.contains("n\(first) at 127.0.0.1:\(cluster.ports[first - 1]) does not answer"))
    try cluster.startAgain(first)
    let again = try cluster.client()
    try #require(again.waitUntilReady(first))
    #expect(try waitUntil { try nodes(again, first).areEqual })
    #expect(try again.ask(.get, "/v1/tables/t/rows/19", node: first).status == 200)
  }

  @Test func leadershipGoesWhereItIsSent() throws {
    let (cluster, client) = try startedCluster()
    defer { cluster.destroy() }
    let target = try leader(client, ask: 1) % 3 + 1
    #expect(try client.ask(.post, "/v1/shards/1/leader", #"{"to":"n\#(target)"}"#).status == 204)
    #expect(try waitUntil { try nodes(client, 1).leader == target })
    #expect(cluster.node(target).lines.contains("leads"))
  }

  @Test func withoutAMajorityNothingIsDone() throws {
    let (cluster, client) = try startedCluster()
    defer { cluster.destroy() }
    let left = try leader(client, ask: 1)
    for node in 1...3 where node != left { #expect(cluster.node(node).stop() == .success(0)) }
    #expect(try waitUntil { try client.ask(.get, "/readyz", node: left).status == 503 })
    let refused = try client.ask(.put, "/v1/tables/t/rows/a", #"{"v":"x"}"#, node: left, milliseconds: 300)
    #expect(refused.problem?.code == "no-quorum" && refused.problem?.retry == .later)
    let status = try client.ask(.get, "/v1/cluster", node: left).text
    #expect(status.contains(#""health":"down""#))
    #expect(cluster.node(left).lines.contains("lost the connection to a peer"))
  }

  /// Their node certificates are of another authority: neither side takes the other for its peer.
  @Test func nodesOfAnotherClusterAreNoPeers() throws {
    let one = try TestCluster(nodes: 3)
    defer { one.destroy() }
    let other = try TestCluster(nodes: 3)
    defer { other.destroy() }
    let mixed = "n1=127.0.0.1:\(one.ports[0]),n2=127.0.0.1:\(other.ports[1]),n3=127.0.0.1:\(other.ports[2])"
    try one.start(1, changes: [(.peers, mixed)])
    try other.start(2, 3)
    #expect(try other.client().waitUntilReady(2, 3))
    #expect(waitUntil { one.node(1).lines.contains("a peer cannot be reached") })
    #expect(try one.client().ask(.get, "/readyz").status == 503)
  }
}
