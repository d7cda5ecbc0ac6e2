import COpenSSL

/// 32 bytes that are wiped when nobody holds them any more, and that no description shows.
package final class SecretKey: @unchecked Sendable, CustomStringConvertible {
  package static let count = 32
  /// Never changed after init, so it may be read anywhere.
  private let memory: UnsafeMutableRawBufferPointer

  package init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count == SecretKey.count else { return nil }
    memory = .allocate(byteCount: SecretKey.count, alignment: 16)
    memory.copyMemory(from: bytes)
  }

  deinit {
    OPENSSL_cleanse(memory.baseAddress, memory.count)
    memory.deallocate()
  }

  /// The bytes are there during `body` and not longer.
  func withBytes<T>(_ body: (UnsafeRawBufferPointer) -> T) -> T {
    withExtendedLifetime(self) { body(UnsafeRawBufferPointer(memory)) }
  }

  package var description: String { "a secret key" }
}

/// Bytes from the operating system's generator, by way of OpenSSL's.
package func randomBytes(_ count: Int) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: count)
  let code = RAND_bytes(&bytes, Int32(count))
  precondition(code == 1, "the system gives random bytes")
  return bytes
}

/// Overwrites bytes in a way that no compiler leaves out.
func wipe(_ bytes: UnsafeMutableRawBufferPointer) { OPENSSL_cleanse(bytes.baseAddress, bytes.count) }
