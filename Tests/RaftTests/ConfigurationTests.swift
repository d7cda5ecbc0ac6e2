import Primitives
import Testing

@testable import Raft

@Suite struct ConfigurationTests {
  private let sample = Configuration(
    voters: [member(2), member(1)], outgoing: [member(3)],
    learners: [Member(node: NodeID(0x0102_0304), incarnation: Incarnation(0x1122_3344_5566_7788))])

  @Test func aConfigurationHasItsGoldenBytes() {
    let golden: [UInt8] = [
      1,
      2, 1, 0, 0, 0, 0xA1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0xA2, 0, 0, 0, 0, 0, 0, 0,
      1, 3, 0, 0, 0, 0xA3, 0, 0, 0, 0, 0, 0, 0,
      1, 4, 3, 2, 1, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
    ]
    #expect(sample.encoded() == golden)
  }

  @Test func decodingGivesBackWhatWasEncoded() throws {
    #expect(try Configuration(decoding: sample.encoded()) == sample)
  }

  @Test func everyShorterOrLongerTextIsRefused() {
    let bytes = sample.encoded()
    for count in 0..<bytes.count {
      #expect(throws: DecodeError.self) { try Configuration(decoding: Array(bytes.prefix(count))) }
    }
    #expect(throws: DecodeError.self) { try Configuration(decoding: bytes + [0]) }
  }

  @Test func nonsenseIsRefused() {
    let one: [UInt8] = [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    for bytes in [[2, 1] + one + [0, 0], [1, 0, 0, 0], [1, 2] + one + one + [0, 0], [1, 65] + one] {
      #expect(throws: DecodeError.self) { try Configuration(decoding: bytes) }
    }
  }

  @Test func peersAreAllOthersOnce() {
    let configuration = Configuration(
      voters: [member(3), member(1)], outgoing: [member(1), member(2)], learners: [member(4)])
    #expect(configuration.peers(of: member(1)) == [member(2), member(3), member(4)])
  }
}
