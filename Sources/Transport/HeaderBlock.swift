import CNghttp2
import Glibc

/// The header fields of an answer, a request or trailers, while they are put together. Made once and used again: nothing is
/// allocated for each.
///
///     head.answer(200)
///     head.add("content-type", "application/json")     // both static: never copied
///     head.add("etag", etagBytes)                       // copied
///     session.respond(handle, head, body: bytes)
///
/// Names are lower case and static. Values are bytes without line breaks or NUL.
package final class HeaderBlock {
  private static let fieldsMax = 40
  let fields: UnsafeMutablePointer<nghttp2_nv>
  /// For each field the place of its value in `values`, or -1 for a static one.
  private let offsets: UnsafeMutablePointer<Int>
  @exclusivity(unchecked) private(set) var count = 0
  @exclusivity(unchecked) private var values = RawBlock()
  @exclusivity(unchecked) private var status = 0

  package init() {
    fields = .allocate(capacity: HeaderBlock.fieldsMax)
    fields.initialize(repeating: nghttp2_nv(), count: HeaderBlock.fieldsMax)
    offsets = .allocate(capacity: HeaderBlock.fieldsMax)
    offsets.initialize(repeating: -1, count: HeaderBlock.fieldsMax)
  }

  deinit {
    fields.deallocate()
    offsets.deallocate()
    values.release()
  }

  /// Begins an answer. `status` is between 100 and 599.
  package func answer(_ status: Int) {
    precondition(status >= 100 && status < 600, "a status of HTTP")
    clear()
    self.status = status
    put(":status", statusDigits + (status - 100) * 3, 3)
  }

  /// Begins a request. `path` with its query, percent-encoded.
  package func request(
    _ method: HTTPMethod, scheme: StaticString = "https", authority: String, path: UnsafeRawBufferPointer
  ) {
    clear()
    add(":method", method.name)
    add(":scheme", scheme)
    add(":authority", authority)
    add(":path", path)
  }

  package func request(_ method: HTTPMethod, scheme: StaticString = "https", authority: String, path: String) {
    var path = path
    path.withUTF8 { request(method, scheme: scheme, authority: authority, path: UnsafeRawBufferPointer($0)) }
  }

  /// Begins trailers.
  package func clear() {
    count = 0
    status = 0
    values.clear(keeping: 16 << 10)
  }

  /// 204 and 304 have no body, and no `content-length`.
  var allowsBody: Bool { status >= 200 && status != 204 && status != 304 }

  package func add(_ name: StaticString, _ value: StaticString) {
    put(name, value.utf8Start, value.utf8CodeUnitCount)
  }

  package func add(_ name: StaticString, _ value: UnsafeRawBufferPointer) {
    let offset = values.count
    if let base = value.baseAddress { values.append(base, value.count) }
    put(name, nil, value.count, offset)
  }

  package func add(_ name: StaticString, _ value: String) {
    var value = value
    value.withUTF8 { add(name, UnsafeRawBufferPointer($0)) }
  }

  /// In decimal.
  package func add(_ name: StaticString, _ value: UInt64) {
    let offset = values.count
    let place = values.reserve(20).assumingMemoryBound(to: UInt8.self)
    var rest = value
    var digits = 0
    repeat {
      place[19 - digits] = UInt8(48 + rest % 10)
      rest /= 10
      digits += 1
    } while rest > 0
    memmove(place, place + (20 - digits), digits)
    values.count += digits
    put(name, nil, digits, offset)
  }

  /// Fields beyond 40 are a bug of the caller.
  private func put(_ name: StaticString, _ value: UnsafePointer<UInt8>?, _ size: Int, _ offset: Int = -1) {
    precondition(count < HeaderBlock.fieldsMax, "a block holds at most 40 fields")
    var flags = UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue)
    if offset < 0 { flags |= UInt8(NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue) }
    fields[count] = nghttp2_nv(
      name: UnsafeMutablePointer(mutating: name.utf8Start), value: UnsafeMutablePointer(mutating: value),
      namelen: name.utf8CodeUnitCount, valuelen: size, flags: flags)
    offsets[count] = offset
    count += 1
  }

  /// The fields with the pointers of this moment: `values` may have moved while it grew.
  func resolved() -> UnsafeMutablePointer<nghttp2_nv> {
    let base = values.base?.assumingMemoryBound(to: UInt8.self)
    for i in 0..<count where offsets[i] >= 0 { fields[i].value = base.map { $0 + offsets[i] } }
    return fields
  }

  /// A copy in one block that lives on until `free`: trailers wait for the end of their body.
  func detached() -> UnsafeMutablePointer<nghttp2_nv>? {
    let head = MemoryLayout<nghttp2_nv>.stride * count
    guard let block = malloc(max(head + values.count, 1)) else { return nil }
    let copy = block.bindMemory(to: nghttp2_nv.self, capacity: count)
    let area = (block + head).assumingMemoryBound(to: UInt8.self)
    if let base = values.base { memcpy(area, base, values.count) }
    for i in 0..<count {
      copy[i] = fields[i]
      if offsets[i] >= 0 { copy[i].value = area + offsets[i] }
    }
    return copy
  }
}

/// "100101102…599", so that a status needs no formatting.
nonisolated(unsafe) private let statusDigits: UnsafePointer<UInt8> = {
  let digits = UnsafeMutablePointer<UInt8>.allocate(capacity: 1500)
  for status in 100..<600 {
    let at = (status - 100) * 3
    digits[at] = UInt8(48 + status / 100)
    digits[at + 1] = UInt8(48 + status / 10 % 10)
    digits[at + 2] = UInt8(48 + status % 10)
  }
  return UnsafePointer(digits)
}()
