import Primitives

/// What nodes say on a link below the node's own payloads. Each frame of Transport begins with a kind:
///
///     1  hello      who speaks; the first frame in both directions
///     2  payload    one payload of the node, whole
///     3  part       a piece of a payload that more pieces follow (a payload may be larger than a frame)
///     4  last part  the end of one
///     5  ping       the dialling side asks whether the other one is there
///     6  pong       it is
///
/// Pings make a silent link different from a dead one. Payloads go from the side that dialled to the one that accepted only.
enum LinkFrame {
  enum Kind: UInt8 { case hello = 1, payload, part, lastPart, ping, pong }

  /// Payload bytes of one frame.
  static let partBytes = 1 << 20
  /// The largest payload that is put together again.
  static let payloadBytesMax = 20 << 20

  static func kind(of frame: UnsafeRawBufferPointer) -> Kind? { frame.first.flatMap(Kind.init) }

  static func body(of frame: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: frame.dropFirst())
  }
}

/// Who opens or accepts a link, and whom it takes the other side for.
///
///     offset  size  field (behind the kind)
///          0     2  version of the peer protocol, 1
///          2    16  cluster id
///         18     4  the speaker's node
///         22     4  the node it means to speak to
///         26     8  incarnation of the speaker's data directory
///         34     8  boot number of the speaker's start
///         42     8  nonce of that start
package struct Hello: Equatable {
  static let version: UInt16 = 1

  var cluster: [UInt8]
  var node: NodeID
  var to: NodeID
  var incarnation: Incarnation
  var boot: UInt64
  var nonce: UInt64

  func encoded(to node: NodeID) -> [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.write(LinkFrame.Kind.hello.rawValue)
    writer.write(Self.version)
    writer.writeBytes(cluster)
    writer.write(self.node.rawValue)
    writer.write(node.rawValue)
    writer.write(incarnation.rawValue)
    writer.write(boot)
    writer.write(nonce)
    return writer.bytes
  }

  /// Later versions may append; what this one knows stands first.
  init(decoding body: UnsafeRawBufferPointer) throws(DecodeError) {
    var reader = ByteReader(body)
    let version: UInt16 = try reader.read()
    guard version == Self.version else { throw .invalid("peer protocol version \(version), this is \(Self.version)") }
    cluster = Array(try reader.readBytes(16))
    node = NodeID(try reader.read())
    to = NodeID(try reader.read())
    incarnation = Incarnation(try reader.read())
    boot = try reader.read()
    nonce = try reader.read()
  }

  package init(cluster: [UInt8], node: NodeID, to: NodeID, incarnation: Incarnation, boot: UInt64, nonce: UInt64) {
    self.cluster = cluster
    self.node = node
    self.to = to
    self.incarnation = incarnation
    self.boot = boot
    self.nonce = nonce
  }
}

/// Puts the payloads of one link's frames together.
struct LinkReader {
  private var parts: [UInt8] = []

  /// The payload that the frame completes, if it does.
  mutating func take(_ kind: LinkFrame.Kind, _ body: UnsafeRawBufferPointer) throws(DecodeError) -> [UInt8]? {
    switch kind {
    case .payload:
      guard parts.isEmpty else { throw .invalid("a payload inside another one") }
      return Array(body)
    case .part, .lastPart:
      guard parts.count + body.count <= LinkFrame.payloadBytesMax else { throw .invalid("a payload over its limit") }
      parts.append(contentsOf: body)
      guard kind == .lastPart else { return nil }
      defer { parts = [] }
      return parts
    case .hello, .ping, .pong: return nil
    }
  }
}
