import Primitives
import Testing

@testable import Transport

@Suite struct HTTP2Tests {
  let cluster = TestCluster.shared

  @Test func aRequestArrivesWholeAndIsAnswered() throws {
    for secure in [false, true] {
      let pair = Pair(server: secure ? try cluster.server() : nil, client: secure ? try cluster.client() : nil)
      pair.answer = { session, handle, head in
        guard let request = session.request(handle) else {
          Issue.record("a request event names an open stream")
          return
        }
        #expect(request.method == .put)
        #expect(text(request.path) == "/v1/tables/t/rows/a%2Cb?x=1")
        #expect(text(request.authority) == "127.0.0.1:7101")
        #expect(text(request.header(.ifMatch)) == "\"7\"")
        #expect(text(request.header(.authorization)) == "Bearer x")
        #expect(text(request.header(.contentLength)) == "9")
        #expect(request.header(.accept) == nil)
        #expect(text(request.unknownFSHeader) == "fs-strange")
        #expect(request.repeatedHeader == .contentType)
        #expect(text(request.body) == "{\"a\":\"b\"}")
        head.answer(201)
        head.add("etag", "\"8\"")
        head.add("location", "/v1/x")
        head.add("fs-staleness-ms", 12)
        session.respond(handle, head)
      }
      let handle = try pair.submit(
        .put, "/v1/tables/t/rows/a%2Cb?x=1",
        [
          ("if-match", "\"7\""), ("authorization", "Bearer x"), ("content-type", "a"), ("content-type", "b"),
          ("fs-strange", "1"), ("fs-stranger", "2"), ("x-other", "y"),
        ], body: Array("{\"a\":\"b\"}".utf8))
      pair.run()
      #expect(pair.responses == [handle])
      let response = try #require(pair.client.http2.response(handle))
      #expect(response.status == 201)
      #expect(text(response.header("etag")) == "\"8\"")
      #expect(text(response.header("fs-staleness-ms")) == "12")
      #expect(text(response.header("content-length")) == "0")
      #expect(response.header("x-none") == nil)
      pair.client.http2.release(handle)
      #expect(pair.client.http2.response(handle) == nil)
      #expect(pair.server.http2?.openStreams == 0)
    }
  }

  @Test func everyKnownHeaderIsToldApartAndNothingElseIs() {
    for known in KnownHeader.allCases {
      let count = known.name.utf8CodeUnitCount
      #expect(KnownHeader(known.name.utf8Start, count) == known)
      var changed = Array(UnsafeBufferPointer(start: known.name.utf8Start, count: count))
      changed[count - 1] ^= 1
      #expect(changed.withUnsafeBufferPointer { $0.baseAddress.flatMap { KnownHeader($0, count) } } == nil)
    }
  }

  @Test func largeBodiesGoBothWaysCutAnywhere() throws {
    let pair = Pair(server: try cluster.server(), client: try cluster.client())
    pair.pieceBytes = 7777
    pair.answer = { session, handle, head in
      guard let request = session.request(handle) else { return }
      head.answer(200)
      session.respond(handle, head, body: request.body)
    }
    let body = (0..<5_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &>> 3) }
    let handle = try pair.submit(.post, "/echo", body: body)
    pair.run()
    #expect(pair.responses == [handle])
    #expect(pair.client.http2.response(handle).map { Array($0.body) == body } == true)
  }

  @Test func moreRequestsThanTheServerAllowsWaitForTheirTurn() throws {
    var limits = HTTP2Limits()
    limits.streamsMax = 10
    let pair = Pair(limits: limits)
    pair.run()  // The client learns the limit.
    var open: [StreamHandle] = []
    var most = 0
    pair.answer = { session, handle, head in
      open.append(handle)
      most = max(most, session.openStreams)
      if open.count == 10 {
        for one in open { session.respond(one, "n", head) }
        open = []
      }
    }
    for i in 0..<500 { try pair.submit(.get, "/\(i)") }
    pair.run()
    #expect(pair.responses.count == 500)
    #expect(most <= 10)
    #expect(Set(pair.responses).count == 500)
  }

  @Test func headAnd204HaveNoBody() throws {
    let pair = Pair()
    pair.answer = { session, handle, head in
      session.respond(handle, "0123456789", head, status: session.request(handle)?.method == .head ? 200 : 204)
    }
    let head = try pair.submit(.head, "/a")
    let deleted = try pair.submit(.delete, "/b")
    pair.run()
    #expect(pair.client.http2.response(head)?.body.count == 0)
    #expect(text(pair.client.http2.response(head)?.header("content-length")) == "10")
    #expect(pair.client.http2.response(deleted)?.status == 204)
    #expect(pair.client.http2.response(deleted)?.header("content-length") == nil)
  }

  @Test func aStreamedAnswerWaitsForTheReaderAndEndsWithTrailers() throws {
    var limits = HTTP2Limits()
    limits.streamLowBytes = 1000
    let pair = Pair(limits: limits)
    let line = Array("{\"n\":\"0123456789\"}\n".utf8)
    var written = 0
    var handle: StreamHandle?
    let block = HeaderBlock()
    func fill(_ session: HTTP2ServerSession) {
      guard let handle else { return }
      while written < 2000 {
        let waiting = line.withUnsafeBytes { session.write(handle, $0) }
        written += 1
        if let waiting, waiting >= 1000 { return }
      }
      block.clear()
      block.add("fs-cursor", "abc")
      #expect(session.finish(handle, trailers: block))
    }
    pair.answer = { session, stream, head in
      handle = stream
      head.answer(200)
      head.add("content-type", "application/x-ndjson")
      session.respondStreaming(stream, head)
      fill(session)
    }
    let request = try pair.submit(.get, "/scan", streamed: true)
    var received = 0
    var drains = 0
    for _ in 0..<1000 where pair.responses.isEmpty {
      pair.run()
      let events = pair.serverEvents
      pair.serverEvents = []
      for case .http2(.drained(let stream)) in events {
        #expect(stream == handle)
        drains += 1
        if let session = pair.server.http2 { fill(session) }
      }
      if let response = pair.client.http2.response(request) {
        received += response.body.count
        pair.client.http2.consume(request, response.body.count)
      }
    }
    #expect(received == line.count * 2000)
    #expect(drains > 10)
    #expect(pair.clientEvents.contains(.http2(.head(request))))
    #expect(pair.clientEvents.contains(.http2(.body(request))))
    let response = try #require(pair.client.http2.response(request))
    #expect(text(response.trailer("fs-cursor")) == "abc")
    #expect(response.header("fs-cursor") == nil)
    #expect(pair.server.http2?.openStreams == 0)
  }

  @Test func aUnaryAnswerMayHaveTrailers() throws {
    let pair = Pair()
    let trailers = HeaderBlock()
    pair.answer = { session, handle, head in
      head.answer(200)
      head.add("content-type", "application/grpc")
      trailers.clear()
      trailers.add("grpc-status", 0)
      Array("12345".utf8).withUnsafeBytes { _ = session.respond(handle, head, body: $0, trailers: trailers) }
    }
    let handle = try pair.submit(.post, "/g", body: [1])
    pair.run()
    #expect(text(pair.client.http2.response(handle)?.trailer("grpc-status")) == "0")
    #expect(text(pair.client.http2.response(handle)?.body) == "12345")
  }

  @Test func aStreamThatTheClientGivesUpIsReportedOnceAndItsHandleIsStale() throws {
    let pair = Pair()
    var open: StreamHandle?
    pair.answer = { _, handle, _ in open = handle }
    let handle = try pair.submit(.get, "/slow")
    pair.run()
    let stream = try #require(open)
    let session = try #require(pair.server.http2)
    #expect(session.isOpen(stream))
    pair.client.http2.release(handle)
    pair.run()
    #expect(pair.serverEvents.last == .http2(.closed(stream, error: 8)))
    #expect(!session.isOpen(stream) && session.request(stream) == nil)
    pair.head.answer(200)
    #expect(!session.respond(stream, pair.head))
    #expect(session.write(stream, UnsafeRawBufferPointer(start: nil, count: 0)) == nil)
    #expect(pair.client.http2.openRequests == 0)
  }

  @Test func aStreamResetByTheServerFailsForTheClient() throws {
    let pair = Pair()
    pair.answer = { session, handle, _ in session.reset(handle) }
    try pair.submit(.get, "/x")
    pair.run()
    #expect(pair.failures == [.init(code: 2, isUnprocessed: false)])
    #expect(!pair.serverEvents.contains { if case .http2(.closed) = $0 { true } else { false } })
  }

  @Test func theEndOfAConnectionClosesWhatWasAnnouncedAndFailsWhatWasAsked() throws {
    let pair = Pair()
    try pair.submit(.get, "/x")
    pair.run()
    let stream = try #require(pair.requests.first)
    pair.server.inputEnded()
    pair.takeServerEvents()
    #expect(pair.serverEvents.suffix(2) == [.ended, .http2(.closed(stream, error: 8))])
    #expect(pair.server.isFinished)
    pair.client.inputEnded()
    pair.takeClientEvents()
    #expect(pair.failures.map(\.isUnprocessed) == [false])
    #expect(pair.clientEvents.last == .ended)
  }

  @Test func aDrainingServerFinishesWhatItHasAndRefusesTheRestAsUnprocessed() throws {
    let pair = Pair()
    var open: StreamHandle?
    pair.answer = { _, handle, _ in open = handle }
    let first = try pair.submit(.get, "/1")
    pair.run()
    let session = try #require(pair.server.http2)
    session.drain()
    let goAway = Array(try #require(pair.server.takeOutput()))
    // The request is on its way when the GOAWAY comes.
    let late = try pair.submit(.get, "/2")
    let bytes = try #require(pair.client.takeOutput())
    pair.server.receive(bytes, at: pair.now)
    _ = pair.client.didSend(bytes.count)
    _ = pair.server.didSend(goAway.count)
    goAway.withUnsafeBytes { pair.client.receive($0) }
    pair.run()
    #expect(pair.requests.count == 1)
    #expect(pair.clientEvents.contains(.http2(.draining)))
    #expect(!session.isDrained)
    session.respond(try #require(open), "done", pair.head)
    pair.run()
    #expect(pair.responses == [first])
    #expect(pair.clientEvents.contains(.http2(.failed(late, .init(code: 7, isUnprocessed: true)))))
    #expect(session.isDrained)
    pair.head.request(.get, authority: "a", path: "/3")
    #expect(pair.client.http2.submit(pair.head) == nil)
  }

  @Test func memoryForBodiesIsGivenBack() throws {
    let budget = BodyBudget(limitBytes: 1 << 20)
    let pair = Pair(budget: budget)
    pair.answer = { session, handle, head in session.respond(handle, "ok", head) }
    for _ in 0..<20 { try pair.submit(.post, "/x", body: [UInt8](repeating: 1, count: 50_000)) }
    pair.run()
    #expect(pair.responses.count == 20)
    #expect(budget.usedBytes == 0)
  }

  @Test func aBodyThatWasReadIsGivenBackBeforeItsAnswer() throws {
    let budget = BodyBudget(limitBytes: 1 << 20)
    let pair = Pair(budget: budget)
    var open: [StreamHandle] = []
    pair.answer = { session, handle, _ in
      #expect(session.request(handle)?.body.count == 50_000)
      session.dropBody(handle)
      open.append(handle)
    }
    for _ in 0..<5 { try pair.submit(.post, "/x", body: [UInt8](repeating: 1, count: 50_000)) }
    pair.run()
    #expect(open.count == 5)
    #expect(budget.usedBytes == 0)
    for handle in open { pair.server.http2?.respond(handle, "ok", pair.head) }
    pair.run()
    #expect(pair.responses.count == 5)
    #expect(budget.usedBytes == 0)
  }

  @Test func aConnectionAtRestGivesItsBuffersBackAndGoesOn() throws {
    let pair = Pair()
    let large = String(repeating: "x", count: 60_000)
    pair.answer = { session, handle, head in session.respond(handle, large, head) }
    try pair.submit(.get, "/1")
    pair.run()
    #expect(pair.server.heldBytes > 60_000)
    pair.server.releaseSpare()
    #expect(pair.server.heldBytes <= 2 * 4096)
    try pair.submit(.post, "/2", body: [UInt8](repeating: 1, count: 50_000))
    pair.run()
    #expect(pair.responses.count == 2)
  }
}
