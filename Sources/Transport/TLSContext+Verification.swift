import COpenSSL
import Glibc
import Primitives

// Which certificates are accepted where. OpenSSL asks `verify` once for the other side's chain, in place of its own check;
// the X509 error that it leaves chooses the TLS alert.

/// Nonisolated on purpose: a callback made in isolated code would check its executor at each call.
func installVerification(_ context: OpaquePointer) {
  SSL_CTX_set_cert_verify_callback(
    context,
    { check, _ in
      guard let check, let ssl = X509_STORE_CTX_get_ex_data(check, SSL_get_ex_data_X509_STORE_CTX_idx()),
        let raw = SSL_get_ex_data(OpaquePointer(ssl), 0), let leaf = X509_STORE_CTX_get0_cert(check)
      else { return 0 }
      let channel = Unmanaged<Channel>.fromOpaque(raw).takeUnretainedValue()
      let code = channel.verify(leaf, chain: X509_STORE_CTX_get0_untrusted(check))
      X509_STORE_CTX_set_error(check, code)
      return code == X509_V_OK ? 1 : 0
    }, nil)
}

/// The server's choice among what the client offers: h2 first, since clients that offer both want it.
func installProtocolChoice(_ context: OpaquePointer) {
  SSL_CTX_set_alpn_select_cb(
    context,
    { ssl, chosen, chosenCount, offered, offeredCount, _ in
      guard let ssl, let offered, let chosen, let chosenCount else { return SSL_TLSEXT_ERR_ALERT_FATAL }
      for candidate in [ApplicationProtocol.peer, .http2, .http1] {
        let name = candidate.name
        var at = 0
        while at < Int(offeredCount) {
          let size = Int(offered[at])
          guard at + 1 + size <= Int(offeredCount) else { return SSL_TLSEXT_ERR_ALERT_FATAL }
          if size == name.utf8CodeUnitCount, memcmp(offered + at + 1, name.utf8Start, size) == 0 {
            chosen.pointee = offered + at + 1
            chosenCount.pointee = UInt8(size)
            if candidate == .peer {
              SSL_set_verify(ssl, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
            }
            return SSL_TLSEXT_ERR_OK
          }
          at += 1 + size
        }
      }
      return SSL_TLSEXT_ERR_ALERT_FATAL
    }, nil)
}

extension Channel {
  /// X509_V_OK, or the reason; `verifyText` then says it in words.
  func verify(_ leaf: OpaquePointer, chain: OpaquePointer?) -> Int32 {
    guard let context else { return X509_V_ERR_UNSPECIFIED }
    if context.role == .client { return verifyServer(leaf, chain, context) }
    return protocolSoFar == .peer
      ? verifyArrived(leaf, chain, from: context.nodes, other: context.clients, kind: "node")
      : verifyArrived(leaf, chain, from: context.clients, other: context.nodes, kind: "client")
  }

  private func verifyArrived(
    _ leaf: OpaquePointer, _ chain: OpaquePointer?, from store: TrustStore?, other: TrustStore?, kind: String
  ) -> Int32 {
    guard let store else { return X509_V_ERR_UNSPECIFIED }
    let code = store.verify(leaf, chain: chain, purpose: "ssl_client")
    if code == X509_V_OK {
      let identity = readIdentity(leaf)
      switch (identity, kind) {
      case (.node, "node"), (.client, "client"): return X509_V_OK
      default:
        verifyFailure = TLSFailure(.wrongKind, "the certificate does not name a \(kind)")
        return X509_V_ERR_INVALID_PURPOSE
      }
    }
    if let other, other.verify(leaf, chain: chain, purpose: "ssl_client") == X509_V_OK {
      let found = kind == "node" ? "client" : "node"
      verifyFailure = TLSFailure(.wrongKind, "a \(found) certificate on a connection that asks for a \(kind)'s")
      return X509_V_ERR_INVALID_PURPOSE
    }
    return refuse(code)
  }

  private func verifyServer(_ leaf: OpaquePointer, _ chain: OpaquePointer?, _ context: TLSContext) -> Int32 {
    let code = context.nodes.verify(leaf, chain: chain, purpose: "ssl_server")
    guard code == X509_V_OK else { return refuse(code) }
    switch expectation {
    case .anyNode: return X509_V_OK
    case .host(let name):
      let matches =
        X509_check_ip_asc(leaf, name, 0) == 1 || X509_check_host(leaf, name, name.utf8.count, 0, nil) == 1
      if matches { return X509_V_OK }
      verifyFailure = TLSFailure(.wrongPeer, "the server's certificate does not name \(name)")
      return X509_V_ERR_HOSTNAME_MISMATCH
    case .node(let cluster, let id):
      if case .node(cluster, id, _, _) = readIdentity(leaf) { return X509_V_OK }
      verifyFailure = TLSFailure(.wrongPeer, "the server's certificate is not that of node \(id) of cluster \(cluster)")
      return X509_V_ERR_HOSTNAME_MISMATCH
    }
  }

  private func refuse(_ code: Int32) -> Int32 {
    let words = String(cString: X509_verify_cert_error_string(Int(code)))
    let cause: TLSFailure.Cause =
      switch code {
      case X509_V_ERR_CERT_HAS_EXPIRED: .certificateExpired
      case X509_V_ERR_CERT_NOT_YET_VALID: .certificateNotYetValid
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN,
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
        .unknownAuthority
      case X509_V_ERR_INVALID_PURPOSE: .wrongKind
      default: .badCertificate
      }
    verifyFailure = TLSFailure(cause, "the other side's certificate: \(words)")
    return code
  }
}

/// Who a certificate names. Does not check it.
func readIdentity(_ certificate: OpaquePointer) -> PeerIdentity {
  let serial = readSerial(certificate)
  let expires = readTime(X509_get0_notAfter(certificate))
  if let (cluster, id) = readNodeURI(certificate) {
    return .node(cluster: cluster, id: id, serial: serial, expires: expires)
  }
  guard let name = readCommonName(certificate), !name.isEmpty else { return .none }
  return .client(user: name, serial: serial, expires: expires)
}

/// Lower-case hexadecimal without leading zeros.
func readSerial(_ certificate: OpaquePointer) -> String {
  guard let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nil) else { return "" }
  defer { BN_free(number) }
  guard let text = BN_bn2hex(number) else { return "" }
  defer { CRYPTO_free(text, #file, 0) }
  let digits = String(cString: text).lowercased().drop { $0 == "0" }
  return digits.isEmpty ? "0" : String(digits)
}

/// Seconds since 1970.
func readTime(_ time: UnsafePointer<ASN1_TIME>?) -> UInt64 {
  guard let epoch = ASN1_TIME_set(nil, 0) else { return 0 }
  defer { ASN1_STRING_free(epoch) }
  var days: Int32 = 0
  var seconds: Int32 = 0
  guard ASN1_TIME_diff(&days, &seconds, epoch, time) == 1, days >= 0 else { return 0 }
  return UInt64(days) * 86400 + UInt64(max(seconds, 0))
}

private func readCommonName(_ certificate: OpaquePointer) -> String? {
  let subject = X509_get_subject_name(certificate)
  let at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
  // Two common names would be two users.
  guard at >= 0, X509_NAME_get_index_by_NID(subject, NID_commonName, at) < 0 else { return nil }
  guard let data = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)) else { return nil }
  var text: UnsafeMutablePointer<UInt8>?
  let count = ASN1_STRING_to_UTF8(&text, data)
  guard count >= 0, let text else { return nil }
  defer { CRYPTO_free(text, #file, 0) }
  return String(validating: UnsafeBufferPointer(start: text, count: Int(count)), as: UTF8.self)
}

/// `filestore://CLUSTER/node/ID` of the subject's alternative names.
private func readNodeURI(_ certificate: OpaquePointer) -> (cluster: String, id: NodeID)? {
  guard let raw = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return nil }
  let names = OpaquePointer(raw)
  defer { GENERAL_NAMES_free(names) }
  for i in 0..<OPENSSL_sk_num(names) {
    guard let entry = OPENSSL_sk_value(names, i)?.assumingMemoryBound(to: GENERAL_NAME.self),
      entry.pointee.type == GEN_URI, let uri = entry.pointee.d.uniformResourceIdentifier
    else { continue }
    let bytes = UnsafeBufferPointer(start: ASN1_STRING_get0_data(uri), count: Int(ASN1_STRING_length(uri)))
    if let text = String(validating: bytes, as: UTF8.self), let found = parseNodeURI(text) { return found }
  }
  return nil
}

func parseNodeURI(_ text: String) -> (cluster: String, id: NodeID)? {
  let prefix = "filestore://"
  guard text.hasPrefix(prefix) else { return nil }
  let parts = text.dropFirst(prefix.count).split(separator: "/", omittingEmptySubsequences: false)
  guard parts.count == 3, !parts[0].isEmpty, parts[1] == "node", let id = NodeID(name: parts[2]) else { return nil }
  return (String(parts[0]), id)
}
