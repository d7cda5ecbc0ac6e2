import COpenSSL
import Glibc
import Primitives

/// A certificate and its private key, both in PEM.
package struct Credentials: Sendable, Equatable {
  package let certificate: [UInt8]
  package let key: [UInt8]

  /// Writes both; neither may exist. The key is readable by its owner only (0600), the certificate by all (0644).
  package func write(certificateFile: String, keyFile: String) throws(TLSRefusal) {
    try writeNewFile(keyFile, key, mode: 0o600)
    try writeNewFile(certificateFile, certificate, mode: 0o644)
  }
}

/// Makes certificates: a self-signed authority (P-256), and nodes' and clients' certificates signed by it.
///
/// A cluster has two, so that one kind can never pass for the other: the nodes' and the clients'. The clients' key signs tokens too
/// (`TokenAuthority`).
package final class CertificateAuthority {
  /// When a certificate holds, in seconds from now. Not-before lies in the past, for clocks that differ.
  package struct Validity: Sendable, Equatable {
    package var from: Int
    package var until: Int
    package init(from: Int = -3600, until: Int) {
      self.from = from
      self.until = until
    }
    package static func days(_ count: Int) -> Validity { Validity(until: count * 86400) }
  }

  private let certificate: OpaquePointer
  private let key: OpaquePointer
  package let credentials: Credentials

  /// A new authority, by default for ten years.
  package init(name: String, validity: Validity = .days(3650)) throws(TLSRefusal) {
    let key = try generateKey()
    var maker = try CertificateMaker(subject: name, key: key, validity: validity)
    try maker.setIssuer(maker.certificate)
    try maker.add(NID_basic_constraints, "critical,CA:TRUE,pathlen:0")
    try maker.add(NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature")
    try maker.add(NID_subject_key_identifier, "hash")
    certificate = try maker.sign(by: key)
    self.key = key
    credentials = Credentials(certificate: try pem(certificate: certificate), key: try pem(key: key))
  }

  /// An authority from its files.
  package init(certificate: PEMSource, key: PEMSource) throws(TLSRefusal) {
    let found = try readCertificates(certificate)
    for extra in found.dropFirst() { X509_free(extra) }
    self.certificate = found[0]
    do throws(TLSRefusal) { self.key = try readKey(key) } catch {
      X509_free(found[0])
      throw error
    }
    credentials = Credentials(certificate: try pem(certificate: found[0]), key: try pem(key: self.key))
    guard X509_check_private_key(found[0], self.key) == 1 else {
      _ = takeOpenSSLError()
      throw TLSRefusal(key.name, "the key does not belong to the certificate \(certificate.name)")
    }
  }

  deinit {
    X509_free(certificate)
    EVP_PKEY_free(key)
  }

  /// A node's certificate: URI `filestore://CLUSTER/node/ID`, names 127.0.0.1, ::1, localhost and `hosts` (names or addresses).
  package func issueNode(
    cluster: String, id: NodeID, hosts: [String] = [], validity: Validity = .days(3650)
  ) throws(TLSRefusal) -> Credentials {
    var names = ["URI:filestore://\(cluster)/node/\(id)", "IP:127.0.0.1", "IP:::1", "DNS:localhost"]
    for host in hosts where !["127.0.0.1", "::1", "localhost"].contains(host) {
      guard isHost(host) else { throw TLSRefusal(host, "it is no host name and no IP address") }
      names.append((isIPAddress(host) ? "IP:" : "DNS:") + host)
    }
    guard isPlainName(cluster) else {
      throw TLSRefusal(cluster, "a cluster's name has letters, digits, `.`, `-` and `_`")
    }
    return try issue("\(id).\(cluster)", validity, usage: "serverAuth,clientAuth", names: names.joined(separator: ","))
  }

  /// A client's certificate: the common name is the user.
  package func issueClient(user: String, validity: Validity = .days(365)) throws(TLSRefusal) -> Credentials {
    guard !user.isEmpty, user.utf8.count <= 64 else { throw TLSRefusal(user, "a user's name has 1 to 64 bytes") }
    return try issue(user, validity, usage: "clientAuth", names: nil)
  }

  private func issue(
    _ subject: String, _ validity: Validity, usage: String, names: String?
  ) throws(TLSRefusal) -> Credentials {
    let leafKey = try generateKey()
    defer { EVP_PKEY_free(leafKey) }
    var maker = try CertificateMaker(subject: subject, key: leafKey, validity: validity)
    try maker.setIssuer(certificate)
    try maker.add(NID_basic_constraints, "critical,CA:FALSE")
    try maker.add(NID_key_usage, "critical,digitalSignature")
    try maker.add(NID_ext_key_usage, usage)
    try maker.add(NID_subject_key_identifier, "hash")
    try maker.add(NID_authority_key_identifier, "keyid")
    if let names { try maker.add(NID_subject_alt_name, names) }
    let leaf = try maker.sign(by: key)
    defer { X509_free(leaf) }
    return Credentials(certificate: try pem(certificate: leaf), key: try pem(key: leafKey))
  }
}

/// One certificate in the making.
private struct CertificateMaker {
  let certificate: OpaquePointer
  private var issuer: OpaquePointer

  init(subject: String, key: OpaquePointer, validity: CertificateAuthority.Validity) throws(TLSRefusal) {
    guard let made = X509_new() else { throw TLSRefusal("OpenSSL", "no memory") }
    certificate = made
    issuer = made
    X509_set_version(made, 2)  // version 3
    X509_gmtime_adj(X509_getm_notBefore(made), validity.from)
    // In days and seconds, since a 32-bit count of seconds ends after 68 years.
    var now = time(nil)
    X509_time_adj_ex(X509_getm_notAfter(made), Int32(validity.until / 86400), validity.until % 86400, &now)
    X509_set_pubkey(made, key)
    try setSerial()
    let name = X509_get_subject_name(made)
    guard
      X509_NAME_add_entry_by_NID(
        name, NID_commonName, MBSTRING_UTF8, Array(subject.utf8), Int32(subject.utf8.count), -1, 0) == 1
    else { throw refusal("the name \(subject)") }
  }

  /// 127 random bits, positive and not zero.
  private func setSerial() throws(TLSRefusal) {
    var bytes = Entropy.bytes(16)
    bytes[0] = bytes[0] & 0x7F | 0x40
    guard let number = BN_bin2bn(bytes, 16, nil) else { throw refusal("serial") }
    defer { BN_free(number) }
    guard BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil else { throw refusal("serial") }
  }

  mutating func setIssuer(_ issuer: OpaquePointer) throws(TLSRefusal) {
    self.issuer = issuer
    guard X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1 else { throw refusal("issuer") }
  }

  func add(_ extensionID: Int32, _ value: String) throws(TLSRefusal) {
    var context = v3_ext_ctx()
    X509V3_set_ctx(&context, issuer, certificate, nil, nil, 0)
    guard let made = X509V3_EXT_conf_nid(nil, &context, extensionID, value) else { throw refusal(value) }
    defer { X509_EXTENSION_free(made) }
    guard X509_add_ext(certificate, made, -1) == 1 else { throw refusal(value) }
  }

  func sign(by key: OpaquePointer) throws(TLSRefusal) -> OpaquePointer {
    guard X509_sign(certificate, key, EVP_sha256()) > 0 else { throw refusal("signature") }
    return certificate
  }

  /// Frees what was made so far.
  private func refusal(_ subject: String) -> TLSRefusal {
    X509_free(certificate)
    return TLSRefusal(subject, takeOpenSSLError().text)
  }
}

private func generateKey() throws(TLSRefusal) -> OpaquePointer {
  guard let key = fs_generate_p256() else { throw TLSRefusal("P-256", takeOpenSSLError().text) }
  return key
}

/// A value that stands between commas in a list of names must not bring its own.
private func isPlainName(_ text: String) -> Bool {
  !text.isEmpty && text.utf8.count <= 200
    && text.utf8.allSatisfy {
      $0 >= 48 && $0 <= 57 || $0 | 32 >= 97 && $0 | 32 <= 122 || $0 == 45 || $0 == 46 || $0 == 95
    }
}

private func isHost(_ text: String) -> Bool { isIPAddress(text) || isPlainName(text) }

func isIPAddress(_ text: String) -> Bool {
  guard let address = a2i_IPADDRESS(text) else {
    ERR_clear_error()
    return false
  }
  ASN1_OCTET_STRING_free(address)
  return true
}

private func pem(certificate: OpaquePointer) throws(TLSRefusal) -> [UInt8] {
  try collect("certificate") { PEM_write_bio_X509($0, certificate) }
}

private func pem(key: OpaquePointer) throws(TLSRefusal) -> [UInt8] {
  try collect("key") { PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) }
}

private func collect(_ what: String, _ write: (OpaquePointer) -> Int32) throws(TLSRefusal) -> [UInt8] {
  guard let bio = BIO_new(BIO_s_mem()) else { throw TLSRefusal(what, "no memory") }
  defer { BIO_free(bio) }
  guard write(bio) == 1 else { throw TLSRefusal(what, takeOpenSSLError().text) }
  var start: UnsafeMutablePointer<CChar>?
  let count = fs_bio_memory(bio, &start)
  return start.map { Array(UnsafeRawBufferPointer(start: $0, count: count)) } ?? []
}

private func writeNewFile(_ path: String, _ bytes: [UInt8], mode: mode_t) throws(TLSRefusal) {
  guard let file = fopen(path, "wxe") else { throw TLSRefusal(path, String(cString: strerror(errno))) }
  defer { fclose(file) }
  guard fchmod(fileno(file), mode) == 0, fwrite(bytes, 1, bytes.count, file) == bytes.count, fflush(file) == 0,
    fsync(fileno(file)) == 0
  else { throw TLSRefusal(path, String(cString: strerror(errno))) }
}
