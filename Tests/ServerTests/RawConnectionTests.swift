import Foundation
import Primitives
import Ring
import TestNodes
import Testing

@testable import Server

/// Bytes as they come from clients that are none of ours.
@Suite(.serialized) struct RawConnectionTests {
  private func startedNode(isInsecure: Bool = true, limits: EdgeLimits = EdgeLimits()) throws -> TestCluster {
    let cluster = try TestCluster(nodes: 1, isInsecure: isInsecure)
    try cluster.start(limits: limits)
    try #require(try cluster.client().waitUntilReady(1), "\(cluster.node(1).lines)")
    return cluster
  }

  /// Sends in pieces of so many bytes, and reads until the other side ends.
  private func say(_ text: String, _ cluster: TestCluster, pieces: Int = .max, seconds: Int = 20) throws -> String {
    let socket = try Sockets.connectBlocking(to: SocketAddress("127.0.0.1:\(cluster.ports[0])"))
    defer { Sockets.closeNow(socket) }
    var patience = timeval(tv_sec: seconds, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let part = Array(rest.prefix(pieces))
      guard send(socket, part, part.count, Int32(MSG_NOSIGNAL)) == part.count else { break }
      rest = rest.dropFirst(part.count)
    }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(socket, &buffer, buffer.count, 0)
      // The ring of a client in this thread interrupts it.
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return String(decoding: answer, as: UTF8.self) }
      answer.append(contentsOf: buffer[..<count])
    }
  }

  @Test func probesAreAnsweredOverHTTP1() throws {
    let cluster = try startedNode()
    defer { cluster.destroy() }
    let alive = try say("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", cluster)
    #expect(alive.hasPrefix("HTTP/1.1 200 ") && alive.hasSuffix("\r\n\r\nok\n"))
    #expect(try say("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n", cluster, pieces: 1).hasSuffix("ready\n"))
    let metrics = try say("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", cluster)
    #expect(metrics.contains("\nfilestore_ready 1\n") && metrics.contains("filestore_http_probes_total"))
    #expect(!(try say("HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n", cluster)).hasSuffix("ok\n"))
  }

  @Test func otherHTTP1IsToldWhatIsSpokenHere() throws {
    let cluster = try startedNode()
    defer { cluster.destroy() }
    for request in ["GET /v1/tables HTTP/1.1\r\nhost: x\r\n\r\n", "POST /healthz HTTP/1.1\r\nhost: x\r\n\r\n"] {
      #expect(try say(request, cluster).hasPrefix("HTTP/1.1 505 "))
    }
  }

  @Test func plainTextOnTheSecurePortIsToldSo() throws {
    let cluster = try startedNode(isInsecure: false)
    defer { cluster.destroy() }
    let answer = try say("GET / HTTP/1.1\r\nhost: x\r\n\r\n", cluster)
    #expect(answer.hasPrefix("HTTP/1.1 400 ") && answer.contains("https"))
    _ = try say(String(repeating: "\0", count: 300), cluster)
    #expect(try cluster.client().ask(.get, "/healthz").status == 200)
  }

  @Test func bytesThatAreNoProtocolEndTheConnection() throws {
    let cluster = try startedNode()
    defer { cluster.destroy() }
    for text in ["\u{1}\u{2}\u{3}", String(repeating: "x", count: 20_000), "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"] {
      _ = try say(text, cluster)
    }
    #expect(try say("filestore-peer/1\n" + String(repeating: "\u{7f}", count: 64), cluster).isEmpty)
    #expect(try cluster.client().ask(.get, "/healthz").status == 200)
    #expect(try waitUntil { try cluster.client().metric("filestore_connections") == 1 })
  }

  @Test func whoSaysNothingIsCutOff() throws {
    var limits = EdgeLimits()
    limits.handshakeTime = .milliseconds(300)
    let cluster = try startedNode(limits: limits)
    defer { cluster.destroy() }
    let client = try cluster.client()
    #expect(try client.ask(.get, "/healthz").status == 200)
    let began = Date()
    #expect(try say("", cluster).isEmpty)
    #expect(Date().timeIntervalSince(began) > 0.3)
    #expect(try client.metric(#"filestore_connections_cut_total{phase="handshake"}"#) == 1)
    #expect(cluster.node(1).lines.contains("did not say in time what it wants"))
  }
}
