import Primitives
import Testing

@testable import Transport

/// Clients that do what they should not.
@Suite struct HTTP2AbuseTests {
  /// A server in plain text that is fed bytes by hand.
  final class Victim {
    let server: ServerConnection
    let budget = BodyBudget(limitBytes: 8 << 20)
    var events: [ServerConnection.Event] = []
    var now = Instant(nanoseconds: 1_000_000_000)
    var output: [UInt8] = []

    init(_ limits: HTTP2Limits = HTTP2Limits(), preface: Bool = true) {
      server = ServerConnection(nil, scratch: TransportScratch(), limits: limits, budget: budget)
      if preface { feed(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(4, 0, 0)) }
    }

    func feed(_ bytes: [UInt8]) {
      bytes.withUnsafeBytes { server.receive($0, at: now) }
      while let event = server.nextEvent() { events.append(event) }
      while let out = server.takeOutput() {
        output.append(contentsOf: out)
        _ = server.didSend(out.count)
      }
    }

    var failure: String? {
      for case .failed(let failure) in events { return failure.description }
      return nil
    }

    /// The kinds of the frames that were sent, and where each begins in the output.
    var frames: [(kind: UInt8, at: Int)] {
      var found: [(kind: UInt8, at: Int)] = []
      var at = 0
      while at + 9 <= output.count {
        found.append((output[at + 3], at))
        at += 9 + (Int(output[at]) << 16 | Int(output[at + 1]) << 8 | Int(output[at + 2]))
      }
      return found
    }

    var sent: [UInt8] { frames.map(\.kind) }

    /// The error code of the GOAWAY that was sent.
    var goAway: UInt32? {
      guard let (_, at) = frames.first(where: { $0.kind == 7 }) else { return nil }
      return output[at + 13..<at + 17].reduce(0) { $0 << 8 | UInt32($1) }
    }
  }

  @Test func aClientThatOpensAndResetsStreamsWithoutEndIsSentAway() {
    var limits = HTTP2Limits()
    limits.resetsBurst = 100
    let victim = Victim(limits)
    for i in 0..<101 { victim.feed(request(UInt32(i) * 2 + 1, ends: true) + reset(UInt32(i) * 2 + 1)) }
    #expect(victim.failure?.contains("resets streams") == true)
    #expect(victim.goAway == 11)
    #expect(victim.server.isFinished)
    #expect(!victim.events.contains { if case .http2(.request) = $0 { true } else { false } })
  }

  @Test func resetsAtABearableRateAreBorne() {
    var limits = HTTP2Limits()
    limits.resetsBurst = 100
    let victim = Victim(limits)
    for i in 0..<400 {
      victim.now = victim.now + .milliseconds(25)
      victim.feed(request(UInt32(i) * 2 + 1, ends: true) + reset(UInt32(i) * 2 + 1))
    }
    #expect(victim.failure == nil)
  }

  @Test func floodsOfFramesThatCostNothingEndTheConnection() {
    let floods: [[UInt8]] = [
      frame(6, 0, 0, [UInt8](repeating: 0, count: 8)),  // PING
      frame(4, 0, 0),  // SETTINGS
      frame(2, 0, 1, [0, 0, 0, 0, 1]),  // PRIORITY
      frame(0, 0, 1),  // empty DATA
      frame(8, 0, 0, [0, 0, 0, 1]),  // WINDOW_UPDATE
    ]
    for (i, flood) in floods.enumerated() {
      var limits = HTTP2Limits()
      limits.windowUpdatesBurst = 2000
      let victim = Victim(limits)
      victim.feed(request(1, ends: false))
      for _ in 0..<2500 where victim.failure == nil { victim.feed(flood) }
      #expect(victim.failure != nil, "flood \(i)")
      #expect(victim.server.isFinished, "flood \(i)")
    }
  }

  @Test func headersOverTheLimitAreRefusedWithoutEndTheyEndTheConnection() {
    var limits = HTTP2Limits()
    limits.headerBytesMax = 4096
    let victim = Victim(limits)
    victim.feed(request(1, ends: true, extra: literal("x-large", String(repeating: "a", count: 5000))))
    guard case .http2(.refused(let handle, .headersTooLarge))? = victim.events.last else {
      Issue.record("\(victim.events)")
      return
    }
    let head = HeaderBlock()
    victim.server.http2?.respond(handle, "too large", head, status: 431)
    victim.feed(request(3, ends: true))
    #expect(victim.failure == nil)
    #expect(victim.server.http2?.counters == .init(requests: 1, resetsReceived: 0, refused: 1))

    let other = Victim(limits)
    var fields: [UInt8] = []
    for _ in 0..<3 { fields += literal("x-large", String(repeating: "a", count: 15000)) }
    var block = frame(1, 1, 1, pseudo)
    let parts = stride(from: 0, to: fields.count, by: 16000).map { Array(fields[$0..<min($0 + 16000, fields.count)]) }
    for (i, part) in parts.enumerated() { block += frame(9, i == parts.count - 1 ? 4 : 0, 1, part) }
    other.feed(block)
    #expect(other.failure != nil)
    #expect(other.server.isFinished)
  }

  @Test func aBodyOverTheLimitIsRefusedAtOnceWhenItIsAnnouncedElseWhenItComes() {
    var limits = HTTP2Limits()
    limits.bodyBytesMax = 100_000
    limits.discardBytesMax = 200_000
    let victim = Victim(limits)
    victim.feed(request(1, ends: false, extra: literal("content-length", "100001")))
    guard case .http2(.refused(let announced, .bodyTooLarge))? = victim.events.last else {
      Issue.record("\(victim.events)")
      return
    }
    let head = HeaderBlock()
    victim.server.http2?.respond(announced, "too large", head, status: 413)
    victim.feed(request(3, ends: false))
    for _ in 0..<7 { victim.feed(frame(0, 0, 3, [UInt8](repeating: 1, count: 16000))) }
    guard case .http2(.refused(let arrived, .bodyTooLarge))? = victim.events.last else {
      Issue.record("\(victim.events)")
      return
    }
    #expect(victim.failure == nil)
    victim.server.http2?.respond(arrived, "too large", head, status: 413)
    victim.feed([])
    #expect(!victim.sent.contains(3), "an early reset would make curl lose the answer")
    victim.output = []
    for _ in 0..<20 { victim.feed(frame(0, 0, 3, [UInt8](repeating: 1, count: 16000))) }
    #expect(victim.sent.contains(3), "no client uploads for ever")
    #expect(victim.server.http2?.openStreams == 1)
    #expect(victim.budget.usedBytes == 0)
  }

  @Test func bodiesOfAllConnectionsShareOneBudget() {
    let victim = Victim()
    var id: UInt32 = 1
    var fed = 0
    while fed < 9 << 20, victim.events.last.map({ if case .http2(.refused) = $0 { false } else { true } }) ?? true {
      if fed % 160_000 == 0 {
        victim.feed(request(id, ends: false))
        id += 2
      }
      victim.feed(frame(0, 0, id - 2, [UInt8](repeating: 1, count: 16000)))
      fed += 16000
    }
    guard case .http2(.refused(_, .overBudget))? = victim.events.last else {
      Issue.record("\(String(describing: victim.events.last)) after \(fed)")
      return
    }
    #expect(victim.budget.usedBytes <= 8 << 20)
    victim.server.inputEnded()
    #expect(victim.budget.usedBytes == 0)
  }

  @Test func aTruncatedUploadLeavesNothingBehind() {
    let victim = Victim()
    victim.feed(request(1, ends: false, extra: literal("content-length", "100")))
    victim.feed(frame(0, 1, 1, [UInt8](repeating: 1, count: 50)))  // ends 50 bytes early
    #expect(victim.events == [.opened(.http2)])
    #expect(victim.server.http2?.openStreams == 0)
    #expect(victim.budget.usedBytes == 0)
  }

  @Test func requestsThatNeverBecomeCompleteExpire() {
    let victim = Victim()
    victim.feed(request(1, ends: false))
    let before = victim.now
    victim.now = victim.now + .seconds(10)
    victim.feed(request(3, ends: false))
    #expect(victim.server.http2?.expireIncomplete(startedBefore: before + .seconds(1)) == 1)
    victim.feed(frame(0, 0, 3, [1]))
    #expect(victim.server.http2?.openStreams == 1)
  }

  @Test func rubbishAndBrokenFramesEndTheConnectionNeverTheProcess() {
    var random = SeededRandom(seed: 7)
    for _ in 0..<300 {
      let victim = Victim()
      for _ in 0..<20 {
        let size = Int(random.below(60))
        var bytes = frame(
          UInt8(random.below(11)), UInt8(random.below(64)), UInt32(random.below(6)),
          (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) })
        if random.chance(1, outOf: 4) { bytes[Int(random.below(UInt64(bytes.count)))] ^= 0xFF }
        victim.feed(bytes)
        if victim.failure != nil { break }
      }
      victim.server.inputEnded()
      while victim.server.nextEvent() != nil {}
      #expect(victim.budget.usedBytes == 0)
    }
  }

  @Test func probesSpeakHTTP11EverythingElseIsToldApart() {
    func ask(_ text: String) -> ServerConnection.Event? {
      let victim = Victim(preface: false)
      for byte in text.utf8 { victim.feed([byte]) }
      #expect(victim.events.first == .opened(.http1))
      return victim.events.last
    }
    #expect(ask("GET /healthz?x HTTP/1.1\r\nhost: a\r\n\r\n") == .http1(.probe(path: "/healthz", isHead: false)))
    #expect(ask("HEAD /readyz HTTP/1.0\r\n\r\n") == .http1(.probe(path: "/readyz", isHead: true)))
    #expect(ask("PUT /v1 HTTP/1.1\r\n\r\n") == .http1(.other))
    #expect(ask("PRINT\r\n\r\n") == .http1(.malformed))
    #expect(ask("\u{01}\u{02}") == .http1(.malformed))
    #expect(ask("GET " + String(repeating: "a", count: 9000)) == .http1(.malformed))

    let victim = Victim(preface: false)
    victim.feed(Array("GET /healthz HTTP/1.1\r\n\r\n".utf8))
    victim.server.answerProbe(status: 200, reason: "OK", body: Array("ok\n".utf8))
    victim.feed([])
    #expect(
      String(decoding: victim.output, as: UTF8.self)
        == "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 3\r\nconnection: close\r\n\r\nok\n"
    )
    #expect(victim.server.isFinished)
  }
}

// MARK: frames by hand

func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt32, _ payload: [UInt8] = []) -> [UInt8] {
  let size = payload.count
  return [
    UInt8(size >> 16), UInt8(size >> 8 & 255), UInt8(size & 255), type, flags, UInt8(stream >> 24),
    UInt8(stream >> 16 & 255),
    UInt8(stream >> 8 & 255), UInt8(stream & 255),
  ] + payload
}

/// :method POST, :scheme http, :path /, by HPACK's static table, and :authority a.
let pseudo: [UInt8] = [0x83, 0x86, 0x84, 0x01, 1, 97]

func request(_ stream: UInt32, ends: Bool, extra: [UInt8] = []) -> [UInt8] {
  frame(1, ends ? 5 : 4, stream, pseudo + extra)
}

func reset(_ stream: UInt32) -> [UInt8] { frame(3, 0, stream, [0, 0, 0, 8]) }

/// A header field without indexing and without Huffman.
func literal(_ name: String, _ value: String) -> [UInt8] {
  [0x00] + prefixed(name.utf8.count) + Array(name.utf8) + prefixed(value.utf8.count) + Array(value.utf8)
}

private func prefixed(_ count: Int) -> [UInt8] {
  if count < 127 { return [UInt8(count)] }
  var bytes: [UInt8] = [127]
  var rest = count - 127
  while rest >= 128 {
    bytes.append(UInt8(rest & 127) | 128)
    rest >>= 7
  }
  return bytes + [UInt8(rest)]
}
