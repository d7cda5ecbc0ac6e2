import COpenSSL

/// Random bytes of cryptographic quality, for incarnations, nonces, serial numbers. Blocks nowhere; traps when the machine has none.
package enum Entropy {
  package static func bytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let code = RAND_bytes(&bytes, Int32(count))
    precondition(code == 1, "the machine has random bytes")
    return bytes
  }

  package static func number() -> UInt64 {
    bytes(8).withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) }
  }

  /// True when both are equal; takes the same time wherever they differ. (Their lengths are no secret.)
  package static func isEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
    guard a.count == b.count else { return false }
    guard let left = a.baseAddress, let right = b.baseAddress else { return true }
    return CRYPTO_memcmp(left, right, a.count) == 0
  }

  /// SHA-256: to look up a secret without keeping it.
  package static func digest(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    SHA256(bytes.baseAddress, bytes.count, &digest)
    return digest
  }
}
