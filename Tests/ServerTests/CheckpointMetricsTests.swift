import FileStoreClient
import TestNodes
import Testing

@testable import Server

/// What a node tells of its checkpoints.
@Suite(.serialized) struct CheckpointMetricsTests {
  @Test func aCheckpointTellsWhenItBeganAndEnded() throws {
    let cluster = try TestCluster(nodes: 1)
    defer { cluster.destroy() }
    // A good part of it is dirty after some large rows.
    try cluster.start(1, changes: [(.memory, "64MiB")])
    let client = try cluster.client()
    try #require(client.waitUntilReady(1), "\(cluster.node(1).lines)")
    #expect(try client.metric("filestore_checkpoint_begun_uptime_seconds") == 0)
    let table =
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#
    try #require(try client.ask(.post, "/v1/tables", table).status == 201)
    let row = #"{"v":""# + String(repeating: "x", count: 900_000) + #""}"#
    var rows = 0
    while rows < 40, try client.metric("filestore_checkpoint_begun_uptime_seconds") == 0 {
      try #require(try client.ask(.put, "/v1/tables/t/rows/\(rows)", row).status == 201)
      rows += 1
    }
    try #require(waitUntil { try client.metric("filestore_checkpoints_total") == 1 })
    func value(_ name: String) throws -> Double { try #require(try client.metric("filestore_" + name)) }
    let (begun, finished) = (
      try value("checkpoint_begun_uptime_seconds"), try value("checkpoint_finished_uptime_seconds")
    )
    let now = try value("uptime_seconds")
    #expect(begun > 0 && finished > begun && finished <= now)
    #expect(try value(#"checkpoint_seconds_count{lane="0"}"#) == 1)
    #expect(abs(try value(#"checkpoint_seconds_sum{lane="0"}"#) - (finished - begun)) < 1e-6)
    #expect(try value(#"checkpoint_begin_seconds_count{lane="0"}"#) == 1)
    #expect(try value(#"checkpoint_begin_seconds_sum{lane="0"}"#) > 0)
    #expect(try value("pages_written_total") > 1000)
  }
}
