import FileStoreClient
import Glibc
import Primitives
import Ring
import TestNodes
import Testing

@testable import Server

/// Lets operations of one kind fail from the moment when it is armed.
private final class Faults: FaultLayer, Sendable {
  private let kind: TokenKind
  private let errno: Int32
  /// Operations of fewer bytes are left alone.
  private let bytesMin: Int
  /// How many are to fail.
  private let left = Locked(0)
  private let failed = Locked(0)

  init(_ kind: TokenKind, _ errno: Int32, bytesMin: Int = 0) {
    self.kind = kind
    self.bytesMin = bytesMin
    self.errno = errno
  }

  func arm(_ count: Int = .max) { left.withLock { $0 = count } }
  var count: Int { failed.withLock { $0 } }

  func decide(_ operation: RingOperation, descriptor: Int32, token: UInt64, count: Int) -> Int32? {
    guard Token.kind(of: token) == kind, count >= bytesMin else { return nil }
    let fails = left.withLock { left -> Bool in
      defer { left -= left > 0 ? 1 : 0 }
      return left > 0
    }
    guard fails else { return nil }
    failed.withLock { $0 += 1 }
    return -errno
  }
}

/// One node whose operations fail: of its disk, and of its sockets.
@Suite(.serialized) struct FaultTests {
  private func startedNode(_ faults: Faults) throws -> (TestCluster, TestClient) {
    let cluster = try TestCluster(nodes: 1)
    // Little memory for pages, so that some large rows suffice for a checkpoint.
    try cluster.start(1, changes: [(.memory, "64MiB")]) { $0.ring.faults = faults }
    let client = try cluster.client()
    try #require(client.waitUntilReady(1), "\(cluster.node(1).lines)")
    let table =
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#
    try #require(try client.ask(.post, "/v1/tables", table).status == 201)
    return (cluster, client)
  }

  /// Rows of 900 KB with keys of their own, until one is refused; the answers' statuses.
  private func write(_ count: Int, _ client: TestClient) throws -> [Int] {
    let row = #"{"v":""# + String(repeating: "x", count: 900_000) + #""}"#
    var statuses: [Int] = []
    while statuses.count < count, statuses.allSatisfy({ $0 == 201 }) {
      statuses.append(try client.ask(.put, "/v1/tables/t/rows/\(statuses.count)", row).status)
    }
    return statuses
  }

  private func expectFailed(_ cluster: TestCluster, _ client: TestClient, _ reason: String) throws {
    #expect(try waitUntil { try client.metric("filestore_failed") == 1 })
    let ready = try client.ask(.get, "/readyz")
    #expect(ready.problem?.code == "not-ready" && ready.problem?.detail.contains(reason) == true, "\(ready.text)")
    #expect(try client.ask(.get, "/healthz").status == 200)
    #expect(try client.ask(.get, "/v1/tables/t/rows/0").problem?.code == "not-ready")
    #expect(try client.ask(.put, "/v1/tables/t/rows/after", #"{"v":"x"}"#).problem?.code == "not-ready")
    #expect(try client.ask(.get, "/v1/cluster").text.contains(reason))
    #expect(try client.ask(.get, "/v1/nodes").text.contains(#""state":"failed""#))
    #expect(cluster.node(1).lines.contains("the node serves no more"))
    #expect(cluster.node(1).stop() == .success(0))
  }

  @Test func aLogWriteThatFailsIsTheLast() throws {
    // The seal that follows a pause is smaller than blocks with a row of 900 KB.
    let faults = Faults(.logWrite, EIO, bytesMin: 16_384)
    let (cluster, client) = try startedNode(faults)
    defer { cluster.destroy() }
    #expect(try write(1, client) == [201])
    faults.arm(1)
    let large = #"{"v":""# + String(repeating: "x", count: 900_000) + #""}"#
    let lost = try client.ask(.put, "/v1/tables/t/rows/lost", large)
    #expect(lost.problem?.code == "outcome-unknown" && lost.problem?.retry == .unknown)
    try expectFailed(cluster, client, "failed (errno 5)")
    try cluster.startAgain(1)
    let again = try cluster.client()
    try #require(again.waitUntilReady(1))
    #expect(try again.ask(.get, "/v1/tables/t/rows/0").status == 200)
  }

  @Test(arguments: [TokenKind.pageWrite, .pageSync, .superblockWrite, .pageGrow])
  func aCheckpointThatFailsIsTheLast(kind: TokenKind) throws {
    let faults = Faults(kind, EIO)
    let (cluster, client) = try startedNode(faults)
    defer { cluster.destroy() }
    faults.arm(1)
    let statuses = try write(30, client)
    #expect(statuses.allSatisfy { $0 == 201 || $0 == 503 } && statuses.first == 201)
    try expectFailed(cluster, client, "a checkpoint failed")
    try cluster.startAgain(1)
    let again = try cluster.client()
    try #require(again.waitUntilReady(1))
    for number in statuses.indices where statuses[number] == 201 {
      #expect(try again.ask(.get, "/v1/tables/t/rows/\(number)?columns=k").status == 200, "\(number)")
    }
  }

  @Test func aPageFileThatCannotGrowWaitsForRoom() throws {
    let faults = Faults(.pageGrow, ENOSPC)
    let (cluster, client) = try startedNode(faults)
    defer { cluster.destroy() }
    faults.arm()
    #expect(try write(40, client).contains(503))
    let refused = try client.ask(.put, "/v1/tables/t/rows/more", #"{"v":"x"}"#)
    #expect(refused.problem?.code == "disk-full" && refused.problem?.detail.contains("no room") == true)
    #expect(try client.ask(.get, "/v1/tables/t/rows/0?columns=k").status == 200)
    #expect(try client.metric("filestore_log_full") == 1)
    #expect(cluster.node(1).lines.contains("the disk has no room"))
    #expect(waitUntil { faults.count > 1 }, "it is tried again")
    faults.arm(0)
    #expect(
      try waitUntil { try client.ask(.put, "/v1/tables/t/rows/more", #"{"v":"x"}"#).status == 201 },
      "\(cluster.node(1).lines)")
    #expect(cluster.node(1).lines.contains("writes are taken again"))
  }

  @Test func aSegmentThatCannotBeMadeIsTheEndButForWantOfRoom() throws {
    for errno in [ENOSPC, EIO] {
      let cluster = try TestCluster(nodes: 1)
      defer { cluster.destroy() }
      let faults = Faults(.segment, errno)
      try cluster.start { server in
        server.ring.faults = faults
        faults.arm()
      }
      if errno == ENOSPC {
        #expect(waitUntil { cluster.node(1).lines.contains("the disk has no room") })
        #expect(cluster.node(1).end == nil)
        faults.arm(0)
        #expect(try cluster.client().waitUntilReady(1), "it starts when there is room")
      } else {
        guard case .failure(let refusal)? = cluster.node(1).waitForEnd() else {
          Issue.record("it does not start on a broken disk")
          return
        }
        #expect(refusal.description.contains("errno 5"))
      }
    }
  }

  @Test func connectionsThatBreakDisturbNobodyElse() throws {
    for kind in [TokenKind.receive, .send] {
      let faults = Faults(kind, ECONNRESET)
      let (cluster, client) = try startedNode(faults)
      defer { cluster.destroy() }
      let other = try cluster.client()
      #expect(try other.ask(.get, "/v1/tables").status == 200)
      faults.arm(1)
      let isBroken = waitUntil {
        _ = try? client.ask(.get, "/v1/tables")
        return faults.count == 1
      }
      #expect(isBroken)
      #expect(try other.ask(.get, "/v1/tables").status == 200, "\(kind)")
      #expect(waitUntil { (try? client.ask(.get, "/v1/tables").status) == 200 }, "\(kind)")
      #expect(try waitUntil { try other.metric("filestore_connections") == 2 })
    }
  }

  @Test func connectionsThatCannotBeAcceptedAreSaid() throws {
    let faults = Faults(.accept, EMFILE)
    let (cluster, client) = try startedNode(faults)
    defer { cluster.destroy() }
    faults.arm(1)
    // The accept that is under way is none of those that fail; whoever is accepted by it leads to the next.
    let others = try (0..<3).map { _ in try cluster.client() }
    for other in others { #expect(try other.ask(.get, "/v1/tables").status == 200) }
    #expect(try client.ask(.get, "/v1/tables").status == 200)
  }
}
