import Primitives

@testable import Node

extension PayloadEnvelope {
  /// As it stands before the messages of a payload.
  func encoded() -> [UInt8] {
    var writer = ByteWriter()
    Self.reserve(in: &writer)
    patch(into: &writer)
    return writer.bytes
  }
}
