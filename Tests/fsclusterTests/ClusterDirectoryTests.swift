import Foundation
import Testing
import Yams

@testable import fscluster

@Suite struct ClusterPlanTests {
  private let three = ["127.0.0.1:7101", "127.0.0.1:7102", "[::1]:7103"]

  @Test func threeNodesGetNamesInOrder() throws {
    let plan = try ClusterPlan(name: "demo", addresses: three, insecure: false)
    #expect(plan.file.nodeNames == ["n1", "n2", "n3"])
    #expect(plan.file.nodes["n3"] == "[::1]:7103")
    #expect(plan.file.idBytes.count == 16)
  }

  @Test(arguments: [
    [], ["127.0.0.1:1"], ["a:1", "a:1", "b:1"], ["a:1", "b:1", "c"], ["a:1", "b:1", "c:1", "d:1"],
    ["a:1", "b:1", "::1:1"],
  ])
  func anythingElseIsWrongUsage(addresses: [String]) {
    #expect { try ClusterPlan(name: "demo", addresses: addresses, insecure: false) } throws: { error in
      (error as? CommandError)?.outcome == .usage
    }
  }

  @Test(arguments: ["", "Demo", "a b", "a_b", "-a", "ü", String(repeating: "a", count: 64)])
  func namesArePlain(name: String) {
    #expect(throws: CommandError.self) { try ClusterPlan(name: name, addresses: three, insecure: false) }
  }

  @Test func plainTextIsForLoopbackOnly() {
    let addresses = ["10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"]
    #expect(throws: CommandError.self) { try ClusterPlan(name: "demo", addresses: addresses, insecure: true) }
  }
}

@Suite struct ClusterFilesTests {
  @Test func aClusterFileIsReadBack() throws {
    let file = try ClusterPlan(name: "demo", addresses: ["h:1", "[::1]:2", "127.0.0.1:3"], insecure: false).file
    #expect(try ClusterFile.parse(file.yaml) == file)
  }

  @Test(arguments: ["", "name: x", "name: x\nid: 12\nnodes: {}", "[", "name: x\nid: [1]\nnodes: {n1: a}"])
  func otherFilesAreRefused(yaml: String) { #expect(throws: CommandError.self) { try ClusterFile.parse(yaml) } }

  @Test func aNodesSettingsAreYAML() throws {
    struct Settings: Codable, Equatable {
      var cluster, node, address, data, ca, certificate, key, memory: String
      var peers: [String: String]
      var cores, lanes: Int
    }
    let nodes = [(name: "n1", address: "127.0.0.1:7101"), (name: "n2", address: "[::1]:7102")]
    let yaml = NodeConfiguration(cluster: "demo", node: "n2", nodes: nodes, insecure: false).yaml
    let settings = try YAMLDecoder().decode(Settings.self, from: yaml)
    #expect(settings.node == "n2")
    #expect(settings.address == "[::1]:7102")
    #expect(settings.peers == ["n1": "127.0.0.1:7101", "n2": "[::1]:7102"])
    #expect(!NodeConfiguration.isInsecure(yaml))
  }

  @Test func insecureStandsInTheSettings() {
    let nodes = [(name: "n1", address: "127.0.0.1:7101")]
    let yaml = NodeConfiguration(cluster: "demo", node: "n1", nodes: nodes, insecure: true).yaml
    #expect(NodeConfiguration.isInsecure(yaml))
  }

  @Test func aMadeDirectoryIsWholeAndItsSecretsAreSecret() throws {
    let path = NSTemporaryDirectory() + "fscluster-test-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: path) }
    let plan = try ClusterPlan(name: "demo", addresses: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], insecure: false)
    try ClusterMaker(plan: plan, path: path).make()
    let directory = try ClusterDirectory(path)
    #expect(directory.file == plan.file)
    for secret in ["ca/nodes.key", "ca/clients.key", "client/admin.key", "n1/node.key", "n3/node.key"] {
      let mode = try FileManager.default.attributesOfItem(atPath: directory.inside(secret))[.posixPermissions]
      #expect(mode as? Int == 0o600, "\(secret)")
    }
    for file in ["n1/node.pem", "n2/config.yaml", "n3/data/LOCK", "n3/data/lane-0/pages", "ca/nodes.pem"] {
      #expect(FileManager.default.fileExists(atPath: directory.inside(file)), "\(file)")
    }
    #expect(throws: CommandError.self) { try ClusterMaker(plan: plan, path: path).make() }
  }

  @Test func unknownNodesAreNamed() throws {
    let path = NSTemporaryDirectory() + "fscluster-test-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: path) }
    let plan = try ClusterPlan(name: "demo", addresses: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"], insecure: false)
    try ClusterMaker(plan: plan, path: path).make()
    let directory = try ClusterDirectory(path)
    #expect(try directory.nodes(["n3", "n1"]) == ["n1", "n3"])
    #expect(try directory.nodes([]) == ["n1", "n2", "n3"])
    #expect(throws: CommandError.self) { try directory.nodes(["n4"]) }
  }
}
