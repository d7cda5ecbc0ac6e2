import FileStoreClient
import Foundation
import Ring
import Testing

@testable import fsbench

@Suite struct PlainHTTPTests {
  /// One GET of `/metrics` from a server that answers with these pieces, 50 ms between them, and does `meanwhile`
  /// first.
  private func get(_ pieces: [String], meanwhile: @escaping @Sendable () -> Void = {}) throws -> String {
    let listener = try FakeListener()
    Thread {
      let socket = accept(listener.descriptor, nil, nil)
      close(listener.descriptor)
      var buffer = [UInt8](repeating: 0, count: 1000)
      guard recv(socket, &buffer, buffer.count, 0) > 0, buffer.starts(with: Array("GET /metrics HTTP/1.0\r\n".utf8))
      else { return }
      for piece in pieces {
        usleep(20_000)
        meanwhile()
        usleep(30_000)
        send(socket, piece, piece.utf8.count, Int32(MSG_NOSIGNAL))
      }
      close(socket)
    }.start()
    return try PlainHTTP.get(Endpoint(isSecure: false, host: "127.0.0.1", port: listener.port), "/metrics")
  }

  @Test func aPageMayComeInPieces() throws {
    #expect(try get(["HTTP/1.0 200 OK\r\n", "content-length: 8\r\n\r\na 1\n", "b 2\n"]) == "a 1\nb 2\n")
  }

  @Test func anInterruptionEndsNothing() throws {
    signal(SIGUSR2) { _ in }
    // Threads of the concurrency runtime take no signals.
    var (signals, before) = (sigset_t(), sigset_t())
    sigaddset(&signals, SIGUSR2)
    pthread_sigmask(SIG_UNBLOCK, &signals, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    let reader = pthread_self()
    let page = try get(["HTTP/1.0 200 OK\r\n\r\na 1\n", "b 2\n"], meanwhile: { pthread_kill(reader, SIGUSR2) })
    #expect(page == "a 1\nb 2\n")
  }

  @Test func anythingButAPageIsAnError() {
    let refusal = failure { _ = try get(["HTTP/1.0 503 Service Unavailable\r\n\r\n"]) }
    #expect(refusal?.contains("is not answered with 200") == true)
    #expect(failure { _ = try get([]) }?.contains("is not answered with 200") == true)
  }
}
