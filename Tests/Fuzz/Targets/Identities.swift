import Primitives

@testable import Transport

extension FuzzTarget {
  /// Tokens: a line with a token as a client sends it, then what a signed token says.
  static let token = FuzzTarget(
    "token", inputBytesMax: 2500, memory: MemoryBound(base: 1 << 20, perInputByte: 256)
  ) { input in
    var input = input
    let line = input.line()
    let claims = input.rest()
    do throws(TokenFailure) {
      _ = try line.withBytes { raw throws(TokenFailure) in try TestCertificates.verifier.verify(raw, now: 1) }
      fatalError("a token that nobody signed is refused")
    } catch { require(!error.description.isEmpty, "a refusal says what is wrong") }
    for part in line.split(separator: 46) { checkBase64(Array(part)) }
    do throws(TokenFailure) { checkClaims(try TokenText.read(claims)) } catch {}
  }

  private static func checkBase64(_ text: [UInt8]) {
    guard let bytes = text.withUnsafeBytes({ Base64URL.decode($0) }) else { return }
    require(Base64URL.encode(bytes) == text, "bytes have one text")
  }

  private static func checkClaims(_ claims: TokenClaims) {
    do throws(TokenFailure) {
      require(try TokenText.read(TokenText.write(claims)) == claims, "claims are read as they were written")
    } catch { fatalError("claims of ours are read: \(error)") }
  }

  /// Certificates: PEM as it stands in a file; behind a zero byte, DER that is put into PEM.
  static let certificate = FuzzTarget(
    "certificate", memory: MemoryBound(base: 2 << 20, perInputByte: 256)
  ) { input in
    let isDER = input.bytes.first == 0
    let pem = isDER ? armoured(Array(input.bytes.dropFirst())) : input.bytes
    do throws(TLSRefusal) {
      switch try certificateIdentity(.text(pem)) {
      case .none: break
      case .client(let user, let serial, _):
        require(!user.isEmpty && isSerial(serial), "a client has a name and a serial")
      case .node(let cluster, let id, let serial, _):
        require(!cluster.isEmpty && isSerial(serial), "a node has a cluster and a serial")
        let again = parseNodeURI("filestore://\(cluster)/node/\(id)")
        require(again?.cluster == cluster && again?.id == id, "a node's URI is the same behind its parts")
      }
    } catch { require(!error.reason.isEmpty, "a refusal says what is wrong") }
  }

  private static func isSerial(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 >= 48 && $0 <= 57 || $0 >= 97 && $0 <= 102 || $0 == 45 }
  }

  private static func armoured(_ der: [UInt8]) -> [UInt8] {
    var pem = utf8("-----BEGIN CERTIFICATE-----\n")
    for start in stride(from: 0, to: der.count, by: 48) {
      let line = Base64URL.encode(Array(der[start..<min(start + 48, der.count)]))
      pem += line.map { $0 == 45 ? 43 : $0 == 95 ? 47 : $0 } + [UInt8](repeating: 61, count: (4 - line.count % 4) % 4)
      pem.append(10)
    }
    return pem + utf8("-----END CERTIFICATE-----\n")
  }
}
