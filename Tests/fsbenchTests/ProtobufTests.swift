import Foundation
import Testing

@testable import fsbench

/// Bytes as Google's protobuf for Python makes them from the messages' fields.
enum Golden {
  static let key = Key.text(17)
  static let put = """
    0a106b65792d30303030303030303030313712646b65792d3030303030303030303031377676767676767676767676767676767676767676
    7676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676
    7676767676767676
    """
  static let range = "0a106b65792d303030303030303030303137"
  static let count = "0a046b65792d12046b65792e4801"
  static let transaction = """
    127a12780a106b65792d30303030303030303030313712646b65792d30303030303030303030313776767676767676767676767676767676
    7676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676
    767676767676767676767676127a12780a106b65792d30303030303030303030313812646b65792d30303030303030303030313876767676
    7676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676
    767676767676767676767676767676767676767676767676
    """
  static let putAnswer = "0a1c08b298eaf1948386fccd0110cdd2918bd2b881cf8e011881897a2002"
  /// Of key 17, with its value and a count of 1.
  static let rangeAnswer = """
    0a1c08b298eaf1948386fccd0110cdd2918bd2b881cf8e011881897a2002127f0a106b65792d303030303030303030303137100518ac0220
    022a646b65792d30303030303030303030313776767676767676767676767676767676767676767676767676767676767676767676767676
    76767676767676767676767676767676767676767676767676767676767676767676767676767676767676767676762001
    """
  /// Succeeded, with two responses.
  static let transactionAnswer = """
    0a1c08b298eaf1948386fccd0110cdd2918bd2b881cf8e011881897a200210011a0612040a0218071a0612040a021807
    """

  static func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.filter(\.isHexDigit)
    return stride(from: 0, to: digits.count, by: 2).map { at in
      let start = digits.index(digits.startIndex, offsetBy: at)
      return UInt8(digits[start...digits.index(after: start)], radix: 16) ?? 0
    }
  }
}

@Suite struct ProtobufTests {
  @Test func requestsAreTheBytesThatProtobufMakes() {
    let (key, value) = (Golden.key, Key.value(Golden.key))
    #expect(EtcdMessage.put(key, value) == Golden.bytes(Golden.put))
    #expect(EtcdMessage.range(key) == Golden.bytes(Golden.range))
    #expect(EtcdMessage.count(prefix: Key.prefix) == Golden.bytes(Golden.count))
    let next = Key.text(18)
    #expect(
      EtcdMessage.operation(key, value) + EtcdMessage.operation(next, Key.value(next))
        == Golden.bytes(Golden.transaction))
  }

  @Test func aLongFieldHasALongLength() {
    let long = [UInt8](repeating: 120, count: 300)
    #expect(Protobuf.field(2, long) == [0x12, 0xac, 0x02] + long)
  }

  @Test(
    arguments: [
      (0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (300, "ac02"), (16383, "ff7f"), (16384, "808001"),
      (1 << 32, "8080808010"), (UInt64(Int64.max), "ffffffffffffffff7f"), (UInt64.max, "ffffffffffffffffff01"),
    ] as [(UInt64, String)])
  func integersAreVarints(value: UInt64, hex: String) throws {
    #expect(Protobuf.varint(value) == Golden.bytes(hex))
    let fields = try read(Protobuf.field(3, value))
    #expect(fields.map(\.number) == [3])
    #expect(fields.map(\.integer) == [value])
  }

  private struct Field {
    var number: UInt64
    var integer: UInt64?
    var bytes: [UInt8]?
  }

  private func read(_ message: [UInt8]) throws -> [Field] {
    try message.withUnsafeBytes { bytes in
      var (reader, fields) = (ProtobufReader(bytes), [Field]())
      while let field = try reader.next() {
        fields.append(Field(number: field.number, integer: field.integer, bytes: field.bytes.map { Array($0) }))
      }
      return fields
    }
  }

  @Test func anAnswerOfProtobufsIsRead() throws {
    let fields = try read(Golden.bytes(Golden.rangeAnswer))
    #expect(fields.map(\.number) == [1, 2, 4])
    #expect(fields[2].integer == 1)
    let header = try read(try #require(fields[0].bytes))
    #expect(header.map(\.integer) == [14_841_639_068_965_178_418, 10_276_657_743_932_975_437, 2_000_001, 2])
    let keyValue = try read(try #require(fields[1].bytes))
    #expect(keyValue.map(\.number) == [1, 2, 3, 4, 5])
    #expect(keyValue[0].bytes == Array(Golden.key.utf8))
    #expect(keyValue[4].bytes == Array(Key.value(Golden.key).utf8))
  }

  @Test func fieldsOfFixedSizeArePassedOver() throws {
    let message: [UInt8] = [0x09, 1, 2, 3, 4, 5, 6, 7, 8, 0x15, 1, 2, 3, 4, 0x18, 5]
    #expect(try read(message).map(\.number) == [1, 2, 3])
  }

  /// Cut anywhere but between two fields.
  @Test func aMessageThatIsCutOffIsMalformed() throws {
    let message = Golden.bytes(Golden.rangeAnswer)
    let between = [0, 30, 159, 161]
    #expect(message.count == 161)
    for end in message.indices where !between.contains(end) {
      #expect(throws: ProtobufReader.Malformed.self, "cut at \(end)") { try read(Array(message[..<end])) }
    }
    for end in between { _ = try read(Array(message[..<end])) }
  }

  @Test(arguments: [
    "00", "03", "0b", "0c", "0e", "0f", "8080808080808080808001", "08ffffffffffffffffff02", "0affffffffffffffffff01",
  ])
  func whatIsNoFieldIsMalformed(hex: String) {
    #expect(throws: ProtobufReader.Malformed.self) { try read(Golden.bytes(hex)) }
  }
}

@Suite struct GRPCTests {
  private func message(_ body: [UInt8]) throws -> [UInt8] {
    try body.withUnsafeBytes { bytes in Array(try GRPC.message(in: bytes)) }
  }

  @Test(arguments: [0, 1, 255, 256, 70_000])
  func aFrameHasTheLengthInFourBytes(count: Int) throws {
    let content = [UInt8](repeating: 7, count: count)
    let frame = GRPC.frame(content)
    let length = [24, 16, 8, 0].map { UInt8(count >> $0 & 255) }
    #expect(Array(frame[..<5]) == [0] + length)
    #expect(try message(frame) == content)
  }

  @Test func aFrameThatIsCutOffAnywhereIsIncomplete() {
    let frame = GRPC.frame(Array("message".utf8))
    for end in frame.indices {
      #expect(throws: GRPC.Malformed.incomplete, "cut at \(end)") { try message(Array(frame[..<end])) }
    }
  }

  @Test func moreThanOneMessageAndCompressedOnesAreRefused() {
    let frame = GRPC.frame([1, 2])
    #expect(throws: GRPC.Malformed.trailingBytes) { try message(frame + frame) }
    #expect(throws: GRPC.Malformed.trailingBytes) { try message(frame + [0]) }
    #expect(throws: GRPC.Malformed.compressed) { try message([1] + frame.dropFirst()) }
  }
}
