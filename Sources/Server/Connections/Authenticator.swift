import Glibc
import Node
import Primitives
import Transport

/// Who asks: a token or a client certificate, checked for every request.
///
/// A token's signature costs 0.1 ms, so what was verified is kept: the last token of each connection beside it (compared byte
/// for byte), and a bounded number in the process by their digests. Expiry and revocation are asked every time.
package final class Authenticator {
  private let verifier: TokenVerifier
  private let node: Node
  private var verified: [[UInt8]: TokenClaims] = [:]
  private static let verifiedMax = 4096
  package private(set) var tokensVerified: UInt64 = 0

  package init(_ verifier: TokenVerifier, node: Node) {
    self.verifier = verifier
    self.node = node
  }

  /// The last token of a connection, and what it said.
  struct Remembered {
    fileprivate var token: [UInt8] = []
    fileprivate var claims: TokenClaims?
    fileprivate(set) var failures = 0
    init() {}
  }

  /// Nil: the request may go on. `now` in seconds since 1970.
  func refusal(
    _ header: UnsafeRawBufferPointer?, _ identity: PeerIdentity, _ remembered: inout Remembered, now: UInt64
  ) -> Problem? {
    guard let header else { return refusal(of: identity, now: now) }
    if let claims = remembered.claims, isSame(header, remembered.token) { return refusal(of: claims, now: now) }
    guard let token = bearer(header) else {
      return unauthenticated("`authorization` is not `Bearer` with a token.")
    }
    do throws(TokenFailure) {
      let claims = try claims(of: token, now: now)
      remembered.token = Array(header)
      remembered.claims = claims
      return refusal(of: claims, now: now)
    } catch {
      remembered.failures += 1
      return unauthenticated("Not accepted: \(error). Get a new one by `fscluster token`.")
    }
  }

  private func isSame(_ a: UnsafeRawBufferPointer, _ b: [UInt8]) -> Bool {
    guard a.count == b.count, let start = a.baseAddress else { return false }
    return b.withUnsafeBytes { $0.baseAddress.map { memcmp($0, start, a.count) == 0 } ?? false }
  }

  private func bearer(_ header: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    guard header.count > 7, UnsafeRawBufferPointer(rebasing: header[..<7]).containsIgnoringCase("bearer ") else {
      return nil
    }
    return UnsafeRawBufferPointer(rebasing: header[7...])
  }

  private func claims(of token: UnsafeRawBufferPointer, now: UInt64) throws(TokenFailure) -> TokenClaims {
    let digest = Entropy.digest(token)
    if let known = verified[digest] { return known }
    tokensVerified += 1
    let claims = try verifier.verify(token, now: now)
    if verified.count >= Self.verifiedMax { verified.removeAll(keepingCapacity: true) }
    verified[digest] = claims
    return claims
  }

  private func refusal(of claims: TokenClaims, now: UInt64) -> Problem? {
    if claims.expires <= now { return unauthenticated("The token has expired. Get a new one by `fscluster token`.") }
    if node.isRevoked(.token, serial: claims.serial) { return unauthenticated("The token was revoked.") }
    return nil
  }

  private func refusal(of identity: PeerIdentity, now: UInt64) -> Problem? {
    switch identity {
    case .none:
      return unauthenticated(
        "Send `authorization: Bearer TOKEN` (from `fscluster token`), or use a client certificate.")
    case .node: return Problem(.forbidden, "A node's certificate is for peers only.")
    case .client(_, let serial, let expires):
      if expires <= now { return unauthenticated("The client certificate has expired.") }
      if node.isRevoked(.certificate, serial: serial) { return unauthenticated("The client certificate was revoked.") }
      return nil
    }
  }

  private func unauthenticated(_ detail: String) -> Problem { Problem(.unauthenticated, detail) }
}
