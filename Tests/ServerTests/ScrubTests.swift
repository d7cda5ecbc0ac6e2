import FileStoreClient
import Foundation
import TestNodes
import Testing

@testable import Server

/// Rot under a running node, in its real files.
@Suite(.serialized) struct ScrubTests {
  private let cluster: TestCluster
  private let settings: [(Setting, String)]

  init() throws {
    cluster = try TestCluster(nodes: 1)
    settings = [(.memory, "64MiB"), (.scrubEvery, "1s")]
  }

  private func started(_ more: [(Setting, String)] = []) throws -> TestClient {
    try cluster.start(1, changes: settings + more)
    return try ready()
  }

  private func ready() throws -> TestClient {
    let client = try cluster.client()
    try #require(client.waitUntilReady(1), "\(cluster.node(1).lines)")
    return client
  }

  /// Large rows until a checkpoint is durable.
  private func fill(_ client: TestClient) throws {
    let table =
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#
    try #require(try client.ask(.post, "/v1/tables", table).status == 201)
    let row = #"{"v":""# + String(repeating: "x", count: 900_000) + #""}"#
    var rows = 0
    while rows < 60, try client.metric("filestore_checkpoint_begun_uptime_seconds") == 0 {
      try #require(try client.ask(.put, "/v1/tables/t/rows/\(rows)", row).status == 201)
      rows += 1
    }
    try #require(waitUntil { try client.metric("filestore_checkpoints_total") == 1 })
  }

  private func passes(_ client: TestClient) throws -> Double {
    try client.metric("filestore_scrub_passes_total") ?? 0
  }

  private func flip(_ path: String, _ offset: UInt64) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    try file.seek(toOffset: offset)
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: offset)
    try file.write(contentsOf: [byte ^ 0x10])
    try file.synchronize()
    try file.close()
  }

  /// A page of a long value: rows are only added, so a tree leads to it.
  private func rotValue(_ data: String) throws -> UInt64 {
    let path = cluster.path(1, data + "/lane-0/pages")
    let file = try FileHandle(forReadingFrom: URL(fileURLWithPath: path))
    defer { try? file.close() }
    for page in UInt64(2)..<1000 {
      try file.seek(toOffset: page << 14)
      guard let header = try file.read(upToCount: 8), header.count == 8 else { break }
      guard header.elementsEqual([0x46, 0x50, 2, 0, UInt8(page & 0xFF), UInt8(page >> 8), 0, 0]) else { continue }
      try flip(path, page << 14 + 8000)
      return page
    }
    Issue.record("no page of a value is on the disk")
    return 0
  }

  @Test(arguments: [false, true]) func aPageThatRotsIsFoundAndRewritten(isEncrypted: Bool) throws {
    defer { cluster.destroy() }
    let keyFile = cluster.path(1, "master.key")
    try Data((String(repeating: "17", count: 32) + "\n").utf8).write(to: URL(fileURLWithPath: keyFile))
    chmod(keyFile, 0o600)
    let client = try started(isEncrypted ? [(.encryptionKeyFile, keyFile)] : [])
    try fill(client)
    let before = try passes(client)
    try #require(waitUntil(seconds: 60) { try passes(client) >= before + 2 })
    #expect(try client.metric("filestore_scrub_damage_total") == 0)
    #expect(try client.metric("filestore_encrypted") == (isEncrypted ? 1 : 0))
    let page = try rotValue("data")
    try #require(waitUntil(seconds: 60) { try client.metric("filestore_scrub_rewritten_total") == 1 })
    #expect(try client.metric("filestore_scrub_damage_total") == 1)
    #expect(try client.metric("filestore_failed") == 0)
    let lines = cluster.node(1).lines
    #expect(
      lines.contains("scrubbing found damage") && lines.contains("page \(page) at offset \(page << 14) is damaged"))
    let nodes = try client.ask(.get, "/v1/nodes").text
    #expect(nodes.contains(#""damage_found":1,"damage_rewritten":1"#), "\(nodes)")
    // Both superblocks are written anew, and later passes find nothing more.
    try #require(waitUntil(seconds: 60) { try client.metric("filestore_checkpoints_total") ?? 0 >= 3 })
    let (then, pages) = (try passes(client), try client.metric("filestore_scrub_pages_total") ?? 0)
    try #require(waitUntil(seconds: 60) { try passes(client) >= then + 2 })
    #expect(try client.metric("filestore_scrub_damage_total") == 1)
    #expect(try client.metric("filestore_scrub_pages_total") ?? 0 > pages + 1000)
    #expect(try client.metric("filestore_scrub_finished_uptime_seconds") ?? 0 > 0)
    #expect(try client.ask(.get, "/v1/tables/t/rows/0").status == 200)
  }

  @Test func aPageThatRotsAndIsNotInMemoryEndsTheNode() throws {
    defer { cluster.destroy() }
    try fill(try started())
    cluster.node(1).stop()
    let page = try rotValue("data")
    try cluster.startAgain(1, changes: settings)
    let client = try cluster.client()
    let hasFailed = waitUntil(seconds: 60) { (try? client.metric("filestore_failed")) == 1 }
    try #require(hasFailed, "\(cluster.node(1).lines)")
    #expect(try client.metric("filestore_scrub_damage_total") == 1)
    #expect(try client.metric("filestore_scrub_rewritten_total") == 0)
    let answer = try client.ask(.get, "/v1/tables/t/rows/0")
    #expect(answer.status == 503, "\(answer.text.prefix(300))")
    let what = "page \(page) at offset \(page << 14) is damaged: its checksum does not match"
    #expect(cluster.node(1).lines.contains(what))
    #expect(try client.ask(.get, "/v1/cluster").text.contains(what))
    #expect(try client.ask(.get, "/readyz").status == 503)
  }

  @Test func aLogThatRotsEndsTheNode() throws {
    defer { cluster.destroy() }
    let client = try started()
    try fill(client)
    let before = try passes(client)
    try #require(waitUntil(seconds: 60) { try passes(client) >= before + 1 })
    // The start's first block has a page; behind it is the log's first record.
    let log = cluster.path(1, "data/lane-0/log")
    let file = try #require(try FileManager.default.contentsOfDirectory(atPath: log).sorted().first)
    try flip(log + "/" + file, 4096 + 130)
    try #require(waitUntil(seconds: 60) { try client.metric("filestore_failed") == 1 })
    #expect(cluster.node(1).lines.contains("at offset 4096 is damaged"))
    #expect(try client.metric("filestore_scrub_damage_total") == 1)
  }
}
