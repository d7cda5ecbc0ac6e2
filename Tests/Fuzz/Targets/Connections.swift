import Node
import Primitives

@testable import Server
@testable import Transport

extension FuzzTarget {
  /// An accepted connection, from its first byte: HTTP/2, a probe's HTTP/1.1, another node, TLS.
  ///
  ///     kind      1     0 bytes as they come, 1 frames of HTTP/2 behind its preface, 2 frames of a node behind theirs, 3 TLS
  ///     piece     1     received in pieces of so many bytes
  ///     answers   1     how requests are answered: a bit each, from the lowest
  static let connection = FuzzTarget(
    "connection", memory: MemoryBound(base: 4 << 20, perInputByte: 1024), seeds: { connectionSeeds() }
  ) { input in
    var input = input
    let (kind, piece, answers) = (input.byte() % 4, Int(input.byte()), input.byte())
    let budget = BodyBudget(limitBytes: 4096)
    let bytes =
      switch kind {
      case 1: utf8("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") + frame(4, 0, 0) + frames(&input)
      case 2: utf8("filestore-peer/1\n") + input.rest()
      default: input.rest()
      }
    var client = HostileClient(kind == 3 ? TestCertificates.server : nil, budget, answers: answers)
    for piece in pieces(bytes, of: piece) { client.send(Array(piece)) }
    client.finish()
    require(budget.usedBytes == 0, "all bodies are given back when the connection has gone")
  }

  private static func connectionSeeds() -> [[UInt8]] {
    let get: [UInt8] = [0x82, 0x87, 0x84]
    let put = [0x87] + field(":method", "PUT") + field(":path", "/v1/tables/t/rows/a") + field("if-none-match", "*")
    let priority = described(2, 0, 1, [0, 0, 0, 0, 9])
    return [
      [1, 0, 0] + described(1, 5, 1, get), [1, 7, 1] + described(1, 5, 1, get) + described(1, 5, 3, get),
      [1, 0, 2] + described(1, 4, 1, put) + described(0, 1, 1, utf8(#"{"v":1}"#)),
      [1, 0, 0] + described(1, 4, 1, get) + described(0, 0, 1, [1, 2]) + described(3, 0, 1, [0, 0, 0, 8]),
      [1, 3, 4] + described(1, 0, 1, get) + described(9, 4, 1, field("fs-timeout-ms", "5")) + described(0, 1, 1),
      [1, 0, 8] + described(4, 0, 0, [0, 4, 0, 0, 0, 0]) + described(1, 5, 1, get) + described(8, 0, 1, [0, 0, 9, 9]),
      [1, 0, 0] + described(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]) + priority
        + described(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0]),
      [0, 5, 0] + utf8("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"), [0, 0, 0] + utf8("HEAD /metrics?x HTTP/1.0\n\n"),
      [2, 3, 0] + sealedFrame([5]) + sealedFrame([]),
      [3, 0, 0] + [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0], [3, 0, 0] + utf8("GET / HTTP/1.1\r\n\r\n"),
    ]
  }

  static func sealedFrame(_ payload: [UInt8]) -> [UInt8] {
    payload.withUnsafeBytes { PeerFrame.header(of: $0) } + payload
  }
}

/// Drives a server's connection, and checks that it speaks of each request as it should.
private struct HostileClient {
  private let connection: ServerConnection
  private let head = HeaderBlock()
  private var now = Instant(nanoseconds: 1_000_000_000)
  private var answers: UInt8
  /// Requests that were announced and are neither answered nor closed.
  private var open: Set<StreamHandle> = []
  private var hasEnded = false

  init(_ context: TLSContext?, _ budget: BodyBudget, answers: UInt8) {
    var limits = HTTP2Limits()
    (limits.streamsMax, limits.headerBytesMax, limits.bodyBytesMax) = (8, 1024, 2048)
    (limits.resetsBurst, limits.idleFramesBurst, limits.discardBytesMax) = (20, 40, 4096)
    connection = ServerConnection(context, scratch: TransportScratch(), limits: limits, budget: budget)
    self.answers = answers
  }

  mutating func send(_ bytes: [UInt8]) {
    now = now + .milliseconds(1)
    // The reader of frames looks at what it was given until it has taken all of it.
    bytes.withUnsafeBytes { raw in
      connection.receive(raw, at: now)
      takeEvents()
    }
    takeOutput()
  }

  private mutating func takeOutput() {
    while let bytes = connection.takeOutput() {
      require(bytes.count > 0, "what is to be sent are bytes")
      var rest = connection.didSend(bytes.count / 2)
      while let more = rest { rest = connection.didSend(more.count) }
      takeEvents()
    }
  }

  private mutating func takeEvents() {
    while let event = connection.nextEvent() {
      require(!hasEnded, "nothing comes behind the end")
      switch event {
      case .opened: break
      case .http2(let event): take(event)
      case .http1(let request): answer(request)
      case .frames: while connection.nextFrame() != nil {}
      case .failed, .ended:
        // Streams that were announced are told as closed once the end is known.
        hasEnded = connection.http2 == nil
      }
    }
  }

  private mutating func take(_ event: HTTP2ServerSession.Event) {
    guard let session = connection.http2 else { fatalError("an event of HTTP/2 has its session") }
    switch event {
    case .request(let handle):
      require(open.insert(handle).inserted, "a request is announced once")
      answer(handle, session)
    case .refused(let handle, _):
      require(open.insert(handle).inserted, "a request is announced once")
      respond(handle, session, status: 413)
    case .closed(let handle, _): require(open.remove(handle) != nil, "only what is open is closed")
    case .drained(let handle): require(session.isOpen(handle), "only an open stream is drained")
    }
  }

  private mutating func answer(_ handle: StreamHandle, _ session: HTTP2ServerSession) {
    guard let view = session.request(handle) else { fatalError("a request that was announced is there") }
    _ = Router.timeoutMilliseconds(RequestHead(view))
    _ = Router.route(RequestHead(view))
    answers = answers >> 1 | answers << 7
    switch answers & 7 {
    case 0: respond(handle, session, status: 200)
    case 1: stream(handle, session)
    case 2:
      session.reset(handle)
      open.remove(handle)
    case 3: break  // later, or never
    default: respond(handle, session, status: 204)
    }
  }

  private mutating func respond(_ handle: StreamHandle, _ session: HTTP2ServerSession, status: Int) {
    head.answer(status)
    let body = [UInt8](repeating: 65, count: 3000)
    require(body.withUnsafeBytes { session.respond(handle, head, body: $0) }, "an open request takes its answer")
    require(!body.withUnsafeBytes { session.respond(handle, head, body: $0) }, "and no second one")
    open.remove(handle)
  }

  private mutating func stream(_ handle: StreamHandle, _ session: HTTP2ServerSession) {
    head.answer(200)
    require(session.respondStreaming(handle, head), "an open request takes its answer")
    let piece = [UInt8](repeating: 66, count: 70_000)
    require(piece.withUnsafeBytes { session.write(handle, $0) } != nil, "an answer that goes on takes more")
    head.clear()
    head.add("fs-cursor", "abc")
    require(session.finish(handle, trailers: head), "an answer that goes on can end")
    open.remove(handle)
  }

  private func answer(_ request: HTTP1Probe.Request) {
    connection.answerProbe(status: 200, reason: "OK", body: utf8("ok\n"))
  }

  mutating func finish() {
    if let session = connection.http2 { _ = session.expireIncomplete(startedBefore: now) }
    takeOutput()
    connection.inputEnded()
    takeEvents()
    require(open.isEmpty, "what was announced is answered or closed")
  }
}
