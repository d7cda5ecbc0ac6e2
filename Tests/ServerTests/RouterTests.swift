import Node
import Primitives
import Tables
import Testing
import Transport

@testable import Server

@Suite struct RouterTests {
  @Test func rowsAreReadWrittenAndDeletedByTheirPath() {
    let body = Array("{\"v\":1}".utf8)
    #expect(route(.get, "/v1/tables/t/rows/a") == .operation(.get(path("t", "a"), columns: nil)))
    #expect(
      route(.put, "/v1/tables/t/rows/a", body: "{\"v\":1}") == .operation(.put(path("t", "a"), body: body, .none)))
    #expect(
      route(.patch, "/v1/tables/t/rows/a", body: "{\"v\":1}") == .operation(.patch(path("t", "a"), body: body, .none)))
    #expect(route(.delete, "/v1/tables/t/rows/a") == .operation(.delete(path("t", "a"), .none)))
  }

  @Test func aKeyStaysAsItWasSentAndATableIsDecoded() {
    #expect(route(.get, "/v1/tables/%74/rows/g++%2C%2f") == .operation(.get(path("t", "g++%2C%2f"), columns: nil)))
    #expect(refusal(.get, "/v1/tables/%7/rows/a") == .invalidArgument)
    #expect(refusal(.get, "/v1/tables/%ff/rows/a") == .invalidArgument)
    #expect(refusal(.get, "/v1/tables/t/rows/a/b") == .notFound)
  }

  @Test func anEmptyKeyIsAKey() {
    #expect(route(.get, "/v1/tables/t/rows/") == .operation(.get(path("t", ""), columns: nil)))
  }

  @Test func aScanTakesItsParametersAsTheyCame() {
    var query = ScanQuery(table: "t")
    query.start = Array("a%2C".utf8)
    query.limit = Array("5".utf8)
    query.order = Array("desc".utf8)
    #expect(route(.get, "/v1/tables/t/rows?start=a%2C&limit=5&order=desc") == .operation(.scan(query)))
    #expect(refusal(.get, "/v1/tables/t/rows?limit=5&limit=6") == .invalidArgument)
    #expect(refusal(.get, "/v1/tables/t/rows?first=5") == .invalidArgument)
  }

  @Test func aScanIsStreamedForThoseWhoTakeLines() {
    var query = ScanQuery(table: "t")
    query.limit = Array("50000".utf8)
    let accept: [KnownHeader: String] = [.accept: "application/json, Application/X-NDJSON;q=0.9"]
    #expect(route(.get, "/v1/tables/t/rows?limit=50000", accept) == .stream(query, rowsMax: 50000))
    #expect(route(.get, "/v1/tables/t/rows", accept) == .stream(ScanQuery(table: "t"), rowsMax: nil))
    #expect(refusal(.get, "/v1/tables/t/rows?limit=0", accept) == .invalidArgument)
  }

  @Test func conditionsAreReadStrictly() {
    func condition(_ headers: [KnownHeader: String]) -> Condition? {
      guard case .operation(.delete(_, let condition)) = route(.delete, "/v1/tables/t/rows/a", headers) else {
        return nil
      }
      return condition
    }
    #expect(condition([.ifMatch: "\"12\""]) == .ifMatch(Timestamp(12)))
    #expect(condition([.ifNoneMatch: "*"]) == .ifNoneMatch)
    #expect(condition([.ifMatch: "\"no version of ours\""]) == .ifMatch(.zero))
    #expect(condition([.ifMatch: "\"012\""]) == .ifMatch(.zero))
    for wrong in ["12", "\"12", "*", "W/\"12\"", "\"1\", \"2\""] {
      #expect(refusal(.delete, "/v1/tables/t/rows/a", [.ifMatch: wrong]) == .invalidArgument, "\(wrong)")
    }
    #expect(refusal(.delete, "/v1/tables/t/rows/a", [.ifMatch: "\"1\"", .ifNoneMatch: "*"]) == .invalidArgument)
    #expect(refusal(.put, "/v1/tables/t/rows/a", [.ifNoneMatch: "\"1\""]) == .invalidArgument)
    #expect(refusal(.get, "/v1/tables/t/rows/a", [.ifMatch: "\"1\""]) == .invalidArgument)
  }

  @Test func aDeadlineIsBetweenOneMillisecondAndTwoMinutes() {
    func milliseconds(_ text: String?) -> UInt64? {
      withRequest(.get, "/", text.map { [.fsTimeout: $0] } ?? [:]) { Router.timeoutMilliseconds($0) }
    }
    #expect(milliseconds(nil) == 10_000)
    #expect(milliseconds("1") == 1)
    #expect(milliseconds("120000") == 120_000)
    for wrong in ["0", "120001", "", "-1", "1.5", "ten", "99999999999999999999"] {
      #expect(refusal(.get, "/v1/tables", [.fsTimeout: wrong]) == .invalidArgument, "\(wrong)")
    }
  }

  @Test func readsOfRowsCanBeOfASnapshot() {
    let past: [KnownHeader: String] = [.fsRead: "snapshot=12"]
    let get = Operation.get(path("t", "a"), columns: nil)
    #expect(route(.get, "/v1/tables/t/rows/a", past) == .operation(.snapshot(Timestamp(12), get)))
    #expect(
      route(.get, "/v1/tables/t/rows", past) == .operation(.snapshot(Timestamp(12), .scan(ScanQuery(table: "t")))))
    #expect(
      route(.get, "/v1/tables/t/rows", [.fsRead: "snapshot=12", .accept: "application/x-ndjson"])
        == .stream(ScanQuery(table: "t"), rowsMax: nil, snapshot: Timestamp(12)))
    for number in ["", "0", "x", "1x", "-1", "18446744073709551615", "18446744073709551616"] {
      #expect(refusal(.get, "/v1/tables/t/rows/a", [.fsRead: "snapshot=\(number)"]) == .invalidArgument, "\(number)")
    }
    #expect(refusal(.put, "/v1/tables/t/rows/a", body: "{}", past) == .invalidArgument)
    #expect(refusal(.delete, "/v1/tables/t/rows/a", past) == .invalidArgument)
  }

  @Test func whatIsNotBuiltIsRefusedAsSuchAndWhatIsUnknownAsWrong() {
    #expect(refusal(.get, "/v1/tables", [.fsRead: "follower"]) == .notSupported)
    #expect(refusal(.get, "/v1/tables", [.fsRead: "snapshot=12"]) == .invalidArgument)
    #expect(refusal(.get, "/v1/tables", [.fsRead: "dirty"]) == .invalidArgument)
    #expect(refusal(.get, "/v1/tables", [.fsRead: "linearizable"]) == nil)
    #expect(refusal(.get, "/v1/tables", [.fsRoute: "direct"]) == .notSupported)
    #expect(refusal(.get, "/v1/tables", [.fsTransaction: "1"]) == .notSupported)
    #expect(refusal(.put, "/v1/tables/t/rows/a", [.idempotencyKey: "x"]) == .notSupported)
    #expect(refusal(.get, "/v1/tables", unknown: "fs-nonsense") == .invalidArgument)
    #expect(refusal(.patch, "/v1/tables/t", body: "{}") == .notSupported)
    for path in ["/v1/shards", "/v1/jobs", "/v1/events", "/v1/transactions", "/v1/sql", "/v1/nodes/n1/drain"] {
      #expect(refusal(.get, path) == .notSupported, "\(path)")
    }
    #expect(refusal(.post, "/filestore.v1.Rows/Get", [.contentType: "application/grpc"]) == .notSupported)
  }

  @Test func unknownPathsAndMethodsAreTold() {
    for path in [
      "/", "/v1", "/v1/", "/v1/nothing", "/v2/tables", "*", "/v1/tables/t/columns", "/v1/tables/t/rows/a/b/c/d",
    ] {
      #expect(refusal(.get, path) == .notFound, "\(path)")
    }
    guard case .refused(let problem, let allow) = route(.post, "/v1/tables/t/rows/a", body: "{}") else {
      Issue.record("POST of a row is refused")
      return
    }
    #expect(problem.code == .methodNotAllowed)
    #expect(allow == "GET, HEAD, PUT, PATCH, DELETE")
    #expect(refusal(.get, "/v1/batch") == .methodNotAllowed)
    #expect(refusal(.put, "/v1/tables") == .methodNotAllowed)
    #expect(refusal(.post, "/healthz") == .methodNotAllowed)
    #expect(refusal(.options, "/v1/cluster") == .methodNotAllowed)
  }

  @Test func bodiesAreJSONOrUnnamed() {
    #expect(refusal(.put, "/v1/tables/t/rows/a", [.contentType: "application/json; charset=utf-8"]) == nil)
    #expect(refusal(.put, "/v1/tables/t/rows/a", [.contentType: "Application/JSON"]) == nil)
    #expect(refusal(.put, "/v1/tables/t/rows/a", [.contentType: "application/x-www-form-urlencoded"]) == nil)
    #expect(refusal(.put, "/v1/tables/t/rows/a", [.contentType: "text/plain"]) == .unsupportedType)
    #expect(refusal(.put, "/v1/tables/t/rows/a", [.contentType: "application/json5"]) == .unsupportedType)
    #expect(refusal(.post, "/v1/batch", [.contentType: "application/x-www-form-urlencode"]) == .unsupportedType)
    #expect(refusal(.get, "/v1/tables/t/rows/a", [:]) == nil)
    #expect(refusal(.get, "/v1/tables/t/rows/a") == nil)
    #expect(refusal(.delete, "/v1/tables/t", body: "{}") == .invalidArgument)
  }

  @Test func probesNeedNoVersionInTheirPath() {
    #expect(route(.get, "/healthz") == .probe(.alive))
    #expect(route(.head, "/readyz") == .probe(.ready))
    #expect(route(.get, "/metrics?format=text") == .probe(.metrics))
  }

  @Test func administrationTakesSmallObjectsOfStrings() {
    let revoked = route(.post, "/v1/revocations", body: " {\"kind\":\"token\", \"serial\":\"ab\\\"1\"} ")
    #expect(revoked == .operation(.revoke(kind: .token, serial: "ab\"1")))
    #expect(refusal(.post, "/v1/revocations", body: "{\"kind\":\"user\",\"serial\":\"1\"}") == .invalidArgument)
    #expect(refusal(.post, "/v1/revocations", body: "{\"kind\":\"token\"}") == .invalidArgument)
    #expect(refusal(.post, "/v1/revocations", body: "{\"kind\":\"token\",\"kind\":\"token\"}") == .invalidArgument)
    for wrong in [
      "", "{", "[]", "{\"kind\"}", "{\"kind\":1}", "{\"kind\":\"token\"} x", "{\"kind\":\"token",
      "{\"kind\":\"\u{1}\"}",
    ] {
      #expect(refusal(.post, "/v1/revocations", body: wrong) == .invalidJSON, "\(wrong)")
    }
    let led = route(.post, "/v1/shards/1/leader", body: "{\"to\":\"n2\"}")
    #expect(led == .operation(.transferLeadership(ShardID(1), to: NodeID(2))))
    #expect(refusal(.post, "/v1/shards/2/leader", body: "{\"to\":\"n2\"}") == .notFound)
    #expect(refusal(.post, "/v1/shards/1/leader", body: "{\"to\":\"two\"}") == .invalidArgument)
  }

  @Test func anyBytesAreRoutedSomewhere() {
    var random = SeededRandom(seed: 7)
    let alphabet = Array("/v1tablesrows%?&=+,{}\"\\ \u{0}é~".utf8)
    for _ in 0..<20_000 {
      let count = Int(random.below(40))
      let target = String(
        decoding: (0..<count).map { _ in alphabet[Int(random.below(UInt64(alphabet.count)))] }, as: UTF8.self)
      _ = route([.get, .put, .post, .delete][Int(random.below(4))], "/v1/tables/" + target, body: target)
      _ = route(.post, "/v1/revocations", body: "{" + target)
    }
  }
}
