import Primitives
import Testing

@testable import Node

@Suite struct PayloadEnvelopeTests {
  @Test func anEnvelopeHasItsGoldenBytes() throws {
    let envelope = PayloadEnvelope(session: 0x0102_0304_0506_0708, sequence: 9)
    var payload = ByteWriter()
    PayloadEnvelope.reserve(in: &payload)
    payload.writeBytes([1, 2])
    envelope.patch(into: &payload)
    #expect(payload.bytes == [8, 7, 6, 5, 4, 3, 2, 1, 9, 0, 0, 0, 0, 0, 0, 0, 1, 2])
    #expect(try PayloadEnvelope(payload.bytes) == envelope)
  }

  @Test func aShortPayloadIsRefused() {
    for count in 0..<PayloadEnvelope.byteCount {
      #expect(throws: DecodeError.truncated) { try PayloadEnvelope([UInt8](repeating: 1, count: count)) }
    }
  }
}

@Suite struct OutboxTests {
  /// What an outbox hands out: each payload's number and the ids of its messages.
  private func take(_ outbox: inout Outbox, _ sent: inout UInt64) throws -> [(number: UInt64, ids: [UInt64])] {
    var payloads: [[UInt8]] = []
    outbox.take(session: 7, sent: &sent) { payloads.append($0) }
    return try payloads.map { payload in
      let envelope = try PayloadEnvelope(payload)
      #expect(envelope.session == 7)
      let ids = try PeerMessage.decodeAll(payload, from: PayloadEnvelope.byteCount).map { message -> UInt64 in
        guard case .statusRequest(let id) = message else { throw DecodeError.invalid("another message") }
        return id
      }
      return (envelope.sequence, ids)
    }
  }

  @Test func messagesArePackedInOrderIntoNumberedPayloads() throws {
    var outbox = Outbox()
    var sent: UInt64 = 4
    // 13 bytes each: a payload is full with the second.
    for id in 1...5 { outbox.append(.statusRequest(id: UInt64(id)), payloadBytes: 20) }
    #expect(!outbox.isEmpty && outbox.bytes == 65)
    let first = try take(&outbox, &sent)
    #expect(first.map(\.number) == [5, 6, 7])
    #expect(first.map(\.ids) == [[1, 2], [3, 4], [5]])
    #expect(outbox.isEmpty && sent == 7)
    outbox.append(.statusRequest(id: 6), payloadBytes: 20)
    let second = try take(&outbox, &sent)
    #expect(second.map(\.number) == [8])
    #expect(second.map(\.ids) == [[6]])
  }

  @Test func anEmptiedOutboxHandsOutNothing() throws {
    var outbox = Outbox()
    var sent: UInt64 = 0
    for id in 1...3 { outbox.append(.statusRequest(id: UInt64(id)), payloadBytes: 20) }
    outbox.clear()
    let taken = try take(&outbox, &sent)
    #expect(taken.isEmpty && sent == 0)
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
