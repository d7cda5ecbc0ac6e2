import Foundation
import TestNodes
import Testing

@testable import fscluster

@Suite(.serialized) struct ClusterCommandTests {
  private func started() throws -> LocalCluster {
    let cluster = try LocalCluster()
    try cluster.start("n1", "n2", "n3")
    return cluster
  }

  @Test func aClusterIsMadeOnce() throws {
    let cluster = try LocalCluster()
    defer { cluster.destroy() }
    let again = try cluster.initialize()
    #expect(again.error?.outcome == .usage && again.error?.message == "\(cluster.directory) exists")
    #expect(throws: (any Error).self) { try Init.parse(["a", "--directory", "b"]) }
  }

  @Test func statusTellsHealthNodesAndLimits() throws {
    let cluster = try started()
    defer { cluster.destroy() }
    let well = try run(Status.self, "--directory", cluster.directory)
    #expect(well.error == nil)
    #expect(well.text.hasPrefix("cluster demo  ok, survives the failure of one node\n"))
    #expect(well.text.contains("Nothing limits now."))
    for (number, port) in cluster.ports.enumerated() {
      #expect(well.text.contains("n\(number + 1)") && well.text.contains("https://127.0.0.1:\(port)"))
    }
    cluster.stop("n3")
    let degraded = try run(Status.self, "--directory", cluster.directory)
    #expect(degraded.error == .silent(.degraded))
    #expect(degraded.text.contains("degraded, survives no further failure"))
    #expect(degraded.text.contains("- n3 at 127.0.0.1:\(cluster.ports[2]) does not answer"))
    struct Parsed: Decodable {
      var cluster: ClusterAnswer
      var nodes: [NodeList.Node]
    }
    let json = try run(Status.self, "--directory", cluster.directory, "--json").text
    let parsed = try JSONDecoder().decode(Parsed.self, from: Data(json.utf8))
    #expect(parsed.cluster.health == "degraded" && parsed.nodes.map(\.state) == ["up", "up", "down"])
    cluster.stop("n2")
    cluster.stop("n1")
    let nobody = try run(Status.self, "--directory", cluster.directory)
    #expect(nobody.error?.outcome == .failed && nobody.error?.next?.contains("running") == true)
  }

  @Test func leadershipIsShownAndMoved() throws {
    let cluster = try started()
    defer { cluster.destroy() }
    // A loaded machine may be electing at any moment: then the commands say so, and are given again.
    var name = ""
    #expect(
      try waitUntil {
        let first = try run(Leader.self, "--directory", cluster.directory)
        name = String(first.text.prefix { $0 != " " })
        return first.error == nil
      })
    #expect(["n1", "n2", "n3"].contains(name))
    let target = name == "n1" ? "n2" : "n1"
    #expect(
      try waitUntil {
        let moved = try run(Leader.self, "--directory", cluster.directory, "--to", target, "--json")
        return moved.error == nil && moved.text.contains("\"leader\":\"\(target)\"")
      })
    #expect(try run(Leader.self, "--directory", cluster.directory, "--to", "n9").error?.outcome == .usage)
    #expect(try run(Leader.self, "--directory", cluster.directory, "7").error?.outcome == .usage)
  }

  @Test func aTokenOpensTheClusterUntilItIsRevoked() throws {
    let cluster = try started()
    defer { cluster.destroy() }
    struct Issued: Decodable { var token, user, serial, expires: String }
    let made = try run(Token.self, "--user", "alice", "--expires", "1h", "--json", "--directory", cluster.directory)
    let issued = try JSONDecoder().decode(Issued.self, from: Data(made.text.utf8))
    #expect(issued.user == "alice" && issued.token.hasPrefix("fst1."))
    let place = "https://127.0.0.1:\(cluster.ports[1])"
    let authority = cluster.directory + "/ca/nodes.pem"
    let alice = ["--endpoints", place, "--ca", authority, "--token", issued.token]
    #expect(try run(Status.self, alice).error == nil)
    let revoked = try run(Token.self, "--revoke", issued.token, "--directory", cluster.directory)
    #expect(revoked.text == "The token with serial \(issued.serial) is revoked.\n")
    // Each node learns it with the log.
    #expect(try waitUntil { try run(Status.self, alice).error?.message.contains("401") == true })
    #expect(try run(Token.self, "--revoke", "fst1.x", "--directory", cluster.directory).error?.outcome == .usage)
    let other = try LocalCluster()
    defer { other.destroy() }
    let strange = try run(
      Status.self, "--endpoints", place, "--ca", other.directory + "/ca/nodes.pem", "--token", issued.token)
    #expect(strange.error?.next?.contains("--ca") == true)
  }
}
