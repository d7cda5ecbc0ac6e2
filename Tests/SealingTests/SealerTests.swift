import Primitives
import Testing

@testable import Sealing

@Suite struct SealerTests {
  /// A block with text in it: zeros at 96 and in the last 32 bytes.
  private func block(_ sequence: UInt64, count: Int = 4096) -> [UInt8] {
    var bytes = page(0, birth: .max, count: count)
    withUnsafeBytes(of: sequence.littleEndian) { bytes.replaceSubrange(48..<56, with: $0) }
    bytes.replaceSubrange(96..<104, with: [UInt8](repeating: 0, count: 8))
    return bytes
  }

  @Test func whatIsSealedComesBackAndShowsNothing() throws {
    let sealer = Sealer(try keyring(), lane: 0)
    for (form, plain) in [(SealedForm.page, page(5, birth: 9)), (.block, block(9))] {
      let sealed = sealer.sealed(form, plain)
      #expect(sealer.opened(form, sealed) == plain)
      #expect(sealed.prefix(form.keyOffset) == plain.prefix(form.keyOffset))
      #expect(!String(decoding: sealed.dropFirst(form.headerBytes), as: UTF8.self).contains("row"))
      #expect(form.keyID(of: sealed) == sealer.keyring.active)
      #expect(form.keyID(of: plain) == nil)
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
    let sealer = Sealer(try keyring(random: counting()), lane: 3, startNonce: Array(0x50...0x5F))
    let sealed = sealer.sealed(.page, page(5, birth: 9, count: 128))
    #expect(
      hex(sealed) == """
        46500100050000000900000000000000\
        09090909090909090909090924232221\
        84ee276110d2ddcc8d5a2ffe9a5c44ba74711c9d72792b24dc62b4229eb88a20\
        beab7c278c9d6f53394381c2c611e0ced3128d0ea9b559933a05f0ede2b36f69\
        505152535455565758595a5b5c5d5e5f\
        d7babce913a6f2f1d0580a5309580254
        """)
    let sealedBlock = sealer.sealed(.block, block(9, count: 160))
    #expect(
      hex(sealedBlock.dropFirst(96)) == """
        2423222100000000\
        59a5d842fb65fc6310938ebc3b3e7b284b815b54e1f172ee\
        505152535455565758595a5b5c5d5e5f\
        2d38551afe9bf44fdf9f8f268ec5461b
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
    // In place it gets a tail, so that a reader that knows of no encryption does not take it.
    var inPlace = page(5, birth: 10)
    inPlace.withUnsafeMutableBytes { sealer.openInPlace(.page, $0) }
    #expect(inPlace.last == 0xFF)
    // Once is for ever.
    ring.limitPlain(epoch: 50, sequence: 500)
    #expect(sealer.opened(.page, page(5, birth: 10)) == nil)
    #expect(sealer.opened(.block, block(100)) != nil)
    #expect(sealer.opened(.block, block(101)) == nil)
  }

  @Test func anotherKeyPlaceLaneOrPurposeIsRefused() throws {
    let ring = try keyring()
    let sealer = Sealer(ring, lane: 0)
    let sealed = sealer.sealed(.page, page(5, birth: 9))
    #expect(Sealer(ring, lane: 0).opened(.page, sealed) == page(5, birth: 9), "another start reads it")
    #expect(Sealer(ring, lane: 1).opened(.page, sealed) == nil)
    #expect(sealer.opened(.block, sealer.sealed(.page, block(9))) == nil)
    let other = Sealer(try keyring(), lane: 0)
    #expect(other.opened(.page, sealed) == nil)
    #expect(!other.holds(ring.active ?? 0) && sealer.holds(ring.active ?? 0))
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
    streams.append(one.sealed(.block, block(9)))
    try ring.rotate(masters(line(1))) { _ in }
    streams.append(one.sealed(.page, plain))
    let content = streams.map { Array($0[104..<(4096 - 32)]) }
    #expect(Set(content).count == content.count)
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
