import COpenSSL
import Glibc

/// Where a certificate or key in PEM comes from.
package enum PEMSource: Sendable, Equatable {
  case file(String)
  case text([UInt8])

  var name: String {
    switch self {
    case .file(let path): path
    case .text: "PEM"
    }
  }

  func read() throws(TLSRefusal) -> [UInt8] {
    switch self {
    case .text(let bytes): return bytes
    case .file(let path): return try readSmallFile(path)
    }
  }
}

/// At most 1 MiB.
func readSmallFile(_ path: String) throws(TLSRefusal) -> [UInt8] {
  guard let file = fopen(path, "re") else { throw TLSRefusal(path, String(cString: strerror(errno))) }
  defer { fclose(file) }
  var bytes = [UInt8](repeating: 0, count: 1 << 20)
  let count = fread(&bytes, 1, bytes.count, file)
  guard ferror(file) == 0 else { throw TLSRefusal(path, "it cannot be read") }
  return Array(bytes[..<count])
}

/// Runs `body` with a BIO that reads the bytes.
func withMemory<R>(_ bytes: [UInt8], _ body: (OpaquePointer) -> R) -> R? {
  bytes.withUnsafeBytes { raw in
    guard let bio = BIO_new_mem_buf(raw.baseAddress, Int32(raw.count)) else { return nil }
    defer { BIO_free(bio) }
    return body(bio)
  }
}

/// All certificates of a PEM text, in order. The caller frees each by `X509_free`.
func readCertificates(_ source: PEMSource) throws(TLSRefusal) -> [OpaquePointer] {
  let bytes = try source.read()
  let found = withMemory(bytes) { bio in
    var list: [OpaquePointer] = []
    while list.count < 64, let certificate = PEM_read_bio_X509(bio, nil, nil, nil) { list.append(certificate) }
    return list
  }
  ERR_clear_error()
  guard let found, !found.isEmpty else { throw TLSRefusal(source.name, "it holds no certificate in PEM") }
  return found
}

/// A private key without a passphrase. The caller frees it by `EVP_PKEY_free`.
func readKey(_ source: PEMSource) throws(TLSRefusal) -> OpaquePointer {
  let bytes = try source.read()
  let key = withMemory(bytes) { PEM_read_bio_PrivateKey($0, nil, { _, _, _, _ in 0 }, nil) }
  ERR_clear_error()
  guard let found = key, let found else {
    throw TLSRefusal(source.name, "it holds no private key in PEM without passphrase")
  }
  return found
}

/// The oldest error of OpenSSL's queue as text, and empties it.
func takeOpenSSLError() -> (code: UInt, text: String) {
  let code = ERR_get_error()
  ERR_clear_error()
  guard code != 0 else { return (0, "no reason given") }
  guard let reason = ERR_reason_error_string(code) else { return (code, "error \(code)") }
  return (code, String(cString: reason))
}
