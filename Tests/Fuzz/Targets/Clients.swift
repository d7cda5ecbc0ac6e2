import Primitives

@testable import Transport

extension FuzzTarget {
  /// What a server sends to a client of ours.
  ///
  ///     kind      1     0 bytes as they come, 1 frames of HTTP/2
  ///     piece     1     received in pieces of so many bytes
  static let http2Client = FuzzTarget(
    "http2-client", memory: MemoryBound(base: 4 << 20, perInputByte: 1024), seeds: { http2ClientSeeds() }
  ) { input in
    var input = input
    let (kind, piece) = (input.byte() % 2, Int(input.byte()))
    let bytes = kind == 1 ? frame(4, 0, 0) + frames(&input) : input.rest()
    var server = HostileServer()
    for piece in pieces(bytes, of: piece) { server.send(Array(piece)) }
    server.finish()
  }

  private static func http2ClientSeeds() -> [[UInt8]] {
    let ok: [UInt8] = [0x88]
    let trailers = field("fs-cursor", "abc")
    return [
      [1, 0] + described(1, 5, 1, ok), [1, 3] + described(1, 4, 3, ok) + described(0, 1, 3, utf8("{}")),
      [1, 0] + described(1, 4, 5, ok + field("etag", "\"5\"")) + described(0, 0, 5, [1, 2, 3])
        + described(1, 5, 5, trailers),
      [1, 0] + described(3, 0, 1, [0, 0, 0, 7]) + described(7, 0, 0, [0, 0, 0, 1, 0, 0, 0, 0]),
      [1, 0] + described(1, 4, 1, field(":status", "103")) + described(1, 5, 1, ok),
      [1, 0] + described(5, 4, 1, [0, 0, 0, 2, 0x82]) + described(6, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0]),
    ]
  }
}

/// Three requests of a client, and whatever the server says to them.
private struct HostileServer {
  private let session: HTTP2ClientSession
  private var open: Set<StreamHandle> = []
  private let output = OutputBuffer()

  init() {
    var limits = HTTP2ClientLimits()
    (limits.headerBytesMax, limits.bodyBytesMax) = (1024, 4096)
    session = HTTP2ClientSession(limits: limits)
    let head = HeaderBlock()
    for (number, body) in [[], utf8("abc"), []].enumerated() {
      head.request(body.isEmpty ? .get : .put, authority: "127.0.0.1:7101", path: "/v1/tables/t/rows/\(number)")
      guard let handle = body.withUnsafeBytes({ session.submit(head, body: $0, streamed: number == 2) }) else {
        fatalError("a new session takes requests")
      }
      open.insert(handle)
    }
    session.produce(into: output)
  }

  mutating func send(_ bytes: [UInt8]) {
    bytes.withUnsafeBytes { session.receive($0) }
    takeEvents()
    output.removeAll()
    session.produce(into: output)
  }

  private mutating func takeEvents() {
    while let event = session.nextEvent() {
      switch event {
      case .response(let handle):
        guard let response = session.response(handle) else { fatalError("a response that was told is there") }
        _ = (response.status, response.header("etag"), response.trailer("fs-cursor"))
        end(handle)
      case .failed(let handle, let failure):
        require(!failure.description.isEmpty, "a failure says what it is")
        end(handle)
      case .head(let handle): require(open.contains(handle), "an answer begins while its request is open")
      case .body(let handle):
        if let response = session.response(handle) { session.consume(handle, response.body.count / 2 + 1) }
      case .draining: break
      }
    }
  }

  private mutating func end(_ handle: StreamHandle) {
    require(open.remove(handle) != nil, "a request ends once")
    session.release(handle)
  }

  mutating func finish() {
    session.connectionEnded()
    takeEvents()
    require(open.isEmpty, "every request ends")
    require(session.openRequests == 0, "nothing is left of requests that were released")
  }
}
