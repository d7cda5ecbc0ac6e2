import Glibc
import Primitives
import Testing

@testable import Transport

@Suite struct TokenTests {
  let cluster = TestCluster.shared
  let claims = TokenClaims(user: "alice \"ä\\\n", cluster: "c1", expires: 2_000_000_000, serial: "ab12")

  func verifier(_ name: String = "c1") throws -> TokenVerifier {
    try TokenVerifier(authority: cluster.clientCA, cluster: name)
  }

  @Test func aTokenSaysWhatWasPutIntoIt() throws {
    let token = try TokenAuthority(key: cluster.clientCAKey).issue(claims)
    #expect(token.hasPrefix("fst1.") && token.split(separator: ".").count == 3)
    #expect(try verifier().verify(token, now: 1_999_999_999) == claims)
  }

  /// Made by another implementation, whose key is gone.
  @Test func aTokenHasItsGoldenBytes() throws {
    let authority = """
      -----BEGIN CERTIFICATE-----
      MIIBODCB36ADAgECAhQFxCiBTPzlTWKO5iv547K5NASWATAKBggqhkjOPQQDAjAR
      MQ8wDQYDVQQDDAZnb2xkZW4wIBcNMjYxMTIyMDAwMDAwWhgPMjEyNjEwMjkwMDAw
      MDBaMBExDzANBgNVBAMMBmdvbGRlbjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IA
      BDX+c5HTg5c7AWFXJ67htEuBqnOu/rK+sH+BHHDEjMGq8i+2OePXB4jTrBPHnk4c
      zBLZSqEDG+Agd4pmrHNl7tejEzARMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0E
      AwIDSAAwRQIgH+5pSydc47wR4qEPjmQ1JvyiEzQtTDXEpscRN3S7gusCIQCrexEY
      DiK1aoaasyglQwvI+YlRPrluMBEBoFxZAp5Igw==
      -----END CERTIFICATE-----

      """
    let signed =
      "fst1.eyJzdWIiOiJhbGljZSBcIsOkXFxcdTAwMGEiLCJhdWQiOiJjMSIsImV4cCI6NDEwMjQ0NDgwMCwianRpIjoiYWIxMiJ9."
    let signature =
      "MEUCIAuKtXzbHE_lY5eyIusepCnOdFhIZWa8WKATUjOCGDNNAiEAoDn1YqINg7dZw6ZXn7KOVVOP6rltv-DbgFFlIUqpMRQ"
    var golden = claims
    golden.expires = 4_102_444_800
    let verifier = try TokenVerifier(authority: .text(Array(authority.utf8)), cluster: "c1")
    #expect(try verifier.verify(signed + signature, now: 1) == golden)
    #expect(try TokenAuthority(key: cluster.clientCAKey).issue(golden).hasPrefix(signed))
  }

  @Test func whatATokenSaysOfItselfIsReadWithoutItsAuthority() throws {
    let token = try TokenAuthority(key: cluster.clientCAKey).issue(claims)
    #expect(try TokenClaims(unverified: token) == claims)
    for wrong in ["", "fst1.x", "fst2" + token.dropFirst(4), token + ".x", token + "=", "fst1.e30.e30"] {
      #expect(throws: TokenFailure.self, "\(wrong)") { try TokenClaims(unverified: wrong) }
    }
  }

  @Test func serialsAreRandom() {
    let one = TokenClaims(user: "a", cluster: "c", expires: 1)
    #expect(one.serial.count == 16 && one.serial != TokenClaims(user: "a", cluster: "c", expires: 1).serial)
  }

  @Test func expiredForeignAndForgedTokensAreToldApart() throws {
    let token = try TokenAuthority(key: cluster.clientCAKey).issue(claims)
    #expect(throws: TokenFailure.expired) { try verifier().verify(token, now: 2_000_000_000) }
    #expect(throws: TokenFailure.otherCluster("c1")) { try verifier("c2").verify(token, now: 1) }
    let forged = try TokenAuthority(key: cluster.strangerKey).issue(claims)
    #expect(throws: TokenFailure.badSignature) { try verifier().verify(forged, now: 1) }
    let both = try TokenVerifier(
      authority: .text(try cluster.clientCA.read() + cluster.strangerCA.read()), cluster: "c1")
    #expect(try both.verify(forged, now: 1) == claims)
  }

  @Test func noChangedByteAndNoShorteningIsAccepted() throws {
    let token = Array(try TokenAuthority(key: cluster.clientCAKey).issue(claims).utf8)
    let verifier = try verifier()
    for i in stride(from: 0, to: token.count, by: 3) {
      var changed = token
      changed[i] = changed[i] == 65 ? 66 : 65
      #expect(throws: TokenFailure.self) { try changed.withUnsafeBytes { try verifier.verify($0, now: 1) } }
      #expect(throws: TokenFailure.self) { try token[..<i].withUnsafeBytes { try verifier.verify($0, now: 1) } }
    }
  }

  @Test func malformedTokensAreNamedSo() throws {
    let verifier = try verifier()
    for bad in [
      "", "x", "fst1", "fst1.", "fst1..", "fst2.YQ.YQ", "fst1.Y.YQ", "fst1.!!.YQ", String(repeating: "a", count: 3000),
    ] {
      do {
        _ = try verifier.verify(bad, now: 1)
        Issue.record("accepted \(bad)")
      } catch {
        guard case .malformed = error else {
          #expect(error == .badSignature && bad == "fst1..")
          continue
        }
      }
    }
  }

  @Test func base64urlReadsOnlyWhatItWrites() {
    for count in 0..<20 {
      let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 77 &+ 200) }
      #expect(Base64URL.encode(bytes).withUnsafeBytes { Base64URL.decode($0) } == bytes)
    }
    #expect(Base64URL.encode([0xfb, 0xff, 0xfe]) == Array("-__-".utf8))
    for bad in ["A", "AB", "AAA=", "A+AA", "A A"] {
      #expect(Array(bad.utf8).withUnsafeBytes { Base64URL.decode($0) } == nil, "\(bad)")
    }
  }

  @Test func keysAreWrittenForTheirOwnerOnly() throws {
    let base = "/var/tmp/filestore-transport-\(UInt64.random(in: 0 ... .max))"
    defer {
      unlink(base + ".pem")
      unlink(base + ".key")
    }
    try cluster.node1.write(certificateFile: base + ".pem", keyFile: base + ".key")
    var status = stat()
    stat(base + ".key", &status)
    #expect(status.st_mode & 0o777 == 0o600)
    #expect(throws: TLSRefusal.self) {
      try cluster.node1.write(certificateFile: base + ".pem", keyFile: base + ".key")
    }
    let context = TLSContext.ServerSettings(
      certificate: .file(base + ".pem"), key: .file(base + ".key"), nodeAuthority: cluster.nodeCA,
      clientAuthority: cluster.clientCA)
    _ = try TLSContext(server: context)
  }

  @Test func anAuthorityReadBackSignsLikeTheFirst() throws {
    let first = try CertificateAuthority(name: "again")
    let again = try CertificateAuthority(
      certificate: .text(first.credentials.certificate), key: .text(first.credentials.key))
    #expect(again.credentials == first.credentials)
    let node = try again.issueNode(cluster: "c1", id: NodeID(9), hosts: ["10.1.2.3", "fe80::1", "db"])
    _ = try TLSContext(
      server: .init(
        certificate: .text(node.certificate), key: .text(node.key), nodeAuthority: .text(first.credentials.certificate),
        clientAuthority: cluster.clientCA))
    #expect(throws: TLSRefusal.self) { try again.issueNode(cluster: "c1,DNS:evil", id: NodeID(1)) }
    #expect(throws: TLSRefusal.self) { try again.issueNode(cluster: "c1", id: NodeID(1), hosts: ["a,DNS:evil"]) }
  }
}
