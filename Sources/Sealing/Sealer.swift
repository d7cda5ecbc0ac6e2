/// Seals and opens the pages and blocks of one lane, in one thread.
package final class Sealer {
  package let keyring: Keyring
  private let lane: UInt16
  private let startNonce: [UInt8]
  private var sealing: [Derived] = []
  private var opening: [Derived] = []
  private var nextVictim = 0
  /// Keys of this many starts are kept for opening; others are derived again.
  static let openingMax = 64

  /// A key for one purpose of one start.
  private struct Derived {
    let purpose: SealedForm.Purpose
    let keyID: UInt32
    let nonce: (UInt64, UInt64)
    let cipher: Cipher
  }

  package init(_ keyring: Keyring, lane: UInt16, startNonce: [UInt8] = randomBytes(SealedForm.startNonceBytes)) {
    precondition(startNonce.count == SealedForm.startNonceBytes, "a start's nonce has 16 bytes")
    self.keyring = keyring
    self.lane = lane
    self.startNonce = startNonce
  }

  /// Whether the table holds this data key.
  package func holds(_ keyID: UInt32) -> Bool { keyring.secret(keyID) != nil }

  /// What is written is to be sealed.
  package var isSealing: Bool { keyring.active != nil }

  // MARK: Sealing

  /// Fills `target`, of the same size, with `plain`, encrypted. The last 32 bytes of `plain` are zero.
  package func seal(_ form: SealedForm, _ plain: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer) {
    guard let keyID = keyring.active, let from = plain.baseAddress, let to = target.baseAddress else {
      preconditionFailure("sealing is switched on")
    }
    let end = plain.count - SealedForm.tailBytes
    precondition(target.count == plain.count && end >= form.headerBytes, "room for header and tail")
    to.copyMemory(from: from, byteCount: form.headerBytes)
    startNonce.withUnsafeBytes { target[end..<end + $0.count].copyBytes(from: $0) }
    to.storeBytes(of: keyID.littleEndian, toByteOffset: form.keyOffset, as: UInt32.self)
    sealingCipher(form, keyID).seal(
      UnsafeRawBufferPointer(rebasing: plain[form.headerBytes..<end]), to: to + form.headerBytes,
      nonce: from + form.nonceOffset, associated: UnsafeRawBufferPointer(start: to, count: form.headerBytes),
      UnsafeRawBufferPointer(start: to + end, count: SealedForm.startNonceBytes),
      tag: to + end + SealedForm.startNonceBytes)
  }

  private func sealingCipher(_ form: SealedForm, _ keyID: UInt32) -> Cipher {
    for derived in sealing where derived.purpose == form.purpose && derived.keyID == keyID { return derived.cipher }
    let nonce = startNonce.withUnsafeBytes { Self.numbers(of: $0) }
    guard let cipher = cipher(form, keyID, startNonce, .seal) else {
      preconditionFailure("the key in use is in the table")
    }
    sealing.removeAll { $0.purpose == form.purpose }
    sealing.append(Derived(purpose: form.purpose, keyID: keyID, nonce: nonce, cipher: cipher))
    return cipher
  }

  // MARK: Opening

  package enum Opening: Equatable {
    /// The bytes were plain: use them as they are.
    case plain
    /// `target` holds the plain bytes.
    case opened
    /// They are not what was written there, or may not be plain any more, or nobody has the key. `target` holds nothing of use.
    case refused
  }

  /// Fills `target`, which has the same size and may be the same place, with the plain bytes of `sealed`.
  package func open(
    _ form: SealedForm, _ sealed: UnsafeRawBufferPointer, into target: UnsafeMutableRawBufferPointer
  ) -> Opening {
    let end = sealed.count - SealedForm.tailBytes
    guard target.count == sealed.count, end >= form.headerBytes, let from = sealed.baseAddress,
      let to = target.baseAddress
    else { return .refused }
    guard let keyID = form.keyID(of: sealed) else { return mayBePlain(form, sealed) ? .plain : .refused }
    let startNonce = UnsafeRawBufferPointer(rebasing: sealed[end..<end + SealedForm.startNonceBytes])
    guard let cipher = openingCipher(form, keyID, startNonce) else { return .refused }
    let isRight = cipher.open(
      UnsafeRawBufferPointer(rebasing: sealed[form.headerBytes..<end]), to: to + form.headerBytes,
      nonce: from + form.nonceOffset, associated: UnsafeRawBufferPointer(rebasing: sealed[..<form.headerBytes]),
      startNonce, tag: from + end + SealedForm.startNonceBytes)
    guard isRight else { return .refused }
    if from != UnsafeRawPointer(to) { to.copyMemory(from: from, byteCount: form.headerBytes) }
    to.storeBytes(of: 0, toByteOffset: form.keyOffset, as: UInt32.self)
    (to + end).initializeMemory(as: UInt8.self, repeating: 0, count: SealedForm.tailBytes)
    return .opened
  }

  /// The same in place. What is refused gets a tail that no plain page or block has, so that nobody takes it.
  package func openInPlace(_ form: SealedForm, _ bytes: UnsafeMutableRawBufferPointer) {
    guard open(form, UnsafeRawBufferPointer(bytes), into: bytes) == .refused, !bytes.isEmpty else { return }
    bytes[bytes.count - 1] = 0xFF
  }

  private func mayBePlain(_ form: SealedForm, _ bytes: UnsafeRawBufferPointer) -> Bool {
    let order = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: form.orderOffset, as: UInt64.self))
    return order <= (form.purpose == .page ? keyring.table.plainEpoch : keyring.table.plainSequence)
  }

  private func openingCipher(_ form: SealedForm, _ keyID: UInt32, _ nonce: UnsafeRawBufferPointer) -> Cipher? {
    let numbers = Self.numbers(of: nonce)
    for derived in opening
    where derived.nonce == numbers && derived.keyID == keyID && derived.purpose == form.purpose {
      return derived.cipher
    }
    guard let cipher = cipher(form, keyID, Array(nonce), .open) else { return nil }
    let derived = Derived(purpose: form.purpose, keyID: keyID, nonce: numbers, cipher: cipher)
    if opening.count < Self.openingMax {
      opening.append(derived)
    } else {
      opening[nextVictim] = derived
      nextVictim = (nextVictim + 1) % Self.openingMax
    }
    return cipher
  }

  private func cipher(_ form: SealedForm, _ keyID: UInt32, _ nonce: [UInt8], _ direction: Cipher.Direction) -> Cipher? {
    keyring.secret(keyID).map { key in
      Cipher(key.derived(salt: nonce, "filestore/1 \(form.purpose.rawValue), lane \(lane)"), direction)
    }
  }

  private static func numbers(of nonce: UnsafeRawBufferPointer) -> (UInt64, UInt64) {
    (nonce.loadUnaligned(as: UInt64.self), nonce.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
  }
}
