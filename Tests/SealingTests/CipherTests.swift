import Primitives
import Testing

@testable import Sealing

/// The primitives against the vectors of those who defined them.
@Suite struct CipherTests {
  struct Vector: Sendable, CustomTestStringConvertible {
    let name: String
    let key, nonce, plain, associated, sealed, tag: String
    var testDescription: String { name }
  }

  /// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B; the same in NIST's CAVP.
  static let vectors = [
    Vector(
      name: "case 13", key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12), plain: "",
      associated: "", sealed: "", tag: "530f8afbc74536b9a963b4f1c4cb738b"),
    Vector(
      name: "case 14", key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12),
      plain: String(repeating: "00", count: 16), associated: "", sealed: "cea7403d4d606b6e074ec5d3baf39d18",
      tag: "d0d1c8a799996bf0265b98b5d48ab919"),
    Vector(
      name: "case 16", key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
      nonce: "cafebabefacedbaddecaf888",
      plain: """
        d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657\
        ba637b39
        """,
      associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
      sealed: """
        522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0a\
        bcc9f662
        """,
      tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
  ]

  @Test(arguments: vectors) func galoisCounterModeMatchesItsVectors(_ vector: Vector) {
    let plain = bytes(vector.plain)
    var (sealed, tag) = ([UInt8](repeating: 0, count: plain.count), [UInt8](repeating: 0, count: 16))
    var opened = sealed
    let key = secret(bytes(vector.key))
    let (seal, open) = (Cipher(key, .seal), Cipher(key, .open))
    // Twice, because a context is used again.
    for _ in 0..<2 {
      bytes(vector.nonce).withUnsafeBytes { nonce in
        bytes(vector.associated).withUnsafeBytes { associated in
          // The associated bytes come in two parts.
          let first = UnsafeRawBufferPointer(rebasing: associated.prefix(7))
          let second = UnsafeRawBufferPointer(rebasing: associated.dropFirst(7))
          plain.withUnsafeBytes { plain in
            sealed.withUnsafeMutableBytes { target in
              tag.withUnsafeMutableBytes {
                seal.seal(
                  plain, to: target.baseAddress, nonce: nonce.baseAddress!, associated: first, second,
                  tag: $0.baseAddress!)
              }
            }
          }
          let isRight = sealed.withUnsafeBytes { sealed in
            opened.withUnsafeMutableBytes { target in
              tag.withUnsafeBytes {
                open.open(
                  sealed, to: target.baseAddress, nonce: nonce.baseAddress!, associated: first, second,
                  tag: $0.baseAddress!)
              }
            }
          }
          #expect(isRight)
        }
      }
      #expect(hex(sealed) == vector.sealed)
      #expect(hex(tag) == vector.tag)
      #expect(opened == plain)
    }
  }

  /// RFC 5869, appendix A, cases 1 to 3.
  @Test func derivationMatchesItsVectors() {
    func derive(_ key: [UInt8], _ salt: [UInt8], _ info: [UInt8], _ count: Int) -> String {
      key.withUnsafeBytes { hex(hkdf(key: $0, salt: salt, info: info, count: count)) }
    }
    let zerobs = [UInt8](repeating: 0x0B, count: 22)
    #expect(
      derive(zerobs, Array(0x00...0x0C), Array(0xF0...0xF9), 42)
        == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
    #expect(
      derive(Array(0x00...0x4F), Array(0x60...0xAF), Array(0xB0...0xFF), 82) == """
        b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da3275600c2f09b8\
        367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87
        """)
    #expect(
      derive(zerobs, [], [], 42)
        == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
  }
}
