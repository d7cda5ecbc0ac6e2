import FileStoreClient
import Foundation
import Primitives
import TestNodes
import Testing

@testable import fsbench

/// What loads real nodes, on one of them.
@Suite(.serialized) struct RealClusterTests {
  private let cluster: TestCluster
  private let token: String

  init() throws {
    cluster = try TestCluster(nodes: 1)
    try cluster.start()
    try #require(try cluster.client().waitUntilReady(1), "\(cluster.node(1).lines)")
    token = try cluster.token()
  }

  private var authority: String { cluster.directory + "/ca/nodes.pem" }

  private func keys(_ more: String...) throws -> [String] {
    let file = cluster.directory + "/token"
    try (token + "\n").write(toFile: file, atomically: true, encoding: .utf8)
    return ["keys", "--filestore", "\(cluster.endpoints[0])", "--token-file", file, "--ca", authority] + more
  }

  @Test func aRowIsReadAndWrittenBesideNghttpd() throws {
    defer { cluster.destroy() }
    let client = try cluster.client()
    let table = #"{"name":"t","columns":[{"name":"k","type":"text"}],"primary_key":["k"]}"#
    #expect(try client.ask(.post, "/v1/tables", table).status == 201)
    #expect(try client.ask(.put, "/v1/tables/t/rows/a", "{}").status == 201)
    let before = try client.ask(.get, "/v1/tables/t/rows/a")
    let place = ["--endpoint", "\(cluster.endpoints[0])", "--ca", authority, "--token", token]
    let size = ["--seconds", "0.1", "--rounds", "1", "--shapes", "1x1,2x3"]
    let found = try figures(["api", "--row", "/v1/tables/t/rows/a"] + place + size)
    #expect(
      found.map(\.name)
        == ["1x1", "2x3"].flatMap { shape in
          ["read/\(shape)/nghttpd", "read/\(shape)/latency", "write/\(shape)", "write/\(shape)/latency"]
            .map { "api/" + $0 }
        })
    #expect(found.allSatisfy { $0.value > 0 && ($0.reference == "nghttpd") == $0.name.hasSuffix("nghttpd") })
    let after = try client.ask(.get, "/v1/tables/t/rows/a")
    #expect(after.body == before.body && after.etag != before.etag, "it was written as it was")
    #expect(try run(["api", "--row", "/v1/tables/t/rows/none"] + place + size).exitCode == 2)
    #expect(try run(["api", "--token", "x", "--endpoint", "nonsense"] + size).exitCode == 2)
  }

  @Test func theKeysOfARunAreFilledInAndCounted() throws {
    defer { cluster.destroy() }
    let fill = try run(keys("--keys", "1200", "--fill-only"))
    #expect(fill.exitCode == nil && fill.lines.isEmpty)
    let client = try cluster.client()
    #expect(try client.ask(.get, "/v1/tables/fsbench_keys/rows/key-000000001199").status == 200)
    #expect(try client.ask(.get, "/v1/tables/fsbench_keys/rows/key-000000001200").status == 404)
    #expect(try run(keys("--keys", "1300", "--filled", "--fill-only")).exitCode == 1, "they are not all there")
    #expect(try run(keys("--keys", "1200", "--filled", "--fill-only")).exitCode == nil)
    #expect(try run(["keys", "--filestore", "\(cluster.endpoints[0])", "--token-file", "/nowhere"]).exitCode == 2)
  }

  /// Only the flushes of the disks are made up: not every file system of a test has a disk that counts them.
  @Test func randomKeysAreWrittenAndReadAndCountedByTheNode() throws {
    defer { cluster.destroy() }
    let command = try #require(
      try Fsbench.parseAsRoot(
        keys("--keys", "900", "--requests", "120", "--shapes", "2x4", "--filestore-pids", "\(getpid())"))
        as? KeysCommand)
    let tls = try command.systems.makeTLS()
    var flushes: UInt64 = 0
    let comparison = KeysComparison(
      try command.systems.make(tls: tls), tls: tls, settings: command.load.settings,
      machine: Machine(ticks: { Ticks(total: 0, stolen: 0) }),
      flushes: {
        flushes += 1000
        return flushes
      })
    try comparison.fill()
    try comparison.checkFilled()
    try comparison.round()
    let found = comparison.figures
    #expect(found.map(\.name).filter { $0.hasSuffix("/cpu") } == ["keys/write/2x4/cpu", "keys/read/2x4/cpu"])
    #expect(found.allSatisfy { $0.value > 0 && $0.ratio == nil }, "\(found)")
  }
}
