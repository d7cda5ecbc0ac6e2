import FileStoreClient
import Primitives
import Testing
import Transport

@testable import fsbench

/// GET of a number's path; the answer has to be the number.
private final class Echo: Call {
  private var path: [UInt8] = []
  private let buffer = OutputBuffer()

  func make(_ item: UInt64, into head: HeaderBlock) -> UnsafeRawBufferPointer {
    head.request(.get, scheme: "http", authority: "test", path: "/\(item)")
    return UnsafeRawBufferPointer(start: nil, count: 0)
  }

  func check(_ answer: ResponseView, to item: UInt64) throws(WrongAnswer) {
    guard String(decoding: answer.body, as: UTF8.self) == "/\(item)" else { throw WrongAnswer("another number") }
  }
}

func failure(_ body: () throws -> Void) -> String? {
  do { try body() } catch { return "\(error)" }
  return nil
}

/// The generator against servers in this process, in plain text.
@Suite struct LoadTests {
  private func load(_ server: FakeServer, _ plan: LoadPlan) throws -> LoadResult {
    defer { server.stop() }
    let endpoint = Endpoint(isSecure: false, host: "127.0.0.1", port: server.port)
    return try Load(endpoint, tls: nil, plan: plan).run(Echo(), .sequence(0))
  }

  private let echo: @Sendable (FakeServer.Request) -> FakeServer.Answer = { .whole(Array($0.path.utf8)) }

  @Test(arguments: ["1x1", "3x5", "16x16"])
  func eachItemIsAskedForOnce(shape: String) throws {
    let server = try FakeServer(echo)
    let result = try load(server, LoadPlan(shape: try #require(Shape(shape)), amount: .requests(2000)))
    #expect(result.requests == 2000)
    #expect(server.requests.compactMap { Int($0.path.dropFirst()) }.sorted() == Array(0..<2000))
    #expect(result.seconds > 0 && result.perSecond == 2000 / result.seconds)
    #expect(result.latencies.mean > 0 && result.latencies.maximum <= result.seconds)
  }

  @Test func requestsAreInFlightTogetherOnAllConnections() throws {
    // A connection answers two requests in 100 ms each, one after the other.
    let server = try FakeServer { .late(100, .whole(Array($0.path.utf8))) }
    let shape = Shape(connections: 10, streams: 2)
    let result = try load(server, LoadPlan(shape: shape, amount: .requests(20)))
    #expect(result.seconds >= 0.2 && result.seconds < 1, "one after the other they take 2 s")
  }

  @Test func aLoadOfATimeEndsThen() throws {
    let server = try FakeServer(echo)
    let result = try load(server, LoadPlan(shape: Shape(connections: 2, streams: 2), amount: .seconds(0.2)))
    #expect(result.requests == server.requests.count)
    #expect(result.seconds > 0.1 && result.seconds < 2)
  }

  @Test func atARateRequestsArriveEvenly() throws {
    let server = try FakeServer(echo)
    let plan = LoadPlan(shape: Shape(connections: 2, streams: 2), amount: .seconds(0.5), perSecond: 200)
    let result = try load(server, plan)
    #expect(result.requests == 100)
    #expect(result.seconds > 0.45 && result.seconds < 2, "the last one arrives after 0.495 s")
  }

  /// The first answer takes 0.3 s, and everything else waits for it. Without a rate that is one slow request of thirty;
  /// at 100 a second all thirty arrive meanwhile and wait, 0.15 s on average.
  @Test func atARateAStandstillIsChargedToAllThatArrivedMeanwhile() throws {
    let standstill: @Sendable (FakeServer.Request) -> FakeServer.Answer = { request in
      let answer = FakeServer.Answer.whole(Array(request.path.utf8))
      return request.path == "/0" ? .late(300, answer) : answer
    }
    let closed = try load(try FakeServer(standstill), LoadPlan(shape: .single, amount: .requests(30)))
    #expect(closed.latencies.maximum >= 0.3 && closed.latencies.percentile(0.5) < 0.05)
    let plan = LoadPlan(shape: .single, amount: .requests(30), perSecond: 100)
    let open = try load(try FakeServer(standstill), plan)
    #expect(open.latencies.maximum >= 0.3 && open.latencies.percentile(0.5) > 0.1)
  }

  @Test func aWrongAnswerFailsTheLoad() throws {
    let server = try FakeServer { .whole(Array(($0.path == "/500" ? "/501" : $0.path).utf8)) }
    let reason = failure { _ = try load(server, LoadPlan(shape: .single, amount: .requests(1000))) }
    #expect(reason?.contains("another number") == true)
  }

  @Test func aConnectionThatEndsFailsTheLoad() throws {
    let server = try FakeServer { $0.path == "/77" ? .cut : .whole(Array($0.path.utf8)) }
    let plan = LoadPlan(shape: Shape(connections: 2, streams: 3), amount: .requests(1000))
    #expect(failure { _ = try load(server, plan) }?.contains("http://127.0.0.1:\(server.port): ") == true)
  }

  @Test func silenceFailsTheLoad() throws {
    let server = try FakeServer { $0.path == "/3" ? .never : .whole(Array($0.path.utf8)) }
    var plan = LoadPlan(shape: .single, amount: .requests(10))
    plan.silenceSecondsMax = 0.1
    #expect(failure { _ = try load(server, plan) }?.contains("no answer for 0.1 s") == true)
  }

  @Test func aLoadThatTakesTooLongFails() throws {
    let server = try FakeServer { .late(5, .whole(Array($0.path.utf8))) }
    var plan = LoadPlan(shape: .single, amount: .requests(1000))
    plan.secondsMax = 0.1
    #expect(failure { _ = try load(server, plan) }?.contains("not done within 0.1 s") == true)
  }

  @Test func nobodyWhoListensIsNamed() throws {
    let server = try FakeServer(echo)
    let endpoint = Endpoint(isSecure: false, host: "127.0.0.1", port: server.port)
    server.stop()
    let reason = failure {
      let load = try Load(endpoint, tls: nil, plan: LoadPlan(shape: .single, amount: .requests(1)))
      _ = try load.run(Echo(), .sequence(0))
    }
    #expect(reason?.contains("refused") == true)
  }
}
