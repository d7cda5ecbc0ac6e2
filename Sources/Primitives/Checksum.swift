import CLinux

/// CRC-32C of `bytes`, going on from the checksum of the bytes before. By the processor's instruction where it has one.
@inlinable package func crc32c(_ bytes: UnsafeRawBufferPointer, after previous: UInt32 = 0) -> UInt32 {
  fs_crc32c(previous, bytes.baseAddress, bytes.count)
}

package func crc32c(_ bytes: [UInt8], after previous: UInt32 = 0) -> UInt32 {
  bytes.withUnsafeBytes { crc32c($0, after: previous) }
}

/// A 64-bit hash that is the same in every process, for ever: sums of it are compared between replicas.
///
/// Two 64 x 64 -> 128 bit multiplications a 16-byte step, folded (the construction of wyhash by Wang Yi). Not for
/// defence against an adversary.
@inlinable package func stableHash(_ bytes: UnsafeRawBufferPointer, seed: UInt64 = 0) -> UInt64 {
  var state = seed ^ 0x2d35_8dcc_aa6c_78a5
  var offset = 0
  while offset + 16 <= bytes.count {
    let a = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    let b = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
    state = foldedMultiply(a ^ 0x8bb8_4b93_962e_acc9, b ^ state)
    offset += 16
  }
  var tail: (UInt64, UInt64) = (0, 0)
  withUnsafeMutableBytes(of: &tail) { target in
    target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset...]))
  }
  state = foldedMultiply(UInt64(littleEndian: tail.0) ^ 0x4b33_a62e_d433_d4a3, UInt64(littleEndian: tail.1) ^ state)
  return foldedMultiply(state ^ 0x4d5a_2da5_1de1_aa47, UInt64(bytes.count) ^ 0x2d35_8dcc_aa6c_78a5)
}

@inlinable package func foldedMultiply(_ a: UInt64, _ b: UInt64) -> UInt64 {
  let product = a.multipliedFullWidth(by: b)
  return product.high ^ product.low
}
