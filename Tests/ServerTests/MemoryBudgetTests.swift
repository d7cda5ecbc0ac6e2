import Journal
import Node
import Testing

@testable import Server

/// What a node may use of memory follows from its settings, and every bound that the sum counts is in force.
@Suite struct MemoryBudgetTests {
  private func budget(memory: UInt64, connections: Int = 1024, diskLimit: UInt64? = nil) throws -> MemoryBudget {
    var raw = RawSettings()
    let given: [(Setting, String)] = [
      (.cluster, "c"), (.node, "n1"), (.address, "127.0.0.1:1"), (.data, "d"), (.ca, "ca"), (.certificate, "c"),
      (.key, "k"), (.peers, "n1=127.0.0.1:1,n2=127.0.0.1:2,n3=127.0.0.1:3"), (.memory, "\(memory)"),
      (.connections, "\(connections)"),
    ]
    for (setting, text) in given { raw.readFlag(setting, text) }
    if let diskLimit { raw.readFlag(.diskLimit, "\(diskLimit)") }
    return MemoryBudget(try Configuration(raw))
  }

  private func part(_ name: String, _ budget: MemoryBudget, pages: Int = 0) -> UInt64? {
    budget.parts(pages: pages).first { $0.name == name }?.bytes
  }

  @Test func theSumIsThatOfItsParts() throws {
    let budget = try budget(memory: 64 << 20, connections: 128, diskLimit: 2 << 30)
    let parts = budget.parts(pages: 1)
    #expect(
      parts.map(\.name) == ["program", "pages", "page-table", "log", "requests", "answers", "connections", "peers"])
    #expect(budget.bytes(pages: 1) == parts.reduce(0) { $0 + $1.bytes })
    #expect(part("pages", budget) == 64 << 20)
    #expect(part("connections", budget) == 16 << 20)
  }

  @Test func boundsFollowMemoryBetweenTheirEnds() throws {
    for (memory, share) in [(64, 16), (128, 32), (256, 64), (4096, 64)] as [(UInt64, UInt64)] {
      #expect(try budget(memory: memory << 20).share == share << 20, "\(memory)")
    }
  }

  @Test func everyBoundIsInForce() throws {
    let budget = try budget(memory: 64 << 20, connections: 128, diskLimit: 2 << 30)
    var settings = NodeSettings(
      clusterName: "c", clusterID: "00", node: .init(1), addresses: [], version: "0", seed: 1)
    var journal = DiskBudget(limit: 2 << 30).journal
    var edge = EdgeLimits()
    budget.apply(to: &settings)
    budget.apply(to: &journal)
    budget.apply(to: &edge)
    #expect(settings.raft.cacheBytesMax == 8 << 20 && settings.raft.unappliedBytesMax == 16 << 20)
    #expect(settings.limits.requestBytesMax == 24 << 20 && settings.limits.answerBytesMax == 16 << 20)
    #expect(settings.limits.outboxBytesMax == 24 << 20 && settings.limits.recoveredBytesMax == 8 << 20)
    #expect(journal.waitingBytesMax == 16 << 20)
    #expect(edge.connectionsMax == 128 && edge.connectionBytesMax == 16 << 20)
    #expect(edge.bodyBytesMax == 16 << 20 && edge.waitingBytesMax == 16 << 20 && edge.linkBytesMax == 24 << 20)
    // The largest request and the largest page that the API has find room in an empty node.
    #expect(edge.bodyBytesMax >= edge.http2.bodyBytesMax && settings.limits.requestBytesMax >= edge.http2.bodyBytesMax)
    #expect(edge.linkBytesMax >= LinkFrame.payloadBytesMax)
  }

  @Test func withoutADiskLimitTheTableCountsAsItIs() throws {
    let open = try budget(memory: 256 << 20)
    #expect(part("page-table", open, pages: 1 << 20) == 40 << 20)
    let limited = try budget(memory: 256 << 20, diskLimit: 64 << 30)
    #expect(part("page-table", limited, pages: 1024) == part("page-table", limited, pages: 1 << 20))
  }
}
