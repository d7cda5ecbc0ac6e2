import Primitives

/// The file `keys` of a data directory: its data keys, each wrapped by a master key. Replaced as a whole.
///
///     offset  bytes
///     0       8      magic "FSkeys01"
///     8       4      format version, 1
///     12      4      count of data keys, 1 to 1024
///     16      8      data directory id
///     24      8      plain epoch: pages born in it or before may be plain
///     32      8      plain sequence: log blocks up to it may be plain
///     40      1      1: what is written now is plain
///     41      7      zero
///     48      76 n   data keys, oldest first; the last one is in use
///     …       4      CRC-32C of all before
///
///     data key  0    4      id, random, not zero
///               4    4      zero
///               8    8      id of the master key that wrapped it
///               16   12     nonce, random
///               28   32     the key, AES-256-GCM; magic, version, directory id and key id are authenticated with it
///               60   16     tag
package struct KeyTable: Equatable, Sendable {
  package struct Wrapped: Equatable, Sendable {
    package let id: UInt32
    package let master: UInt64
    let nonce: [UInt8]
    let sealed: [UInt8]
    let tag: [UInt8]
  }

  package static let countMax = 1024
  static let magic: UInt64 = 0x3130_7379_656B_5346
  static let version: UInt32 = 1
  private static let headerBytes = 48
  private static let keyBytes = 76

  package let directory: UInt64
  package internal(set) var plainEpoch = UInt64.max
  package internal(set) var plainSequence = UInt64.max
  package internal(set) var isPlain = false
  package internal(set) var keys: [Wrapped] = []

  init(directory: UInt64) { self.directory = directory }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: Self.headerBytes + Self.keyBytes * keys.count + 4)
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(UInt32(keys.count))
    writer.write(directory)
    writer.write(plainEpoch)
    writer.write(plainSequence)
    writer.write(UInt64(isPlain ? 1 : 0))
    for key in keys {
      writer.write(UInt64(key.id))
      writer.write(key.master)
      writer.writeBytes(key.nonce)
      writer.writeBytes(key.sealed)
      writer.writeBytes(key.tag)
    }
    writer.write(crc32c(writer.bytes))
    return writer.bytes
  }

  /// Needs no key: what is secret stays wrapped.
  package init(decoding bytes: [UInt8]) throws(DecodeError) {
    guard bytes.count >= Self.headerBytes + 4 else { throw .truncated }
    let expected = crc32c(Array(bytes[..<(bytes.count - 4)]))
    self = try decode(bytes) { (reader) throws(DecodeError) in
      guard try reader.read(UInt64.self) == Self.magic else { throw .invalid("this is no table of keys") }
      let version: UInt32 = try reader.read()
      guard version == Self.version else { throw .invalid("its format version is \(version), not \(Self.version)") }
      let count: UInt32 = try reader.read()
      guard count >= 1, count <= UInt32(Self.countMax) else { throw .invalid("an impossible count of keys") }
      var table = KeyTable(directory: try reader.read())
      table.plainEpoch = try reader.read()
      table.plainSequence = try reader.read()
      let flag: UInt64 = try reader.read()
      guard flag <= 1 else { throw .invalid("a flag that no writer writes") }
      table.isPlain = flag == 1
      for _ in 0..<count { table.keys.append(try Self.readKey(&reader, after: table.keys)) }
      guard try reader.read(UInt32.self) == expected else { throw .invalid("its checksum does not match") }
      return table
    }
  }

  private static func readKey(_ reader: inout ByteReader, after keys: [Wrapped]) throws(DecodeError) -> Wrapped {
    let id: UInt64 = try reader.read()
    guard id > 0, id <= UInt64(UInt32.max), !keys.contains(where: { $0.id == UInt32(id) }) else {
      throw .invalid("an impossible key id")
    }
    return Wrapped(
      id: UInt32(id), master: try reader.read(), nonce: Array(try reader.readBytes(SealedForm.nonceBytes)),
      sealed: Array(try reader.readBytes(SecretKey.count)), tag: Array(try reader.readBytes(SealedForm.tagBytes)))
  }

  /// What is authenticated with a wrapped key, so that it is taken in its own directory and under its own id only.
  private func label(_ id: UInt32) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(Self.magic)
    writer.write(Self.version)
    writer.write(directory)
    writer.write(id)
    return writer.bytes
  }

  func wrap(_ key: SecretKey, id: UInt32, by master: MasterKey, nonce: [UInt8]) -> Wrapped {
    var sealed = [UInt8](repeating: 0, count: SecretKey.count)
    var tag = [UInt8](repeating: 0, count: SealedForm.tagBytes)
    withAll(nonce, label(id)) { nonce, label in
      sealed.withUnsafeMutableBytes { sealed in
        tag.withUnsafeMutableBytes { tag in
          guard let tag = tag.baseAddress else { return }
          key.withBytes {
            Cipher(master.wrapping, .seal).seal(
              $0, to: sealed.baseAddress, nonce: nonce, associated: label, .init(start: nil, count: 0), tag: tag)
          }
        }
      }
    }
    return Wrapped(id: id, master: master.id, nonce: nonce, sealed: sealed, tag: tag)
  }

  /// Nil when it was not this master key, or the bytes are others.
  func unwrap(_ wrapped: Wrapped, by master: MasterKey) -> SecretKey? {
    let target = UnsafeMutableRawBufferPointer.allocate(byteCount: SecretKey.count, alignment: 16)
    defer {
      wipe(target)
      target.deallocate()
    }
    var isRight = false
    withAll(wrapped.nonce, label(wrapped.id)) { nonce, label in
      wrapped.sealed.withUnsafeBytes { sealed in
        wrapped.tag.withUnsafeBytes { tag in
          guard let tag = tag.baseAddress else { return }
          isRight = Cipher(master.wrapping, .open).open(
            sealed, to: target.baseAddress, nonce: nonce, associated: label, .init(start: nil, count: 0), tag: tag)
        }
      }
    }
    return isRight ? SecretKey(UnsafeRawBufferPointer(target)) : nil
  }

  private func withAll(
    _ nonce: [UInt8], _ label: [UInt8], _ body: (UnsafeRawPointer, UnsafeRawBufferPointer) -> Void
  ) {
    nonce.withUnsafeBytes { nonce in
      guard let start = nonce.baseAddress else { return }
      label.withUnsafeBytes { body(start, $0) }
    }
  }
}
