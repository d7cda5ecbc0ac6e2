import FileStoreClient
import Foundation
import TestNodes
import Testing

@testable import fsbench

/// A page of metrics by HTTP/1.0, for whoever asks.
private final class MetricsServer: Sendable {
  let endpoint: Endpoint
  private let listener: Int32
  private let page: Locked<String>

  init(_ page: String) throws {
    self.page = Locked(page)
    let server = try FakeListener()
    listener = server.descriptor
    endpoint = Endpoint(isSecure: false, host: "127.0.0.1", port: server.port)
    Thread { [self] in
      defer { close(listener) }
      while true {
        let socket = accept(listener, nil, nil)
        guard socket >= 0 else { return }
        var buffer = [UInt8](repeating: 0, count: 1000)
        guard recv(socket, &buffer, buffer.count, 0) > 0 else { continue }
        let answer = "HTTP/1.0 200 OK\r\n\r\n" + self.page.withLock { $0 }
        send(socket, answer, answer.utf8.count, Int32(MSG_NOSIGNAL))
        close(socket)
      }
    }.start()
  }

  func set(_ text: String) { page.withLock { $0 = text } }
  func stop() { shutdown(listener, Int32(SHUT_RDWR)) }
}

@Suite struct EtcdSystemTests {
  private let leading = """
    etcd_server_is_leader 1
    grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV"} 7
    grpc_server_handled_total{grpc_code="OK",grpc_method="Range",grpc_service="etcdserverpb.KV"} 9
    grpc_server_handled_total{grpc_code="Unavailable",grpc_method="Put",grpc_service="etcdserverpb.KV"} 100
    etcd_debugging_mvcc_current_revision 8

    """

  /// An etcd that answers this message to everything.
  private func withSystem(_ message: [UInt8], _ body: (EtcdSystem, FakeServer, MetricsServer) throws -> Void) throws {
    let server = try FakeServer { _ in .grpc([GRPC.frame(message)]) }
    let metrics = try MetricsServer(leading)
    defer {
      server.stop()
      metrics.stop()
    }
    let endpoint = Endpoint(isSecure: false, host: "127.0.0.1", port: server.port)
    try body(EtcdSystem(endpoint, tls: nil, metrics: metrics.endpoint, processes: []), server, metrics)
  }

  @Test func whatItAnsweredIsCounted() throws {
    try withSystem([]) { system, _, metrics in
      let (put, revision) = (Counter(name: "answers OK to Put", value: 7), Counter(name: "the revision", value: 8))
      let writes = try system.counters(.write)
      #expect(writes == [put, revision])
      let reads = try system.counters(.read)
      #expect(reads == [Counter(name: "answers OK to Range", value: 9)])
      metrics.set("etcd_server_is_leader 0\n")
      #expect(failure { _ = try system.counters(.read) }?.hasSuffix("is not etcd's leader") == true)
    }
  }

  @Test func itsOwnCountHasToHoldAllKeys() throws {
    try withSystem(Protobuf.field(4, 20)) { system, server, _ in
      try system.checkHolds(20)
      #expect(failure { try system.checkHolds(21) }?.contains("etcd holds 20 of 21 keys") == true)
      #expect(server.requests.map(\.path) == ["/etcdserverpb.KV/Range", "/etcdserverpb.KV/Range"])
    }
  }

  @Test func itIsFilledByTransactionsAndAskedByCalls() throws {
    try withSystem([]) { system, _, _ in
      let (call, groups) = system.filling(300)
      #expect(call is EtcdTxn && groups.count == 3 && groups.size == 128)
      #expect(system.call(.write) is EtcdPut && system.call(.read) is EtcdRange)
    }
  }

  @Test func bothSystemsAreMadeOfTheOptions() throws {
    let options = try KeysSystemsOptions.parse(["--filestore", "https://127.0.0.1:1", "--token-file", "/nowhere"])
    #expect(failure { _ = try options.make(tls: nil) } == "/nowhere cannot be read")
    let noCA = try KeysSystemsOptions.parse(["--ca", "/nowhere"])
    #expect(throws: BenchError.self) { try noCA.makeTLS() }
  }
}
