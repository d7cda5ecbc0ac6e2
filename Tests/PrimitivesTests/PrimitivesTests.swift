import Primitives
import Testing

@Suite struct PrimitivesTests {
  @Test func crc32cHasItsCheckValue() {
    #expect(crc32c(Array("123456789".utf8)) == 0xe306_9283)
    let long = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
    #expect(crc32c(Array(long[500...]), after: crc32c(Array(long[..<500]))) == crc32c(long))
  }

  @Test(arguments: [0, 1, 7, 8, 3071, 3072, 3073, 4096, 6144, 10_001, 16_384])
  func crc32cOfAnyLengthIsThatBitByBit(count: Int) {
    var random = SeededRandom(seed: 9)
    let bytes = (0..<count).map { _ in UInt8(random.below(256)) }
    var plain: UInt32 = 0xFFFF_FFFF
    for byte in bytes {
      plain ^= UInt32(byte)
      for _ in 0..<8 { plain = plain & 1 == 1 ? plain >> 1 ^ 0x82F6_3B78 : plain >> 1 }
    }
    #expect(crc32c(bytes) == ~plain)
    let cut = count / 5
    #expect(crc32c(Array(bytes[cut...]), after: crc32c(Array(bytes[..<cut]))) == ~plain)
  }

  @Test func aReaderReadsWhatAWriterWrote() throws {
    var writer = ByteWriter()
    writer.write(UInt32(0xdead_beef))
    for value in [0, 1, 127, 128, 300, UInt64.max] { writer.writeVarint(value) }
    writer.writeSized("grün")
    writer.patch(UInt32(7), at: 0)
    let (number, varints, text) = try decode(writer.bytes) { (reader) throws(DecodeError) in
      let number: UInt32 = try reader.read()
      var varints: [UInt64] = []
      for _ in 0..<6 { varints.append(try reader.readVarint()) }
      return (number, varints, try reader.readText(limit: 10))
    }
    #expect(number == 7)
    #expect(varints == [0, 1, 127, 128, 300, .max])
    #expect(text == "grün")
  }

  @Test func everyTruncationIsRefused() {
    var writer = ByteWriter()
    writer.write(UInt64(1))
    writer.writeSized([1, 2, 3])
    for end in 0..<writer.count {
      #expect(throws: DecodeError.self) {
        try decode(Array(writer.bytes[..<end])) { (reader) throws(DecodeError) in
          let _: UInt64 = try reader.read()
          return try reader.readSized(limit: 3).count
        }
      }
    }
  }

  @Test func overlongVarintsAndForeignTextAreRefused() {
    #expect(throws: DecodeError.self) {
      try decode([UInt8](repeating: 0xff, count: 10)) { (reader) throws(DecodeError) in try reader.readVarint() }
    }
    #expect(throws: DecodeError.self) {
      try decode([2, 0xc3, 0x28]) { (reader) throws(DecodeError) in try reader.readText(limit: 10) }
    }
  }

  @Test func theStableHashHasItsGoldenValues() {
    func hash(_ text: String, seed: UInt64 = 0) -> UInt64 {
      Array(text.utf8).withUnsafeBytes { stableHash($0, seed: seed) }
    }
    #expect(hash("") == 0x2787_5d25_40bf_6784)
    #expect(hash("filestore") == 0xff8e_fb50_d133_0a65)
    #expect(hash("filestore", seed: 7) == 0x8a99_90a2_6d2b_a166)
    #expect(hash("0123456789abcdef") == 0x7d77_277f_6db9_f90f)
    #expect(hash("0123456789abcdef0123456789abcdef01234567", seed: 7) == 0x4efd_84c2_8a76_6ac4)
  }

  @Test func hashesOfDifferentBytesDiffer() {
    var seen: Set<UInt64> = []
    for count in 0..<200 {
      seen.insert([UInt8](repeating: 0, count: count).withUnsafeBytes { stableHash($0) })
    }
    #expect(seen.count == 200)
  }

  @Test func theSameSeedDrawsTheSameNumbers() {
    var a = SeededRandom(seed: 42)
    var b = SeededRandom(seed: 42)
    for _ in 0..<100 { #expect(a.next() == b.next()) }
    for _ in 0..<1000 { #expect(a.below(10) < 10) }
  }

  @Test func nodeNamesReadBackAndNothingElseDoes() {
    #expect(NodeID(name: "n12") == NodeID(12))
    for name in ["", "n", "n0", "n01", "12", "m1", "n-1", "n4294967296"] { #expect(NodeID(name: name) == nil) }
  }
}
