import Primitives

@testable import Server
@testable import Transport

extension FuzzTarget {
  /// The stream of frames from another node, and what is in them: hello, payloads, parts.
  ///
  ///     piece     1     received in pieces of so many bytes, compared with all at once
  ///     parts     …     each: 0 a sized payload whose frame is made right; otherwise so many bytes as they come
  static let peerFrames = FuzzTarget(
    "peer-frames", memory: MemoryBound(base: 256 << 10, perInputByte: 64), seeds: { peerFrameSeeds() }
  ) { input in
    var input = input
    let piece = Int(input.byte())
    var stream: [UInt8] = []
    while !input.isAtEnd {
      let count = input.byte()
      stream += count == 0 ? sealedFrame(input.sized()) : input.take(Int(count))
    }
    let whole = received(stream, pieceBytes: 0)
    require(whole == received(stream, pieceBytes: piece), "frames are the same however the stream is cut")
    readLink(whole.frames)
  }

  private struct Received: Equatable {
    var frames: [[UInt8]] = []
    var failure: PeerFrameError?
  }

  private static func received(_ stream: [UInt8], pieceBytes: Int) -> Received {
    let reader = PeerFrameReader()
    var received = Received()
    for piece in pieces(stream, of: pieceBytes) {
      piece.withUnsafeBytes { raw in
        guard received.failure == nil else { return }
        reader.receive(raw)
        do throws(PeerFrameError) {
          while let frame = try reader.next() { received.frames.append(Array(frame)) }
        } catch { received.failure = error }
      }
    }
    return received
  }

  /// Parts are put together as they were cut.
  private static func readLink(_ frames: [[UInt8]]) {
    var reader = LinkReader()
    var waiting: [UInt8] = []
    for frame in frames {
      frame.withUnsafeBytes { frame in
        guard let kind = LinkFrame.kind(of: frame) else { return }
        let body = LinkFrame.body(of: frame)
        if kind == .hello { _ = try? Hello(decoding: body) }
        do throws(DecodeError) {
          let payload = try reader.take(kind, body)
          if kind == .part || kind == .lastPart { waiting += body }
          guard kind == .lastPart || kind == .payload else {
            return require(payload == nil, "only an end ends a payload")
          }
          require(payload == (kind == .payload ? Array(body) : waiting), "a payload is what was sent")
          if kind == .lastPart { waiting = [] }
        } catch { require(kind == .payload && !waiting.isEmpty, "only a payload inside another one is refused") }
      }
    }
  }

  private static func peerFrameSeeds() -> [[UInt8]] {
    let hello = Hello(
      cluster: Array(1...16), node: NodeID(1), to: NodeID(2), incarnation: Incarnation(3), boot: 4, nonce: 5)
    let greeting = hello.encoded(to: NodeID(2))
    func part(_ payload: [UInt8]) -> [UInt8] { [0, UInt8(payload.count)] + payload }
    return [
      [0] + part(greeting) + part([2, 1, 2, 3]), [3] + part([3, 1]) + part([3, 2]) + part([4, 3]) + part([5]),
      [1] + part([3, 1]) + part([2, 2]), [5, 12, 4, 0, 0, 0, 1, 2, 3, 4, 9, 9, 9, 9],
      [2, 8, 255, 255, 255, 0, 0, 0, 0, 0],
    ]
  }
}
