import COpenSSL
import Primitives

/// Certificates, keys and rules for many connections: TLS 1.3 only, no resumption (a resumed session would skip the check of a
/// certificate that has expired meanwhile), no early data.
///
/// To change certificates make a new context; connections that are open keep theirs.
package final class TLSContext {
  package enum Role: Sendable { case server, client }

  package struct ServerSettings: Sendable {
    /// The node's certificate, with its chain; its key.
    package var certificate: PEMSource
    package var key: PEMSource
    /// Signs nodes' certificates.
    package var nodeAuthority: PEMSource
    /// Signs clients' certificates and, with the same key, tokens.
    package var clientAuthority: PEMSource

    package init(certificate: PEMSource, key: PEMSource, nodeAuthority: PEMSource, clientAuthority: PEMSource) {
      self.certificate = certificate
      self.key = key
      self.nodeAuthority = nodeAuthority
      self.clientAuthority = clientAuthority
    }
  }

  package struct ClientSettings: Sendable {
    /// Signs the certificates of the nodes that we connect to.
    package var nodeAuthority: PEMSource
    /// Our own: a client's for `.http2`, a node's for `.peer`.
    package var certificate: PEMSource?
    package var key: PEMSource?
    package var speaks: ApplicationProtocol

    package init(
      nodeAuthority: PEMSource, certificate: PEMSource? = nil, key: PEMSource? = nil,
      speaks: ApplicationProtocol = .http2
    ) {
      self.nodeAuthority = nodeAuthority
      self.certificate = certificate
      self.key = key
      self.speaks = speaks
    }
  }

  let context: OpaquePointer
  let role: Role
  let nodes: TrustStore
  let clients: TrustStore?

  /// A server's: offers h2, filestore-peer/1 and http/1.1; asks for a client's certificate.
  package init(server settings: ServerSettings) throws(TLSRefusal) {
    nodes = try TrustStore(settings.nodeAuthority)
    clients = try TrustStore(settings.clientAuthority)
    role = .server
    context = try TLSContext.make(TLS_server_method())
    try use(certificate: settings.certificate, key: settings.key)
    nodes.announce(to: context)
    clients?.announce(to: context)
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    installVerification(context)
    installProtocolChoice(context)
  }

  /// A client's: checks the server against the node authority, and its name or identity as each channel asks.
  package init(client settings: ClientSettings) throws(TLSRefusal) {
    nodes = try TrustStore(settings.nodeAuthority)
    clients = nil
    role = .client
    context = try TLSContext.make(TLS_client_method())
    if let certificate = settings.certificate {
      guard let key = settings.key else { throw TLSRefusal(certificate.name, "its key is not named") }
      try use(certificate: certificate, key: key)
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    installVerification(context)
    offer(settings.speaks)
  }

  deinit { SSL_CTX_free(context) }

  private static func make(_ method: OpaquePointer?) throws(TLSRefusal) -> OpaquePointer {
    guard let context = SSL_CTX_new(method) else { throw TLSRefusal("OpenSSL", takeOpenSSLError().text) }
    guard fs_ssl_tls13_only(context) == 1 else { throw TLSRefusal("OpenSSL", "it has no TLS 1.3") }
    fs_ssl_no_session_cache(context)
    SSL_CTX_set_num_tickets(context, 0)
    return context
  }

  private func use(certificate: PEMSource, key: PEMSource) throws(TLSRefusal) {
    let chain = try readCertificates(certificate)
    defer { for one in chain { X509_free(one) } }
    let secret = try readKey(key)
    defer { EVP_PKEY_free(secret) }
    guard SSL_CTX_use_certificate(context, chain[0]) == 1 else {
      throw TLSRefusal(certificate.name, takeOpenSSLError().text)
    }
    for one in chain.dropFirst() {
      X509_up_ref(one)
      // SSL_CTX_add_extra_chain_cert, a macro: takes the reference.
      guard SSL_CTX_ctrl(context, SSL_CTRL_EXTRA_CHAIN_CERT, 0, UnsafeMutableRawPointer(one)) == 1 else {
        X509_free(one)
        throw TLSRefusal(certificate.name, takeOpenSSLError().text)
      }
    }
    guard SSL_CTX_use_PrivateKey(context, secret) == 1 else {
      _ = takeOpenSSLError()
      throw TLSRefusal(key.name, "the key does not belong to the certificate \(certificate.name)")
    }
  }

  private func offer(_ speaks: ApplicationProtocol) {
    var list = [UInt8(speaks.name.utf8CodeUnitCount)]
    list.append(contentsOf: UnsafeBufferPointer(start: speaks.name.utf8Start, count: speaks.name.utf8CodeUnitCount))
    let code = SSL_CTX_set_alpn_protos(context, list, UInt32(list.count))
    precondition(code == 0, "a list of one protocol is well formed")
  }
}

/// Certificates that are believed, with the text that names them.
final class TrustStore {
  let store: OpaquePointer
  private let roots: [OpaquePointer]

  init(_ source: PEMSource) throws(TLSRefusal) {
    roots = try readCertificates(source)
    guard let store = X509_STORE_new() else { preconditionFailure("there is memory for a trust store") }
    self.store = store
    for root in roots { X509_STORE_add_cert(store, root) }
  }

  deinit {
    X509_STORE_free(store)
    for root in roots { X509_free(root) }
  }

  /// Names the authorities to clients, so that they can choose among their certificates.
  func announce(to context: OpaquePointer) {
    for root in roots { SSL_CTX_add_client_CA(context, root) }
  }

  /// Checks a chain: signatures, times, purpose. X509_V_OK or the reason.
  func verify(_ leaf: OpaquePointer, chain: OpaquePointer?, purpose: StaticString) -> Int32 {
    guard let check = X509_STORE_CTX_new() else { return X509_V_ERR_OUT_OF_MEM }
    defer { X509_STORE_CTX_free(check) }
    guard X509_STORE_CTX_init(check, store, leaf, chain) == 1 else { return X509_V_ERR_UNSPECIFIED }
    purpose.withUTF8Buffer { name in
      name.withMemoryRebound(to: CChar.self) { _ = X509_STORE_CTX_set_default(check, $0.baseAddress) }
    }
    if X509_verify_cert(check) == 1 { return X509_V_OK }
    let code = X509_STORE_CTX_get_error(check)
    return code == X509_V_OK ? X509_V_ERR_UNSPECIFIED : code
  }
}
