import FileStoreClient
import Foundation
import Primitives
import TestNodes
import Testing
import Transport

@testable import Server

private let table =
  #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"int64"}],"primary_key":["k"]}"#

/// One node, asked by a client as any other.
@Suite(.serialized) struct ServingTests {
  /// A node that serves, with a table, and a client of it.
  private func startedNode() throws -> (TestCluster, TestClient) {
    let cluster = try TestCluster(nodes: 1)
    try cluster.start()
    let client = try cluster.client()
    try #require(client.waitUntilReady(1), "\(cluster.node(1).lines)")
    try #require(try client.ask(.post, "/v1/tables", table).status == 201)
    return (cluster, client)
  }

  @Test func rowsAreServedAndRemembered() throws {
    let (cluster, client) = try startedNode()
    defer { cluster.destroy() }
    let made = try client.ask(.put, "/v1/tables/t/rows/g++%2C", #"{"v":1}"#)
    #expect(made.status == 201 && made.location == "/v1/tables/t/rows/g++%2C")
    let etag = try #require(made.etag)
    #expect(try client.ask(.put, "/v1/tables/t/rows/g++%2C", #"{"v":2}"#, headers: [.ifMatch(etag)]).status == 200)
    #expect(try client.ask(.patch, "/v1/tables/t/rows/g++%2C", #"{"v":3}"#).status == 200)
    let refused = try client.ask(.delete, "/v1/tables/t/rows/g++%2C", headers: [.ifMatch(etag)])
    #expect(refused.status == 412 && refused.problem?.code == "condition-failed")
    let operations = #"{"op":"put","table":"t","key":"b","row":{"v":9}},{"op":"delete","table":"t","key":"b"}"#
    #expect(try client.ask(.post, "/v1/batch", #"{"operations":[\#(operations)]}"#).status == 200)
    #expect(cluster.node(1).stop() == .success(0))
    try cluster.startAgain(1)
    let again = try cluster.client()
    try #require(again.waitUntilReady(1), "\(cluster.node(1).lines)")
    #expect(try again.ask(.get, "/v1/tables/t/rows/g++%2C").text == #"{"k":"g++,","v":3}"#)
    #expect(try again.ask(.post, "/v1/lookup", #"{"table":"t","keys":["b","g++,"]}"#).text.contains(#"[null,{"k""#))
    #expect(try again.ask(.get, "/v1/tables").text.contains(#""name":"t""#))
  }

  @Test func refusalsSayWhatIsWrong() throws {
    let (cluster, client) = try startedNode()
    defer { cluster.destroy() }
    let wrong: [(ClientRequest.Method, String, String, Int, String)] = [
      (.get, "/v1/tables/t/rows/none", "", 404, "row-not-found"), (.get, "/v1/nothing", "", 404, "not-found"),
      (.get, "/v1/tables/none", "", 404, "table-not-found"), (.put, "/v1/tables", "{}", 405, "method-not-allowed"),
      (.put, "/v1/tables/t/rows/a", "{", 400, "invalid-json"),
      (.put, "/v1/tables/t/rows/a", #"{"v":"x"}"#, 400, "type-mismatch"),
      (.get, "/v1/tables/t/rows?limit=0", "", 400, "invalid-argument"), (.get, "/v1/sql", "", 501, "not-supported"),
      (.delete, "/v1/tables/fs_tables", "", 403, "forbidden"), (.post, "/v1/tables", table, 409, "table-exists"),
      (.put, "/v1/tables/t/rows/\(String(repeating: "k", count: 5000))", #"{"v":1}"#, 413, "too-large"),
    ]
    var ids: Set<String> = []
    for (method, path, body, status, code) in wrong {
      let problem = try #require(try client.ask(method, path, body).problem)
      #expect(problem.status == status && problem.code == code, "\(method) \(path.prefix(60))")
      #expect(problem.retry == .never && !problem.detail.isEmpty)
      ids.insert(problem.requestID ?? "")
    }
    #expect(ids.count == wrong.count && ids.allSatisfy { $0.hasPrefix("n1-1-") })
    let late = try client.ask(.get, "/v1/tables", headers: [Header("fs-read", "dirty")])
    #expect(late.problem?.code == "invalid-argument")
    let text = try client.ask(.put, "/v1/tables/t/rows/a", "{}", headers: [Header("content-type", "text/plain")])
    #expect(text.problem?.code == "unsupported-type")
  }

  @Test func nobodyWithoutAValidIdentityIsServed() throws {
    let (cluster, _) = try startedNode()
    defer { cluster.destroy() }
    let stranger = try TestCluster(nodes: 1)
    defer { stranger.destroy() }
    let identities: [ClientIdentity] = [
      .none, .token("nonsense"), .token(try cluster.token(seconds: -5)),
      .token(try cluster.token(cluster: String(repeating: "0", count: 32))), .token(try stranger.token()),
    ]
    for identity in identities {
      let refused = try cluster.client(identity).ask(.get, "/v1/nothing")
      #expect(refused.status == 401 && refused.problem?.code == "unauthenticated", "\(identity)")
    }
    #expect(try cluster.client(ClientIdentity.none).ask(.get, "/healthz").text == "ok\n")
  }

  @Test func aClientsCertificateIsAnIdentityUntilItIsRevoked() throws {
    let (cluster, client) = try startedNode()
    defer { cluster.destroy() }
    let files = (cluster.directory + "/alice.pem", cluster.directory + "/alice.key")
    try cluster.clientAuthority.issueClient(user: "alice").write(certificateFile: files.0, keyFile: files.1)
    let alice = try cluster.client(.certificate(file: files.0, key: files.1))
    #expect(try alice.ask(.get, "/v1/tables").status == 200)
    let serial = try serial(of: files.0)
    let order = #"{"kind":"certificate","serial":"\#(serial)"}"#
    #expect(try client.ask(.post, "/v1/revocations", order).status == 204)
    #expect(try alice.ask(.get, "/v1/tables").status == 401)
    // A node's certificate is for nodes.
    let node = try cluster.client(.certificate(file: cluster.path(1, "node.pem"), key: cluster.path(1, "node.key")))
    #expect(throws: ClientError.self) { try node.ask(.get, "/v1/tables") }
    let failures = try client.metric(#"filestore_handshake_failures_total{cause="wrong-kind-of-certificate"}"#)
    #expect((failures ?? 0) > 0)
  }

  private func serial(of certificate: String) throws -> String {
    guard case .client(_, let serial, _) = try certificateIdentity(.file(certificate)) else { return "" }
    return serial.uppercased()
  }

  @Test func aRevokedTokenIsRefusedOnConnectionsThatAreOpen() throws {
    let (cluster, client) = try startedNode()
    defer { cluster.destroy() }
    let token = try cluster.token(user: "mallory")
    let mallory = try cluster.client(.token(token))
    #expect(try mallory.ask(.get, "/v1/tables").status == 200)
    let serial = try TokenClaims(unverified: token).serial
    #expect(try client.ask(.post, "/v1/revocations", #"{"kind":"token","serial":"\#(serial)"}"#).status == 204)
    #expect(try mallory.ask(.get, "/v1/tables").problem?.detail == "The token was revoked.")
  }

  @Test func scansComeInPagesAndAsAStream() throws {
    let (cluster, client) = try startedNode()
    defer { cluster.destroy() }
    for part in 0..<3 {
      let rows = (0..<900).map { #"{"op":"put","table":"t","key":"\#(10_000 + part * 900 + $0)","row":{"v":1}}"# }
      #expect(
        try client.ask(.post, "/v1/batch", #"{"operations":[\#(rows.joined(separator: ","))]}"#).status == 200)
    }
    let lines = [Header("accept", "application/x-ndjson")]
    let all = try client.ask(.get, "/v1/tables/t/rows", headers: lines)
    let keys = all.text.split(separator: "\n").map(String.init)
    #expect(keys.count == 2700 && keys == keys.sorted() && all.cursor == nil && all.streamError == nil)
    let part = try client.ask(.get, "/v1/tables/t/rows?limit=1700&start=10100", headers: lines)
    #expect(part.text.split(separator: "\n").count == 1700)
    let cursor = try #require(part.cursor)
    let rest = try client.ask(.get, "/v1/tables/t/rows?cursor=\(cursor)", headers: lines)
    #expect(rest.text.split(separator: "\n").count == 900 && rest.text.hasPrefix(#"{"k":"11800""#))
    let page = try client.ask(.get, "/v1/tables/t/rows?limit=2&order=desc").text
    #expect(page.hasPrefix(#"{"rows":[{"k":"12699","v":1},{"k":"12698","v":1}],"cursor":""#))
  }

  @Test func manyRequestsOfOneConnectionAreAllAnswered() throws {
    let (cluster, client) = try startedNode()
    defer { cluster.destroy() }
    var statuses: [Int: Int] = [:]
    for number in 0..<3000 {
      let path = "/v1/tables/t/rows/\(number % 1000)"
      let request =
        number < 1000 ? ClientRequest(.put, path, body: Array("{\"v\":1}".utf8), mayRepeat: true) : .init(.get, path)
      client.client.submit(request) { statuses[(try? $0.get().status) ?? 0, default: 0] += 1 }
      if number == 999 { while client.client.openRequests > 0 { try client.client.turn() } }
    }
    while client.client.openRequests > 0 { try client.client.turn() }
    #expect(statuses == [201: 1000, 200: 2000])
    #expect(try client.metric("filestore_commands_applied_total") ?? 0 >= 1001)
    #expect(try client.metric(#"filestore_rows{shard="1"}"#) ?? 0 >= 1000)
    #expect(try client.metric(#"filestore_http_request_seconds_count{kind="write"}"#) ?? 0 >= 1000)
  }

  @Test func statusIsToldByTheNodeItself() throws {
    let (cluster, client) = try startedNode()
    defer { cluster.destroy() }
    let status = try client.ask(.get, "/v1/cluster").text
    #expect(status.contains(#""name":"test""#) && status.contains(#""health":"ok""#) && status.contains(cluster.id))
    let nodes = try client.ask(.get, "/v1/nodes").text
    #expect(nodes.contains(#""address":"https://127.0.0.1:\#(cluster.ports[0])""#))
    #expect(nodes.contains(#""role":"leader""#))
    let stays = try client.ask(.post, "/v1/shards/1/leader", #"{"to":"n1"}"#)
    #expect(stays.status == 204)
    #expect(try client.ask(.post, "/v1/shards/1/leader", #"{"to":"n7"}"#).problem?.code == "node-not-found")
  }

  @Test func aSecondSignalStopsAtOnce() throws {
    let (cluster, _) = try startedNode()
    defer { cluster.destroy() }
    cluster.node(1).signal()
    cluster.node(1).signal(SIGINT)
    #expect(cluster.node(1).waitForEnd(seconds: 5) == .success(0))
  }
}

extension Header {
  static func ifMatch(_ etag: String) -> Header { Header("if-match", etag) }
}
