import Transport

/// gRPC over HTTP/2, as much as calls with one message each way need.
/// https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
enum GRPC {
  static let prefixBytes = 5

  /// A message's prefix: not compressed, its length.
  static func prefix(_ messageBytes: Int) -> [UInt8] {
    [0] + withUnsafeBytes(of: UInt32(messageBytes).bigEndian) { Array($0) }
  }

  static func frame(_ message: [UInt8]) -> [UInt8] { prefix(message.count) + message }

  /// Why a body is not exactly one message.
  enum Malformed: Error, Equatable, CustomStringConvertible {
    case incomplete
    case compressed
    case trailingBytes

    var description: String {
      switch self {
      case .incomplete: "the message is cut off"
      case .compressed: "the message is compressed"
      case .trailingBytes: "there is more than one message"
      }
    }
  }

  /// The only message of a body.
  static func message(in body: UnsafeRawBufferPointer) throws(Malformed) -> UnsafeRawBufferPointer {
    guard body.count >= prefixBytes else { throw .incomplete }
    guard body[0] == 0 else { throw .compressed }
    let count = Int(UInt32(bigEndian: body.loadUnaligned(fromByteOffset: 1, as: UInt32.self)))
    guard body.count >= prefixBytes + count else { throw .incomplete }
    guard body.count == prefixBytes + count else { throw .trailingBytes }
    return UnsafeRawBufferPointer(rebasing: body[prefixBytes...])
  }

  /// The message of an answer that is right for gRPC: HTTP's status is 200 and, in the trailers, gRPC's is 0.
  static func message(of answer: ResponseView) throws(WrongAnswer) -> UnsafeRawBufferPointer {
    guard answer.status == 200 else { throw WrongAnswer("HTTP status \(answer.status)") }
    guard let status = answer.trailer("grpc-status") else {
      // An answer without a body has its status in the only headers that there are.
      throw WrongAnswer(describe(answer.header("grpc-status"), answer.header("grpc-message")))
    }
    guard status.count == 1, status[0] == 48 else {
      throw WrongAnswer(describe(status, answer.trailer("grpc-message")))
    }
    do throws(Malformed) { return try message(in: answer.body) } catch { throw WrongAnswer("\(error)") }
  }

  private static func describe(_ status: UnsafeRawBufferPointer?, _ message: UnsafeRawBufferPointer?) -> String {
    guard let status else { return "there is no grpc-status" }
    return "grpc-status \(String(decoding: status, as: UTF8.self))"
      + (message.map { ": " + String(decoding: $0, as: UTF8.self) } ?? "")
  }
}
