import CNghttp2
import Glibc
import Primitives

/// A client's request and its answer.
struct ExchangeSlot: SlabSlot {
  struct Flags: OptionSet {
    let rawValue: UInt16
    static let streamed = Flags(rawValue: 1)
    /// The request's HEADERS have been handed out for sending.
    static let sent = Flags(rawValue: 2)
    /// The final head of the answer has come (not a 1xx).
    static let headed = Flags(rawValue: 4)
    static let ended = Flags(rawValue: 8)
    static let closed = Flags(rawValue: 16)
    static let released = Flags(rawValue: 32)
    static let tooLarge = Flags(rawValue: 64)
  }

  struct Field {
    var name = HeaderRange()
    var value = HeaderRange()
  }

  let index: UInt32
  var generation: UInt32 = 1
  var isFree = true
  var streamID: Int32 = 0
  var flags: Flags = []
  var status = 0
  var fields = InlineArray<32, Field>(repeating: Field())
  var fieldCount = 0
  /// Fields from here on are trailers.
  var trailersFrom = 32
  var headerBytes = 0
  var head = RawBlock()
  var body = RawBlock()
  var out = RawBlock()
  var outSent = 0

  init(index: UInt32) { self.index = index }

  mutating func begin(streamed: Bool) {
    isFree = false
    flags = streamed ? .streamed : []
    status = 0
    fieldCount = 0
    trailersFrom = 32
    headerBytes = 0
  }

  mutating func end() {
    isFree = true
    generation = generation == .max ? 1 : generation + 1
    streamID = 0
    head.clear(keeping: 2048)
    body.clear(keeping: 4096)
    out.clear(keeping: 4096)
    outSent = 0
  }

  mutating func release() {
    head.release()
    body.release()
    out.release()
  }

  mutating func keep(_ bytes: UnsafePointer<UInt8>, _ count: Int) -> HeaderRange {
    let range = HeaderRange(offset: UInt32(head.count), count: UInt32(count))
    head.append(bytes, count)
    return range
  }
}

/// An answer as it came. Valid until the session is next fed, or the handle is released.
package struct ResponseView {
  let slot: UnsafePointer<ExchangeSlot>

  package var status: Int { slot.pointee.status }
  /// Of a streamed answer: what was not consumed yet.
  package var body: UnsafeRawBufferPointer { slot.pointee.body.bytes }

  package func header(_ name: StaticString) -> UnsafeRawBufferPointer? {
    find(name, from: 0, to: min(slot.pointee.fieldCount, slot.pointee.trailersFrom))
  }

  package func trailer(_ name: StaticString) -> UnsafeRawBufferPointer? {
    find(name, from: slot.pointee.trailersFrom, to: slot.pointee.fieldCount)
  }

  private func find(_ name: StaticString, from first: Int, to end: Int) -> UnsafeRawBufferPointer? {
    var i = first
    while i < end {
      let field = slot.pointee.fields[i]
      let found = field.name.bytes(in: slot.pointee.head)
      if found.count == name.utf8CodeUnitCount, let base = found.baseAddress,
        memcmp(base, name.utf8Start, found.count) == 0
      {
        return field.value.bytes(in: slot.pointee.head)
      }
      i += 1
    }
    return nil
  }
}
