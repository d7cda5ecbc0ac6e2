import COpenSSL
import Primitives

/// What a token says.
package struct TokenClaims: Equatable, Sendable {
  package var user: String
  /// The cluster's id.
  package var cluster: String
  /// Seconds since 1970; the token holds before.
  package var expires: UInt64
  /// By which it is revoked.
  package var serial: String

  /// `serial` nil: 64 random bits in hexadecimal.
  package init(user: String, cluster: String, expires: UInt64, serial: String? = nil) {
    self.user = user
    self.cluster = cluster
    self.expires = expires
    self.serial = serial ?? Entropy.bytes(8).map { hexadecimal($0) }.joined()
  }
}

/// Why a token is not accepted. Any is answered by 401; the words are for the log.
package enum TokenFailure: Error, Equatable, Sendable, CustomStringConvertible {
  case malformed(String)
  case badSignature
  case expired
  case otherCluster(String)

  package var description: String {
    switch self {
    case .malformed(let what): "the token is malformed: \(what)"
    case .badSignature: "the token's signature is not that of this cluster's client authority"
    case .expired: "the token has expired"
    case .otherCluster(let name): "the token is for another cluster (\(name))"
    }
  }
}

/// Makes tokens `fst1.PAYLOAD.SIGNATURE`: the payload is base64url of
/// `{"sub":"USER","aud":"CLUSTER","exp":SECONDS,"jti":"SERIAL"}` (claims named as in RFC 7519: a token comes with every request,
/// so it is short), the signature base64url of ECDSA P-256 with SHA-256 (DER) over
/// `fst1.PAYLOAD`, by the key of the client authority.
package final class TokenAuthority {
  private let key: OpaquePointer

  package init(key: PEMSource) throws(TLSRefusal) { self.key = try readKey(key) }
  deinit { EVP_PKEY_free(key) }

  package func issue(_ claims: TokenClaims) throws(TLSRefusal) -> String {
    let signed = Array("fst1.".utf8) + Base64URL.encode(TokenText.write(claims))
    guard let context = EVP_MD_CTX_new() else { throw TLSRefusal("token", "no memory") }
    defer { EVP_MD_CTX_free(context) }
    var count = 256
    var signature = [UInt8](repeating: 0, count: count)
    guard EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key) == 1,
      EVP_DigestSign(context, &signature, &count, signed, signed.count) == 1
    else { throw TLSRefusal("token", takeOpenSSLError().text) }
    return String(decoding: signed + [46] + Base64URL.encode(Array(signature[..<count])), as: UTF8.self)
  }
}

/// Checks tokens against the client authority's certificate. A check costs about 0.1 ms: keep what was verified (by
/// `Entropy.digest` of the token, with its claims), and ask again for expiry and revocation.
package final class TokenVerifier {
  package static let tokenBytesMax = 2048
  private let keys: [OpaquePointer]
  private let cluster: String

  /// Every certificate in `authority` is accepted: two while the authority is being replaced.
  package init(authority: PEMSource, cluster: String) throws(TLSRefusal) {
    let certificates = try readCertificates(authority)
    defer { for one in certificates { X509_free(one) } }
    keys = certificates.compactMap { X509_get_pubkey($0) }
    self.cluster = cluster
  }

  deinit { for key in keys { EVP_PKEY_free(key) } }

  /// `now` in seconds since 1970.
  package func verify(_ token: UnsafeRawBufferPointer, now: UInt64) throws(TokenFailure) -> TokenClaims {
    let parts = try TokenParts(token)
    guard keys.contains(where: { isSigned(parts.signed, parts.signature, by: $0) }) else { throw .badSignature }
    let claims = try TokenText.read(parts.payload)
    guard claims.cluster == cluster else { throw .otherCluster(claims.cluster) }
    guard claims.expires > now else { throw .expired }
    return claims
  }

  package func verify(_ token: String, now: UInt64) throws(TokenFailure) -> TokenClaims {
    let bytes = Array(token.utf8)
    let result = bytes.withUnsafeBytes { raw -> Result<TokenClaims, TokenFailure> in
      do throws(TokenFailure) { return .success(try verify(raw, now: now)) } catch { return .failure(error) }
    }
    return try result.get()
  }

  private func isSigned(_ bytes: UnsafeRawBufferPointer, _ signature: [UInt8], by key: OpaquePointer) -> Bool {
    guard let context = EVP_MD_CTX_new() else { return false }
    defer {
      EVP_MD_CTX_free(context)
      ERR_clear_error()
    }
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    return EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, key) == 1
      && EVP_DigestVerify(context, signature, signature.count, start, bytes.count) == 1
  }
}

/// The three parts of a token, decoded.
private struct TokenParts {
  let signed: UnsafeRawBufferPointer
  let payload: [UInt8]
  let signature: [UInt8]

  init(_ token: UnsafeRawBufferPointer) throws(TokenFailure) {
    guard token.count <= TokenVerifier.tokenBytesMax else { throw .malformed("longer than 2048 bytes") }
    let parts = token.split(separator: 46, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0].elementsEqual("fst1".utf8) else {
      throw .malformed("it is not fst1.PAYLOAD.SIGNATURE")
    }
    guard let payload = Base64URL.decode(UnsafeRawBufferPointer(rebasing: parts[1])),
      let signature = Base64URL.decode(UnsafeRawBufferPointer(rebasing: parts[2]))
    else { throw .malformed("it is not base64url") }
    (self.payload, self.signature) = (payload, signature)
    signed = UnsafeRawBufferPointer(rebasing: token[..<parts[1].endIndex])
  }
}

extension TokenClaims {
  /// What a token says of itself. Its signature is not checked: for tools that speak of a token, not for who trusts one.
  package init(unverified token: String) throws(TokenFailure) {
    let bytes = Array(token.utf8)
    let payload = bytes.withUnsafeBytes { raw -> Result<[UInt8], TokenFailure> in
      do throws(TokenFailure) { return .success(try TokenParts(raw).payload) } catch { return .failure(error) }
    }
    self = try TokenText.read(payload.get())
  }
}

private func hexadecimal(_ byte: UInt8) -> String {
  String(UInt16(byte) + 256, radix: 16).dropFirst().description
}

/// The token's JSON: one object of texts and whole numbers. Written by us, so read strictly.
enum TokenText {
  static func write(_ claims: TokenClaims) -> [UInt8] {
    var text = "{\"sub\":"
    text += quoted(claims.user) + ",\"aud\":" + quoted(claims.cluster)
    text += ",\"exp\":\(claims.expires),\"jti\":" + quoted(claims.serial) + "}"
    return Array(text.utf8)
  }

  private static func quoted(_ value: String) -> String {
    var text = "\""
    for scalar in value.unicodeScalars {
      switch scalar.value {
      case 34, 92: text += "\\" + String(scalar)
      case 0..<32: text += "\\u00" + hexadecimal(UInt8(scalar.value))
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }

  static func read(_ bytes: [UInt8]) throws(TokenFailure) -> TokenClaims {
    var parser = TokenParser(bytes: bytes)
    let fields = try parser.object()
    func text(_ name: String) throws(TokenFailure) -> String {
      guard case .text(let value)? = fields.first(where: { $0.0 == name })?.1, !value.isEmpty else {
        throw .malformed("`\(name)` is missing")
      }
      return value
    }
    guard case .number(let expires)? = fields.first(where: { $0.0 == "exp" })?.1 else {
      throw .malformed("`exp` is missing")
    }
    return TokenClaims(
      user: try text("sub"), cluster: try text("aud"), expires: expires, serial: try text("jti"))
  }
}

private struct TokenParser {
  enum Value {
    case text(String)
    case number(UInt64)
  }

  let bytes: [UInt8]
  var at = 0

  init(bytes: [UInt8]) { self.bytes = bytes }

  mutating func object() throws(TokenFailure) -> [(String, Value)] {
    var fields: [(String, Value)] = []
    try expect(123)
    repeat {
      let name = try text()
      try expect(58)
      guard fields.count < 16, !fields.contains(where: { $0.0 == name }) else { throw .malformed("fields") }
      fields.append((name, peek == 34 ? .text(try text()) : .number(try number())))
    } while take(44)
    try expect(125)
    guard at == bytes.count else { throw .malformed("bytes behind its end") }
    return fields
  }

  private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard peek == byte else { return false }
    at += 1
    return true
  }

  private mutating func expect(_ byte: UInt8) throws(TokenFailure) {
    guard take(byte) else { throw .malformed("its payload is no JSON object") }
  }

  private mutating func number() throws(TokenFailure) -> UInt64 {
    let start = at
    while let byte = peek, byte >= 48, byte <= 57 { at += 1 }
    guard let value = UInt64(String(decoding: bytes[start..<at], as: UTF8.self)) else { throw .malformed("a number") }
    return value
  }

  private mutating func text() throws(TokenFailure) -> String {
    try expect(34)
    var content: [UInt8] = []
    while let byte = peek, byte != 34 {
      at += 1
      if byte == 92 { content.append(contentsOf: try escape()) } else { content.append(byte) }
    }
    try expect(34)
    guard let text = String(validating: content, as: UTF8.self) else { throw .malformed("a text that is not UTF-8") }
    return text
  }

  private mutating func escape() throws(TokenFailure) -> [UInt8] {
    guard let byte = peek else { throw .malformed("an escape") }
    at += 1
    if byte == 34 || byte == 92 || byte == 47 { return [byte] }
    guard byte == 117, at + 4 <= bytes.count,
      let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16),
      let scalar = Unicode.Scalar(code)
    else { throw .malformed("an escape") }
    at += 4
    return Array(String(Character(scalar)).utf8)
  }
}
