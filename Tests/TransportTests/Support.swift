import Primitives
import Testing

@testable import Transport

/// The certificates of one cluster, and of strangers. Made once: keys take time.
struct TestCluster: Sendable {
  let nodeCA: PEMSource
  let clientCA: PEMSource
  let clientCAKey: PEMSource
  let node1: Credentials
  let node2: Credentials
  let alice: Credentials
  let expiredClient: Credentials
  let expiredNode: Credentials
  let futureClient: Credentials
  let strangerNode: Credentials
  let strangerClient: Credentials
  let strangerCA: PEMSource
  let strangerKey: PEMSource

  static let shared: TestCluster = {
    do { return try TestCluster() } catch { preconditionFailure("test certificates: \(error)") }
  }()

  private init() throws {
    let nodes = try CertificateAuthority(name: "test nodes")
    let clients = try CertificateAuthority(name: "test clients")
    let strangers = try CertificateAuthority(name: "strangers")
    nodeCA = .text(nodes.credentials.certificate)
    clientCA = .text(clients.credentials.certificate)
    clientCAKey = .text(clients.credentials.key)
    strangerCA = .text(strangers.credentials.certificate)
    strangerKey = .text(strangers.credentials.key)
    node1 = try nodes.issueNode(cluster: "c1", id: NodeID(1), hosts: ["db1.example"])
    node2 = try nodes.issueNode(cluster: "c1", id: NodeID(2))
    alice = try clients.issueClient(user: "alice")
    let past = CertificateAuthority.Validity(from: -7200, until: -3600)
    expiredClient = try clients.issueClient(user: "bob", validity: past)
    expiredNode = try nodes.issueNode(cluster: "c1", id: NodeID(3), validity: past)
    futureClient = try clients.issueClient(user: "carol", validity: .init(from: 3600, until: 7200))
    strangerNode = try strangers.issueNode(cluster: "c1", id: NodeID(1))
    strangerClient = try strangers.issueClient(user: "alice")
  }

  func server(_ credentials: Credentials? = nil) throws -> TLSContext {
    let own = credentials ?? node1
    return try TLSContext(
      server: .init(
        certificate: .text(own.certificate), key: .text(own.key), nodeAuthority: nodeCA, clientAuthority: clientCA))
  }

  func client(_ credentials: Credentials? = nil, speaks: ApplicationProtocol = .http2) throws -> TLSContext {
    try TLSContext(
      client: .init(
        nodeAuthority: nodeCA, certificate: credentials.map { .text($0.certificate) },
        key: credentials.map { .text($0.key) }, speaks: speaks))
  }
}

/// Two connections back to back; every byte sent is received at once.
final class Pair {
  let client: ClientConnection
  let server: ServerConnection
  let clientScratch = TransportScratch()
  let serverScratch = TransportScratch()
  var now = Instant(nanoseconds: 1)
  /// Bytes are passed on in pieces of this size.
  var pieceBytes = 1 << 20
  var serverEvents: [ServerConnection.Event] = []
  var clientEvents: [ClientConnection.Event] = []
  let head = HeaderBlock()
  /// Called for each request event, with a block for the answer's head.
  var answer: ((HTTP2ServerSession, StreamHandle, HeaderBlock) -> Void)?

  init(
    server context: TLSContext? = nil, client clientContext: TLSContext? = nil,
    expecting: Channel.Expectation = .anyNode, limits: HTTP2Limits = HTTP2Limits(),
    clientLimits: HTTP2ClientLimits = HTTP2ClientLimits(), budget: BodyBudget = BodyBudget(limitBytes: 64 << 20)
  ) {
    server = ServerConnection(context, scratch: serverScratch, limits: limits, budget: budget)
    client = ClientConnection(clientContext, expecting: expecting, scratch: clientScratch, limits: clientLimits)
    client.start()
  }

  /// Lets bytes flow until nothing moves.
  func run() {
    for _ in 0..<100_000 {
      var moved = false
      if let bytes = client.takeOutput() {
        moved = true
        for piece in pieces(bytes) {
          server.receive(piece, at: now)
          takeServerEvents()
        }
        #expect(client.didSend(bytes.count) == nil)
      }
      takeServerEvents()
      if let bytes = server.takeOutput() {
        moved = true
        for piece in pieces(bytes) {
          client.receive(piece)
          takeClientEvents()
        }
        #expect(server.didSend(bytes.count) == nil)
      }
      takeServerEvents()
      takeClientEvents()
      if !moved { return }
    }
    Issue.record("the bytes never come to rest")
  }

  func pieces(_ bytes: UnsafeRawBufferPointer) -> [UnsafeRawBufferPointer] {
    stride(from: 0, to: bytes.count, by: pieceBytes).map {
      UnsafeRawBufferPointer(rebasing: bytes[$0..<min($0 + pieceBytes, bytes.count)])
    }
  }

  func takeServerEvents() {
    while let event = server.nextEvent() {
      serverEvents.append(event)
      if case .http2(.request(let handle)) = event, let session = server.http2 { answer?(session, handle, head) }
    }
  }

  func takeClientEvents() { while let event = client.nextEvent() { clientEvents.append(event) } }

  @discardableResult
  func submit(
    _ method: HTTPMethod = .get, _ path: String, _ headers: [(StaticString, String)] = [], body: [UInt8] = [],
    streamed: Bool = false
  ) throws -> StreamHandle {
    head.request(method, authority: "127.0.0.1:7101", path: path)
    for (name, value) in headers { head.add(name, value) }
    return try #require(body.withUnsafeBytes { client.http2.submit(head, body: $0, streamed: streamed) })
  }

  var responses: [StreamHandle] {
    clientEvents.compactMap { if case .http2(.response(let handle)) = $0 { handle } else { nil } }
  }

  var failures: [HTTP2ClientSession.Failure] {
    clientEvents.compactMap { if case .http2(.failed(_, let failure)) = $0 { failure } else { nil } }
  }

  var requests: [StreamHandle] {
    serverEvents.compactMap { if case .http2(.request(let handle)) = $0 { handle } else { nil } }
  }

  var serverFailure: ServerConnection.Failure? {
    for case .failed(let failure) in serverEvents { return failure }
    return nil
  }

  var serverTLSFailure: TLSFailure? {
    if case .tls(let failure)? = serverFailure { return failure }
    return nil
  }

  var clientTLSFailure: TLSFailure? {
    for case .failed(.tls(let failure)) in clientEvents { return failure }
    return nil
  }
}

func text(_ bytes: UnsafeRawBufferPointer?) -> String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

extension HTTP2ServerSession {
  /// Answers 200 with a text.
  func respond(_ handle: StreamHandle, _ body: String, _ head: HeaderBlock, status: Int = 200) {
    head.answer(status)
    head.add("content-type", "text/plain")
    let bytes = Array(body.utf8)
    bytes.withUnsafeBytes { _ = respond(handle, head, body: $0) }
  }
}
