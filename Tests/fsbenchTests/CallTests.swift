import FileStoreClient
import Primitives
import Testing
import Transport

@testable import fsbench

/// Requests as servers see them, and which answers are taken for right ones.
@Suite struct CallTests {
  /// One request for an item: what the server saw, and why the answer was refused.
  private func one(
    _ item: UInt64 = 17, answer: FakeServer.Answer, _ call: (Endpoint) -> any Call
  ) throws -> (request: FakeServer.Request, fault: String?) {
    let server = try FakeServer { _ in answer }
    defer { server.stop() }
    let endpoint = Endpoint(isSecure: false, host: "127.0.0.1", port: server.port)
    let fault = failure {
      let load = try Load(endpoint, tls: nil, plan: LoadPlan(shape: .single, amount: .requests(1)))
      _ = try load.run(call(endpoint), .sequence(item))
    }
    return (try #require(server.requests.first), fault)
  }

  private func place(_ endpoint: Endpoint) -> FileStorePlace {
    FileStorePlace(endpoint: endpoint, token: "fst1.x", table: "t")
  }

  private let row = #"{"key":"key-000000000017","value":"key-000000000017"# + String(repeating: "v", count: 84) + "\"}"

  // MARK: FileStore

  @Test(arguments: [200, 201])
  func aRowIsPut(status: Int) throws {
    let (request, fault) = try one(answer: .whole(status: status)) { FileStorePut(place($0)) }
    #expect(fault == nil)
    #expect(request.path == "/v1/tables/t/rows/key-000000000017")
    #expect(request.authorization == "Bearer fst1.x")
    #expect(String(decoding: request.body, as: UTF8.self) == #"{"value":"\#(Key.value(Golden.key))"}"#)
  }

  @Test(arguments: [204, 404, 429, 503])
  func aPutThatIsAnsweredOtherwiseIsAnError(status: Int) throws {
    let (_, fault) = try one(answer: .whole(status: status, Array("why".utf8))) { FileStorePut(place($0)) }
    #expect(fault?.contains("status \(status)") == true)
  }

  @Test func aRowIsGot() throws {
    let (request, fault) = try one(answer: .whole(Array(row.utf8))) { FileStoreGet(place($0)) }
    #expect(fault == nil)
    #expect(request.path == "/v1/tables/t/rows/key-000000000017")
    #expect(request.authorization == "Bearer fst1.x")
  }

  @Test func anotherRowIsAnError() throws {
    for body in [row + " ", row.replacing("17", with: "18"), row.dropLast(3) + "w\"}", String(row.dropLast(9)), ""] {
      let (_, fault) = try one(answer: .whole(Array(body.utf8))) { FileStoreGet(place($0)) }
      #expect(fault?.contains("another row") == true)
    }
    let (_, fault) = try one(answer: .whole(status: 404)) { FileStoreGet(place($0)) }
    #expect(fault?.contains("status 404") == true)
  }

  @Test func aBatchHoldsItsGroup() throws {
    let groups = KeyGroups(keys: 5, size: 3)
    let (request, fault) = try one(1, answer: .whole()) { FileStoreBatch(place($0), groups) }
    #expect(fault == nil)
    #expect(request.path == "/v1/batch")
    func operation(_ key: String) -> String {
      #"{"op":"put","table":"t","key":"\#(key)","row":{"value":"\#(Key.value(key))"}}"#
    }
    let expected = #"{"operations":["# + operation(Key.text(3)) + "," + operation(Key.text(4)) + "]}"
    #expect(String(decoding: request.body, as: UTF8.self) == expected)
    #expect(try one(1, answer: .whole(status: 413)) { FileStoreBatch(place($0), groups) }.fault != nil)
  }

  // MARK: etcd

  private func grpc(_ hex: String) -> FakeServer.Answer { .grpc([GRPC.frame(Golden.bytes(hex))]) }

  @Test func aKeyIsPut() throws {
    let (request, fault) = try one(answer: grpc(Golden.putAnswer)) { EtcdPut(EtcdPlace(endpoint: $0)) }
    #expect(fault == nil)
    #expect(request.path == "/etcdserverpb.KV/Put")
    #expect(request.contentType == "application/grpc")
    #expect(request.body == GRPC.frame(Golden.bytes(Golden.put)))
  }

  @Test func anAnswerMayComeInAnyPieces() throws {
    let body = GRPC.frame(Golden.bytes(Golden.rangeAnswer))
    for cut in stride(from: 1, to: body.count, by: 13) {
      let pieces = [Array(body[..<cut]), Array(body[cut...])]
      #expect(try one(answer: .grpc(pieces)) { EtcdRange(EtcdPlace(endpoint: $0)) }.fault == nil)
    }
    #expect(try one(answer: .grpc(body.map { [$0] })) { EtcdRange(EtcdPlace(endpoint: $0)) }.fault == nil)
  }

  @Test func anyStatusButZeroIsAnError() throws {
    let body = GRPC.frame(Golden.bytes(Golden.putAnswer))
    func fault(_ answer: FakeServer.Answer) throws -> String {
      try #require(try one(answer: answer) { EtcdPut(EtcdPlace(endpoint: $0)) }.fault)
    }
    #expect(
      try fault(.grpc([body], status: "8", message: "etcdserver: mvcc: database space exceeded"))
        .contains("grpc-status 8: etcdserver: mvcc: database space exceeded"))
    #expect(try fault(.grpc([body], status: "00")).contains("grpc-status 00"))
    #expect(try fault(.grpcRefusal(status: "14")).contains("grpc-status 14"))
    #expect(try fault(.grpcRefusal(status: "0")).contains("grpc-status 0"))
    #expect(try fault(.grpc([body], status: nil, message: "none")).contains("there is no grpc-status"))
    #expect(try fault(.whole(body)).contains("there is no grpc-status"))
    #expect(try fault(.whole(status: 415)).contains("HTTP status 415"))
  }

  @Test func aMessageThatIsNoneIsAnError() throws {
    let message = Golden.bytes(Golden.putAnswer)
    func fault(_ body: [UInt8]) throws -> String? {
      try one(answer: .grpc([body])) { EtcdPut(EtcdPlace(endpoint: $0)) }.fault
    }
    #expect(try fault([])?.contains("cut off") == true)
    #expect(try fault(GRPC.frame(message).dropLast())?.contains("cut off") == true)
    #expect(try fault(GRPC.frame(message.dropLast()))?.contains("no protobuf message") == true)
    #expect(try fault(GRPC.frame([]))?.contains("without a revision") == true)
  }

  @Test func onlyTheKeyAndItsValueAreARightRead() throws {
    func fault(_ item: UInt64, _ message: [UInt8]) throws -> String? {
      try one(item, answer: .grpc([GRPC.frame(message)])) { EtcdRange(EtcdPlace(endpoint: $0)) }.fault
    }
    let right = Golden.bytes(Golden.rangeAnswer)
    #expect(try fault(17, right) == nil)
    #expect(try fault(18, right)?.contains("another key or value than key-000000000018's") == true)
    #expect(try fault(17, Golden.bytes(Golden.putAnswer))?.contains("0 values") == true)
    #expect(try fault(17, right + right)?.contains("2 values") == true)
    var spoiled = right
    spoiled[spoiled.count - 3] ^= 1  // the last byte of the value
    #expect(try fault(17, spoiled)?.contains("another key or value") == true)
  }

  @Test func aTransactionHoldsItsGroup() throws {
    let groups = KeyGroups(keys: 40, size: 2)
    let (request, fault) = try one(9, answer: grpc(Golden.transactionAnswer)) {
      EtcdTxn(EtcdPlace(endpoint: $0), groups)
    }
    #expect(fault == nil)
    #expect(request.path == "/etcdserverpb.KV/Txn")
    let operations = [18, 19].map { Key.text($0) }.flatMap { EtcdMessage.operation($0, Key.value($0)) }
    #expect(request.body == GRPC.frame(operations))
    let three = KeyGroups(keys: 40, size: 3)
    #expect(
      try one(9, answer: grpc(Golden.transactionAnswer)) { EtcdTxn(EtcdPlace(endpoint: $0), three) }.fault?
        .contains("a transaction of 3 puts made 2") == true)
  }

  @Test func keysAreCounted() throws {
    func fault(_ least: UInt64) throws -> String? {
      let (request, fault) = try one(answer: grpc("2080897a")) { EtcdCount(EtcdPlace(endpoint: $0), atLeast: least) }
      #expect(request.body == GRPC.frame(Golden.bytes(Golden.count)))
      return fault
    }
    #expect(try fault(2_000_000) == nil)
    #expect(try fault(2_000_001)?.contains("holds 2000000 of 2000001 keys") == true)
  }
}
