import Primitives
import Testing

@testable import Transport

@Suite struct PeerFrameTests {
  func encode(_ payloads: [[UInt8]]) -> [UInt8] {
    let output = OutputBuffer()
    for payload in payloads { payload.withUnsafeBytes { PeerFrame.append($0, to: output) } }
    return Array(output.bytes)
  }

  /// The payloads read from `bytes`, given in pieces.
  func decode(_ bytes: [UInt8], pieces: Int) throws(PeerFrameError) -> [[UInt8]] {
    let reader = PeerFrameReader()
    var found: [[UInt8]] = []
    for start in stride(from: 0, to: bytes.count, by: pieces) {
      let piece = Array(bytes[start..<min(start + pieces, bytes.count)])
      let failure = piece.withUnsafeBytes { raw -> PeerFrameError? in
        reader.receive(raw)
        do throws(PeerFrameError) {
          while let frame = try reader.next() { found.append(Array(frame)) }
          return nil
        } catch { return error }
      }
      if let failure { throw failure }
    }
    return found
  }

  @Test func framesHaveTheirGoldenBytes() {
    #expect(encode([[1, 2, 3]]) == [3, 0, 0, 0, 0x51, 0x4E, 0x6F, 0x92, 1, 2, 3])
  }

  @Test func framesCutAnywhereArePutTogetherAgain() throws {
    let payloads: [[UInt8]] = [[], [1], Array(0..<200), [], [UInt8](repeating: 9, count: 5000)]
    let bytes = encode(payloads)
    for pieces in [1, 2, 3, 7, 8, 9, 100, 207, 5000, bytes.count] {
      #expect(try decode(bytes, pieces: pieces) == payloads, "\(pieces)")
    }
    #expect(try decode(bytes.dropLast(1) + [], pieces: 64).count == 4)
  }

  @Test func everyFlippedBitIsFound() throws {
    let bytes = encode([[1, 2, 3, 4, 5]])
    // A longer length waits for more bytes: what follows completes and exposes it.
    let filler = [UInt8](repeating: 0, count: 2 << 20)
    for i in 0..<bytes.count * 8 {
      var bad = bytes
      bad[i / 8] ^= 1 << UInt8(i % 8)
      #expect(throws: PeerFrameError.self) { try decode(i < 32 ? bad + filler : bad, pieces: 1 << 20) }
    }
  }

  @Test func aFrameOverTheLimitIsRefusedByItsLengthAlone() {
    #expect(throws: PeerFrameError.tooLarge(2 << 20 + 1)) { try decode([1, 0, 0x20, 0, 0, 0, 0, 0], pieces: 3) }
  }
}
