import COpenSSL

/// AES-256-GCM under one key in one direction. The context is made once; a message costs no allocation.
final class Cipher {
  enum Direction: Int32 {
    case open = 0
    case seal = 1
  }

  private let context: OpaquePointer
  private let direction: Direction

  init(_ key: SecretKey, _ direction: Direction) {
    guard let context = EVP_CIPHER_CTX_new() else { preconditionFailure("OpenSSL has memory for a context") }
    self.context = context
    self.direction = direction
    let code = key.withBytes { key in
      let start = key.assumingMemoryBound(to: UInt8.self).baseAddress
      return EVP_CipherInit_ex(context, EVP_aes_256_gcm(), nil, start, nil, direction.rawValue)
    }
    precondition(code == 1, "OpenSSL knows AES-256-GCM")
  }

  deinit { EVP_CIPHER_CTX_free(context) }

  /// Encrypts `source` to `target`, which may be the same place, and writes 16 bytes of tag. `nonce` has 12 bytes.
  func seal(
    _ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer?, nonce: UnsafeRawPointer,
    associated: UnsafeRawBufferPointer, _ more: UnsafeRawBufferPointer, tag: UnsafeMutableRawPointer
  ) {
    precondition(direction == .seal, "a context for sealing")
    let isRun = run(source, to: target, nonce: nonce, associated, more)
    var count: Int32 = 0
    let isDone = isRun && EVP_CipherFinal_ex(context, spare(tag), &count) == 1
    let isTagged = isDone && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(SealedForm.tagBytes), tag) == 1
    precondition(isTagged, "OpenSSL encrypts what it is given")
  }

  /// Decrypts `source` to `target`. False when the tag is not that of these bytes: then `target` holds nothing of use.
  func open(
    _ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer?, nonce: UnsafeRawPointer,
    associated: UnsafeRawBufferPointer, _ more: UnsafeRawBufferPointer, tag: UnsafeRawPointer
  ) -> Bool {
    precondition(direction == .open, "a context for opening")
    guard run(source, to: target, nonce: nonce, associated, more) else { return false }
    let expected = UnsafeMutableRawPointer(mutating: tag)
    guard EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(SealedForm.tagBytes), expected) == 1 else {
      return false
    }
    var count: Int32 = 0
    return EVP_CipherFinal_ex(context, spare(expected), &count) == 1
  }

  /// GCM ends without output: nothing is written there.
  private func spare(_ place: UnsafeMutableRawPointer) -> UnsafeMutablePointer<UInt8> {
    place.assumingMemoryBound(to: UInt8.self)
  }

  private func run(
    _ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer?, nonce: UnsafeRawPointer,
    _ associated: UnsafeRawBufferPointer, _ more: UnsafeRawBufferPointer
  ) -> Bool {
    let nonce = nonce.assumingMemoryBound(to: UInt8.self)
    return EVP_CipherInit_ex(context, nil, nil, nil, nonce, direction.rawValue) == 1
      && update(associated, to: nil) && update(more, to: nil) && update(source, to: target)
  }

  private func update(_ source: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer?) -> Bool {
    guard source.count > 0 else { return true }
    var count: Int32 = 0
    return EVP_CipherUpdate(
      context, target?.assumingMemoryBound(to: UInt8.self), &count,
      source.assumingMemoryBound(to: UInt8.self).baseAddress, Int32(source.count)) == 1
  }
}
