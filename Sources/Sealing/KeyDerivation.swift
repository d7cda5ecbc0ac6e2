import COpenSSL

/// HKDF with SHA-256 (RFC 5869), by OpenSSL. Not for hot paths: it allocates.
func hkdf(key: UnsafeRawBufferPointer, salt: [UInt8], info: [UInt8], count: Int) -> [UInt8] {
  guard let algorithm = EVP_KDF_fetch(nil, "HKDF", nil) else { preconditionFailure("OpenSSL knows HKDF") }
  defer { EVP_KDF_free(algorithm) }
  guard let context = EVP_KDF_CTX_new(algorithm) else { preconditionFailure("OpenSSL has memory for HKDF") }
  defer { EVP_KDF_CTX_free(context) }
  var output = [UInt8](repeating: 0, count: count)
  let code = salt.withUnsafeBytes { salt in
    info.withUnsafeBytes { info in
      // What is left out is empty, as the RFC has it.
      var parameters = [text("digest", "SHA256"), octets("key", key)]
      if !salt.isEmpty { parameters.append(octets("salt", salt)) }
      if !info.isEmpty { parameters.append(octets("info", info)) }
      parameters.append(OSSL_PARAM_construct_end())
      return EVP_KDF_derive(context, &output, count, parameters)
    }
  }
  precondition(code == 1, "OpenSSL derives a key")
  return output
}

/// The parameters point to their names: those must be there for ever.
private func text(_ name: StaticString, _ value: StaticString) -> OSSL_PARAM {
  OSSL_PARAM_construct_utf8_string(pointer(name), UnsafeMutablePointer(mutating: pointer(value)), 0)
}

private func octets(_ name: StaticString, _ value: UnsafeRawBufferPointer) -> OSSL_PARAM {
  OSSL_PARAM_construct_octet_string(pointer(name), UnsafeMutableRawPointer(mutating: value.baseAddress), value.count)
}

private func pointer(_ text: StaticString) -> UnsafePointer<CChar> {
  UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}

extension SecretKey {
  /// The key that follows from this one for `purpose`.
  func derived(salt: [UInt8] = [], _ purpose: String) -> SecretKey {
    var bytes = withBytes { hkdf(key: $0, salt: salt, info: Array(purpose.utf8), count: SecretKey.count) }
    return bytes.withUnsafeMutableBytes { raw in
      defer { wipe(raw) }
      guard let key = SecretKey(UnsafeRawBufferPointer(raw)) else { preconditionFailure("a key has 32 bytes") }
      return key
    }
  }
}
