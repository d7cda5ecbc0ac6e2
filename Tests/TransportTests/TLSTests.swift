import Primitives
import Testing

@testable import Transport

@Suite struct TLSTests {
  let cluster = TestCluster.shared

  /// A handshake, and what both sides say of it.
  func handshake(
    _ credentials: Credentials?, server: Credentials? = nil, expecting: Channel.Expectation = .anyNode
  ) throws -> Pair {
    let pair = Pair(server: try cluster.server(server), client: try cluster.client(credentials), expecting: expecting)
    pair.run()
    return pair
  }

  @Test func aClientWithoutCertificateHasNoIdentity() throws {
    let pair = try handshake(nil)
    #expect(pair.serverEvents == [.opened(.http2)])
    #expect(pair.server.identity == .none)
    #expect(pair.clientEvents == [.opened])
  }

  @Test func aClientCertificateNamesItsUserAndSerial() throws {
    let pair = try handshake(cluster.alice)
    guard case .client("alice", let serial, let expires) = pair.server.identity else {
      Issue.record("\(pair.server.identity)")
      return
    }
    #expect(serial.count == 32 && serial.allSatisfy { $0.isHexDigit && !$0.isUppercase })
    #expect(expires > 1_700_000_000)
  }

  @Test func aServerCertificateNamesItsNode() throws {
    let pair = try handshake(nil)
    guard case .node("c1", NodeID(1), _, _) = pair.client.identity else {
      Issue.record("\(pair.client.identity)")
      return
    }
  }

  @Test func aNodeCertificateIsRefusedOnAClientConnection() throws {
    let pair = try handshake(cluster.node2)
    #expect(pair.serverTLSFailure?.cause == .wrongKind)
    #expect(pair.clientTLSFailure?.text.contains("unsupported certificate") == true)
  }

  @Test func anExpiredClientCertificateEndsTheHandshakeWithTheAlertThatSaysSo() throws {
    let pair = try handshake(cluster.expiredClient)
    #expect(pair.serverTLSFailure?.cause == .certificateExpired)
    #expect(pair.clientTLSFailure?.cause == .refusedByPeer)
    #expect(pair.clientTLSFailure?.text.contains("certificate expired") == true)
  }

  @Test func aCertificateThatIsNotValidYetIsRefused() throws {
    #expect(try handshake(cluster.futureClient).serverTLSFailure?.cause == .certificateNotYetValid)
  }

  @Test func aCertificateOfAForeignAuthorityIsRefusedAsUnknown() throws {
    let pair = try handshake(cluster.strangerClient)
    #expect(pair.serverTLSFailure?.cause == .unknownAuthority)
    #expect(pair.clientTLSFailure?.text.contains("unknown CA") == true)
  }

  @Test func aClientRefusesAServerOfAForeignAuthority() throws {
    let pair = try handshake(nil, server: cluster.strangerNode)
    #expect(pair.clientTLSFailure?.cause == .unknownAuthority)
    #expect(pair.serverTLSFailure?.cause == .refusedByPeer)
  }

  @Test func aClientRefusesAServerWhoseCertificateHasExpired() throws {
    #expect(try handshake(nil, server: cluster.expiredNode).clientTLSFailure?.cause == .certificateExpired)
  }

  @Test func aClientRefusesAServerWithAClientCertificate() throws {
    #expect(try handshake(nil, server: cluster.alice).clientTLSFailure != nil)
  }

  @Test func hostsAndAddressesAreCheckedAgainstTheCertificate() throws {
    for good in ["127.0.0.1", "::1", "localhost", "db1.example"] {
      #expect(try handshake(nil, expecting: .host(good)).clientEvents == [.opened], "\(good)")
    }
    for bad in ["127.0.0.2", "db2.example"] {
      #expect(try handshake(nil, expecting: .host(bad)).clientTLSFailure?.cause == .wrongPeer, "\(bad)")
    }
    #expect(try handshake(nil, expecting: .node(cluster: "c1", id: NodeID(1))).clientEvents == [.opened])
    let other = try handshake(nil, expecting: .node(cluster: "c1", id: NodeID(2)))
    #expect(other.clientTLSFailure?.cause == .wrongPeer)
  }

  @Test func theHandshakeSurvivesBeingCutIntoSingleBytes() throws {
    let pair = Pair(server: try cluster.server(), client: try cluster.client(cluster.alice))
    pair.pieceBytes = 1
    pair.answer = { $0.respond($1, "hello", $2) }
    let handle = try pair.submit(.get, "/x")
    pair.run()
    #expect(text(pair.client.http2.response(handle)?.body) == "hello")
  }

  @Test func noCommonProtocolEndsTheHandshake() throws {
    let server = Channel(try cluster.server())
    let client = Channel(try TLSContext(client: .init(nodeAuthority: cluster.nodeCA, speaks: .http2)))
    setProtocols(client, [5] + Array("spdy3".utf8))
    exchange(client, server)
    guard case .failed(let failure) = server.state else {
      Issue.record("\(server.state)")
      return
    }
    #expect(failure.cause == .noCommonProtocol)
    guard case .failed(let told) = client.state else {
      Issue.record("\(client.state)")
      return
    }
    #expect(told.text.contains("no application protocol"))
  }

  @Test func olderVersionsOfTLSAreRefused() throws {
    let server = Channel(try cluster.server())
    let client = Channel(try cluster.client())
    allowOnlyTLS12(client)
    exchange(client, server)
    guard case .failed(let failure) = server.state else {
      Issue.record("\(server.state)")
      return
    }
    #expect(failure.cause == .oldVersion)
    #expect(client.state != .open)
  }

  @Test func aCleanEndIsToldFromACut() throws {
    let pair = try handshake(nil)
    pair.server.finish()
    pair.run()
    #expect(pair.clientEvents == [.opened, .ended])
    #expect(pair.server.isFinished)
  }

  @Test func plainHTTPOnTheTLSPortGetsOneLineInPlainText() throws {
    let server = ServerConnection(
      try cluster.server(), scratch: TransportScratch(), budget: BodyBudget(limitBytes: 1 << 20))
    Array("GET / HTTP/1.1\r\n\r\n".utf8).withUnsafeBytes { server.receive($0, at: .zero) }
    guard case .failed(.tls(let failure)) = server.nextEvent() else {
      Issue.record("no failure")
      return
    }
    #expect(failure.cause == .notTLS)
    let answer = text(server.takeOutput()) ?? ""
    #expect(
      answer.hasPrefix("HTTP/1.1 400 Bad Request\r\n")
        && answer.hasSuffix("\r\n\r\nThis port speaks TLS: use https://\n"))
  }

  @Test func wrongFilesAreRefusedByName() throws {
    #expect(throws: TLSRefusal("/nowhere.pem", "No such file or directory")) {
      try TLSContext(client: .init(nodeAuthority: .file("/nowhere.pem")))
    }
    #expect(throws: TLSRefusal("PEM", "it holds no certificate in PEM")) {
      try TLSContext(client: .init(nodeAuthority: .text(Array("x".utf8))))
    }
    let mixed = Credentials(certificate: cluster.node1.certificate, key: cluster.node2.key)
    #expect(throws: TLSRefusal("PEM", "the key does not belong to the certificate PEM")) { try cluster.server(mixed) }
  }

  // MARK: nodes among themselves

  final class Peers {
    let client: PeerConnection
    let server: ServerConnection
    let scratch = (TransportScratch(), TransportScratch())
    var clientEvents: [PeerConnection.Event] = []
    var serverEvents: [ServerConnection.Event] = []
    var arrived: [[UInt8]] = []
    var echoes: [[UInt8]] = []

    init(_ context: TLSContext?, _ server: TLSContext?, expecting: Channel.Expectation = .anyNode) {
      client = PeerConnection(context, expecting: expecting, scratch: scratch.0)
      self.server = ServerConnection(server, scratch: scratch.1, budget: BodyBudget(limitBytes: 1 << 20))
      client.start()
    }

    func run() {
      for _ in 0..<1000 {
        var moved = false
        if let bytes = client.takeOutput() {
          moved = true
          server.receive(bytes, at: .zero)
          takeServerEvents()
          _ = client.didSend(bytes.count)
        }
        if let bytes = server.takeOutput() {
          moved = true
          client.receive(bytes)
          while let event = client.nextEvent() {
            clientEvents.append(event)
            if event == .frames { while let frame = client.nextFrame() { echoes.append(Array(frame)) } }
          }
          _ = server.didSend(bytes.count)
        }
        if !moved { return }
      }
    }

    func takeServerEvents() {
      while let event = server.nextEvent() {
        serverEvents.append(event)
        while event == .frames, let frame = server.nextFrame() {
          arrived.append(Array(frame))
          server.sendFrame(frame)
        }
      }
    }
  }

  @Test func nodesExchangeFramesOverMutualTLSAndInPlainText() throws {
    let secure = Peers(
      try cluster.client(cluster.node2, speaks: .peer), try cluster.server(),
      expecting: .node(cluster: "c1", id: NodeID(1)))
    let plain = Peers(nil, nil)
    for peers in [secure, plain] {
      peers.run()
      #expect(peers.clientEvents.isEmpty || peers.clientEvents.first == .opened)
      let frames: [[UInt8]] = [[1, 2, 3], [], [UInt8](repeating: 7, count: 300_000)]
      for frame in frames { frame.withUnsafeBytes { peers.client.sendFrame($0) } }
      peers.run()
      #expect(peers.arrived == frames)
      #expect(peers.echoes == frames)
      #expect(peers.serverEvents.first == .opened(.peer))
    }
    guard case .node("c1", NodeID(2), _, _) = secure.server.identity else {
      Issue.record("\(secure.server.identity)")
      return
    }
  }

  @Test func aClientCertificateNoneAndAnExpiredOneAreRefusedAmongNodes() throws {
    let cases: [(Credentials?, TLSFailure.Cause)] = [
      (cluster.alice, .wrongKind), (nil, .missingCertificate), (cluster.expiredNode, .certificateExpired),
      (cluster.strangerNode, .unknownAuthority),
    ]
    for (credentials, cause) in cases {
      let peers = Peers(try cluster.client(credentials, speaks: .peer), try cluster.server())
      peers.run()
      guard case .failed(.tls(let failure))? = peers.serverEvents.first else {
        Issue.record("\(cause): \(peers.serverEvents)")
        continue
      }
      #expect(failure.cause == cause)
    }
  }
}
