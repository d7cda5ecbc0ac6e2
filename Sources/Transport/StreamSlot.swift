import CNghttp2
import Primitives

/// A part of a slot's header bytes.
struct HeaderRange {
  var offset: UInt32 = 0
  var count: UInt32 = 0

  func bytes(in block: RawBlock) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: block.bytes[Int(offset)..<Int(offset + count)])
  }
}

/// All that is known of one request and its answer. Lives in a slab, is used again.
struct StreamSlot: SlabSlot {
  struct Flags: OptionSet {
    let rawValue: UInt16
    /// All of the request has come.
    static let complete = Flags(rawValue: 1)
    /// The caller has been told of it (request or refused).
    static let delivered = Flags(rawValue: 2)
    static let refused = Flags(rawValue: 4)
    static let answered = Flags(rawValue: 8)
    /// Nothing more will be added to the answer's body.
    static let finished = Flags(rawValue: 16)
    /// nghttp2 waits to be told of more body.
    static let deferred = Flags(rawValue: 32)
    /// The caller wrote more than the low mark and waits for `.drained`.
    static let filled = Flags(rawValue: 64)
    static let headersTooLarge = Flags(rawValue: 128)
    static let unknownFS = Flags(rawValue: 256)
  }

  let index: UInt32
  var generation: UInt32 = 1
  /// 0: the slot is free.
  var streamID: Int32 = 0
  var flags: Flags = []
  var method: HTTPMethod = .other
  var repeated: KnownHeader?
  /// A bit for each known header that came.
  var present: UInt32 = 0
  var path = HeaderRange()
  var authority = HeaderRange()
  var unknownFS = HeaderRange()
  var known = InlineArray<20, HeaderRange>(repeating: HeaderRange())
  /// Counted as HTTP/2 does: name, value and 32 for each field.
  var headerBytes = 0
  var contentLength: UInt64?
  /// Bytes of a refused body that were thrown away.
  var discarded = 0
  var startedAt: Instant = .zero
  var head = RawBlock()
  var body = RawBlock()
  var out = RawBlock()
  var outSent = 0
  var trailers: UnsafeMutablePointer<nghttp2_nv>?
  var trailerCount = 0

  init(index: UInt32) { self.index = index }

  var isFree: Bool { streamID == 0 }

  mutating func begin(_ id: Int32, at now: Instant) {
    streamID = id
    flags = []
    method = .other
    repeated = nil
    present = 0
    path = HeaderRange()
    authority = HeaderRange()
    headerBytes = 0
    contentLength = nil
    discarded = 0
    startedAt = now
  }

  /// Frees it for another stream; small blocks are kept.
  mutating func end() {
    streamID = 0
    generation = generation == .max ? 1 : generation + 1
    head.clear(keeping: 2048)
    body.clear(keeping: 4096)
    out.clear(keeping: 4096)
    outSent = 0
    dropTrailers()
  }

  mutating func dropTrailers() {
    trailers.map { freeBlock($0) }
    trailers = nil
    trailerCount = 0
  }

  mutating func release() {
    head.release()
    body.release()
    out.release()
    dropTrailers()
  }

  mutating func keep(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> HeaderRange {
    let range = HeaderRange(offset: UInt32(head.count), count: UInt32(count))
    head.append(bytes, count)
    return range
  }
}

/// A request as it came. Valid until the session is next fed, asked to produce, or the stream's answer is given.
package struct RequestView {
  let slot: UnsafePointer<StreamSlot>

  package var method: HTTPMethod { slot.pointee.method }
  /// With the query, as sent: percent-encoded.
  package var path: UnsafeRawBufferPointer { slot.pointee.path.bytes(in: slot.pointee.head) }
  package var authority: UnsafeRawBufferPointer { slot.pointee.authority.bytes(in: slot.pointee.head) }
  package var body: UnsafeRawBufferPointer { slot.pointee.body.bytes }
  package var startedAt: Instant { slot.pointee.startedAt }

  /// The value; nil when it did not come. Of a repeated header the first.
  package func header(_ name: KnownHeader) -> UnsafeRawBufferPointer? {
    guard slot.pointee.present & (1 << UInt32(name.rawValue)) != 0 else { return nil }
    return slot.pointee.known[name.rawValue].bytes(in: slot.pointee.head)
  }

  /// The name of the first header with the prefix `fs-` that this version does not know: such a request is refused.
  package var unknownFSHeader: UnsafeRawBufferPointer? {
    slot.pointee.flags.contains(.unknownFS) ? slot.pointee.unknownFS.bytes(in: slot.pointee.head) : nil
  }

  /// A known header that came twice.
  package var repeatedHeader: KnownHeader? { slot.pointee.repeated }
}
