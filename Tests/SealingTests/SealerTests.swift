import Primitives
import Testing

@testable import Sealing

@Suite struct SealerTests {
  @Test func whatIsSealedComesBackAndShowsNothing() throws {
    let sealer = Sealer(try keyring(), lane: 0)
    for (form, plain) in [(SealedForm.page, page(5, birth: 9)), (.block, page(5, birth: 9, count: 4096))] {
      let sealed = sealer.sealed(form, plain)
      #expect(sealer.opened(form, sealed) == plain)
      #expect(sealed.prefix(form.headerBytes) == plain.prefix(form.headerBytes))
      #expect(!String(decoding: sealed.dropFirst(form.headerBytes), as: UTF8.self).contains("row"))
      #expect(sealed.withUnsafeBytes { sealedKeyID($0) } == sealer.keyring.active)
      #expect(plain.withUnsafeBytes { sealedKeyID($0) } == nil)
    }
  }

  @Test func openingInPlaceGivesTheSame() throws {
    let sealer = Sealer(try keyring(), lane: 0)
    var bytes = sealer.sealed(.page, page(5, birth: 9))
    let outcome = bytes.withUnsafeMutableBytes { sealer.open(.page, UnsafeRawBufferPointer($0), into: $0) }
    #expect(outcome == .opened)
    #expect(bytes == page(5, birth: 9))
  }

  /// The layout of the tail and what is derived from what: when this fails, data encrypted yesterday is not read.
  @Test func aSealedPageHasItsGoldenBytes() throws {
    let sealer = Sealer(try keyring(random: counting()), lane: 3, startNonce: Array(0x50...0x5B))
    let sealed = sealer.sealed(.page, page(5, birth: 9, count: 128))
    #expect(
      hex(sealed) == """
        46500100050000000900000000000000\
        09090909090909090909090909090909\
        8bce8f703cd33dc4c59967f55c22a47bf8291628bd48c6035bd76a2daa8b0675\
        9928dfaec34e2e162243ef0214f500717bffcb30c8a1cdb1e58b017e3c433bce\
        505152535455565758595a5b24232221\
        fbdc72e0ce69702c76ffaf4453ee7dbf
        """)
    let block = sealer.sealed(.block, page(5, birth: 9, count: 160))
    #expect(
      hex(block.dropFirst(96)) == """
        358727779c64df9059d40f81112454aed7be8b90704e63a253d851bb8ba25550\
        505152535455565758595a5b24232221\
        a4849f38748816a122a7ef250639e9c0
        """)
  }

  /// Every byte of a small page: header, encrypted bytes, start nonce, key id, tag.
  @Test func aChangedByteIsRefused() throws {
    let sealer = Sealer(try keyring(), lane: 0)
    let plain = page(5, birth: 9, count: 256)
    let sealed = sealer.sealed(.page, plain)
    for index in sealed.indices {
      for bit: UInt8 in [0x01, 0x80] {
        var changed = sealed
        changed[index] ^= bit
        #expect(sealer.opened(.page, changed) == nil, "byte \(index)")
      }
    }
    #expect(sealer.opened(.page, sealed) == plain)
  }

  /// With the key id zeroed a page claims to be plain. It is not taken when it is younger than encryption is.
  @Test func youngerPlainOnesAreRefused() throws {
    let ring = try keyring()
    let sealer = Sealer(ring, lane: 0)
    #expect(sealer.opened(.page, page(5, birth: 9)) != nil, "before the limit is known")
    ring.limitPlain(epoch: 9, sequence: 100)
    #expect(sealer.opened(.page, page(5, birth: 9)) == page(5, birth: 9))
    #expect(sealer.opened(.page, page(5, birth: 10)) == nil)
    #expect(sealer.unknownKey == nil)
    // Once is for ever.
    ring.limitPlain(epoch: 50, sequence: 500)
    #expect(sealer.opened(.page, page(5, birth: 10)) == nil)
    func block(_ sequence: UInt64) -> [UInt8] {
      var bytes = page(0, birth: .max, count: 4096)
      withUnsafeBytes(of: sequence.littleEndian) { bytes.replaceSubrange(48..<56, with: $0) }
      return bytes
    }
    #expect(sealer.opened(.block, block(100)) != nil)
    #expect(sealer.opened(.block, block(101)) == nil)
  }

  @Test func anotherKeyPlaceLaneOrPurposeIsRefused() throws {
    let ring = try keyring()
    let sealer = Sealer(ring, lane: 0)
    let sealed = sealer.sealed(.page, page(5, birth: 9))
    #expect(Sealer(ring, lane: 0).opened(.page, sealed) == page(5, birth: 9), "another start reads it")
    #expect(Sealer(ring, lane: 1).opened(.page, sealed) == nil)
    #expect(sealer.opened(.block, sealed) == nil)
    let other = Sealer(try keyring(), lane: 0)
    #expect(other.opened(.page, sealed) == nil)
    #expect(other.unknownKey == ring.active)
  }

  /// Same page, epoch and bytes: each start, purpose and data key has its own stream; one start has one for a place.
  @Test func noKeyStreamRepeats() throws {
    let ring = try keyring()
    let (one, other) = (Sealer(ring, lane: 0), Sealer(ring, lane: 0))
    let plain = page(5, birth: 9)
    var streams = [one.sealed(.page, plain), other.sealed(.page, plain)]
    streams.append(one.sealed(.page, page(6, birth: 9)))
    streams.append(one.sealed(.page, page(5, birth: 10)))
    streams.append(Sealer(ring, lane: 1).sealed(.page, plain))
    streams.append(one.sealed(.block, plain))
    try ring.rotate(masters(line(1)))
    streams.append(one.sealed(.page, plain))
    let content = streams.map { Array($0[96..<(16_384 - 32)]) }
    #expect(Set(content).count == content.count)
    #expect(streams.allSatisfy { stream in ring.secret(stream.withUnsafeBytes { sealedKeyID($0) }!) != nil })
  }

  /// More starts than are kept at once, in any order.
  @Test func pagesOfManyStartsAreRead() throws {
    let ring = try keyring()
    var random = SeededRandom(seed: 1)
    let sealed = (0..<UInt32(Sealer.openingMax) * 2).map { index in
      Sealer(ring, lane: 0).sealed(.page, page(index, birth: 9, count: 256))
    }
    let reader = Sealer(ring, lane: 0)
    for _ in 0..<1000 {
      let index = UInt32(random.below(UInt64(sealed.count)))
      #expect(reader.opened(.page, sealed[Int(index)]) == page(index, birth: 9, count: 256))
    }
  }

  @Test func sizesThatCannotBeAreRefused() throws {
    let sealer = Sealer(try keyring(), lane: 0)
    for count in 0..<64 {
      #expect(sealer.opened(.page, [UInt8](repeating: 1, count: count)) == nil)
    }
  }
}
