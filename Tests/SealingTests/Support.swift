import Primitives

@testable import Sealing

func bytes(_ hex: String) -> [UInt8] {
  let digits = Array(hex.filter { !$0.isWhitespace })
  return stride(from: 0, to: digits.count, by: 2).map { UInt8(String(digits[$0...$0 + 1]), radix: 16)! }
}

func hex(_ bytes: some Sequence<UInt8>) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

func secret(_ bytes: [UInt8]) -> SecretKey { bytes.withUnsafeBytes { SecretKey($0)! } }

/// 32 equal bytes, as a master key.
func master(_ byte: UInt8) -> MasterKey { MasterKey(secret([UInt8](repeating: byte, count: 32))) }

/// 1, 2, 3, … in place of random bytes.
func counting() -> (Int) -> [UInt8] {
  var next: UInt8 = 0
  return { count in
    (0..<count).map { _ in
      next &+= 1
      return next
    }
  }
}

func masters(_ text: String, mode: UInt32 = 0o600) throws(KeyRefusal) -> MasterKeys {
  try MasterKeys(Array(text.utf8), mode: mode, path: "master.key")
}

func line(_ byte: UInt8) -> String { hex([UInt8](repeating: byte, count: 32)) + "\n" }

func keyring(
  _ file: [UInt8]? = nil, _ text: String = line(1), directory: UInt64 = 7,
  random: @escaping (Int) -> [UInt8] = randomBytes
) throws -> Keyring {
  try Keyring(
    file, masters: try masters(text), directory: directory, path: "data/keys", keyFile: "master.key", random: random)
}

/// A page with text in it, as the store makes it: zeros at 28 and in the last 32 bytes.
func page(_ id: UInt32, birth: UInt64, text: String = "a row", count: Int = 16_384) -> [UInt8] {
  var writer = ByteWriter()
  writer.write(UInt32(0x0001_5046))
  writer.write(id)
  writer.write(birth)
  writer.writeBytes([UInt8](repeating: 9, count: 12))
  writer.write(UInt32(0))
  while writer.count + text.utf8.count <= count - 32 { writer.writeBytes(Array(text.utf8)) }
  writer.writeBytes([UInt8](repeating: 0, count: count - writer.count))
  return writer.bytes
}

extension SealedForm {
  func keyID(of bytes: [UInt8]) -> UInt32? { bytes.withUnsafeBytes { keyID(of: $0) } }
}

extension Sealer {
  func sealed(_ form: SealedForm, _ plain: [UInt8]) -> [UInt8] {
    var result = [UInt8](repeating: 0xEE, count: plain.count)
    plain.withUnsafeBytes { plain in result.withUnsafeMutableBytes { seal(form, plain, into: $0) } }
    return result
  }

  /// Nil when it is refused.
  func opened(_ form: SealedForm, _ sealed: [UInt8]) -> [UInt8]? {
    var result = [UInt8](repeating: 0xEE, count: sealed.count)
    let outcome = sealed.withUnsafeBytes { sealed in
      result.withUnsafeMutableBytes { open(form, sealed, into: $0) }
    }
    switch outcome {
    case .plain: return sealed
    case .opened: return result
    case .refused: return nil
    }
  }
}
