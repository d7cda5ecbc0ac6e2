import Primitives
import Raft
import Testing

@testable import Node

/// Much is applied a turn's share at a time.
@Suite struct BacklogTests {
  private func put(_ key: Int) -> Operation {
    .put(RowPath(table: "t", key: Array("k\(key)".utf8)), body: Array("{\"v\":\(key)}".utf8), .none)
  }

  private func get(_ key: Int) -> Operation { .get(RowPath(table: "t", key: Array("k\(key)".utf8)), columns: nil) }

  private func text(_ reply: Reply?) -> String { String(decoding: reply?.body ?? [], as: UTF8.self) }

  @Test func aTurnAppliesItsShareAndTheNextOneGoesOn() throws {
    var limits = NodeLimits()
    limits.applyBytesMax = 1
    let world = try Harness(1, limits: limits)
    let node = try world.elect()
    world.request(node, Harness.createTable)
    let before = node.node.appliedIndex
    let writes = (0..<5).map { world.begin(node, put($0)) }
    world.settle()
    let read = world.request(node, get(4))
    for applied in 1...4 {
      #expect(writes.map { world.reply($0) != nil } == (0..<5).map { $0 < applied })
      #expect(node.node.appliedIndex == before && !node.node.isBetweenEntries && world.reply(read) == nil)
      #expect(node.node.hasMoreToApply && node.node.nextDeadline <= world.now)
      world.tell(node, .tick)
      world.settle()
    }
    #expect(node.node.appliedIndex == before.next && !node.node.hasMoreToApply && node.node.nextDeadline > world.now)
    #expect(world.reply(writes[4])?.status == 201 && text(world.reply(read)).contains("\"v\":4"))
  }
}
