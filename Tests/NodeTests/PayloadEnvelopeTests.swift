import Primitives
import Testing

@testable import Node

@Suite struct PayloadEnvelopeTests {
  @Test func anEnvelopeHasItsGoldenBytes() throws {
    let envelope = PayloadEnvelope(session: 0x0102_0304_0506_0708, sequence: 9)
    #expect(envelope.encoded() == [8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0])
    #expect(try PayloadEnvelope(envelope.encoded() + [1, 2]) == envelope)
  }

  @Test func aShortPayloadIsRefused() {
    for count in 0..<PayloadEnvelope.byteCount {
      #expect(throws: DecodeError.truncated) { try PayloadEnvelope([UInt8](repeating: 1, count: count)) }
    }
  }
}

@Suite struct ReplayWindowTests {
  @Test func aPayloadIsTakenOnce() {
    var window = ReplayWindow()
    let results = [1, 1, 2, 2, 1].map { window.accept(PayloadEnvelope(session: 5, sequence: $0)) }
    #expect(results == [true, false, true, false, false])
  }

  @Test func latePayloadsAreTakenWithinTheWindow() {
    var window = ReplayWindow()
    let results = [100, 99, 37, 36, 99].map { window.accept(PayloadEnvelope(session: 5, sequence: $0)) }
    #expect(results == [true, true, true, false, false])
  }

  @Test func anOlderSessionIsRefusedAndANewerOneBeginsAgain() {
    var window = ReplayWindow()
    let envelopes: [(UInt64, UInt64)] = [(2, 50), (1, 51), (3, 1), (2, 52), (3, 1)]
    let results = envelopes.map { window.accept(PayloadEnvelope(session: $0.0, sequence: $0.1)) }
    #expect(results == [true, false, true, false, false])
  }

  /// Against a plain model: the set of all that was taken, and the highest.
  @Test func reorderedAndDoubledPayloadsAsInAModel() {
    var random = SeededRandom(seed: 3)
    var window = ReplayWindow()
    var taken: Set<UInt64> = []
    var highest: UInt64 = 0
    for _ in 0..<20_000 {
      let base = highest > 80 ? highest - 80 : 0
      let sequence = base + 1 + random.below(random.chance(1, outOf: 50) ? 300 : 85)
      let isNew = !taken.contains(sequence) && (sequence > highest || highest - sequence < 64)
      let result = window.accept(PayloadEnvelope(session: 1, sequence: sequence))
      #expect(result == isNew)
      if isNew { taken.insert(sequence) }
      highest = max(highest, sequence)
    }
  }
}
