import Transport

/// What the router looks at: a request's parts as bytes, borrowed for the time of routing.
///
/// Made from a `RequestView`; tests make it from literals.
package struct RequestHead {
  package var method = HTTPMethod.get
  /// With the query, percent-encoded as sent.
  package var target = UnsafeRawBufferPointer(start: nil, count: 0)
  package var body = UnsafeRawBufferPointer(start: nil, count: 0)
  package var contentType: UnsafeRawBufferPointer?
  package var accept: UnsafeRawBufferPointer?
  package var ifMatch: UnsafeRawBufferPointer?
  package var ifNoneMatch: UnsafeRawBufferPointer?
  package var timeout: UnsafeRawBufferPointer?
  package var read: UnsafeRawBufferPointer?
  package var route: UnsafeRawBufferPointer?
  package var transaction: UnsafeRawBufferPointer?
  package var idempotencyKey: UnsafeRawBufferPointer?
  package var unknownHeader: UnsafeRawBufferPointer?
  /// A header with a meaning that came twice.
  package var repeated: KnownHeader?

  package init() {}

  init(_ view: RequestView) {
    method = view.method
    target = view.path
    body = view.body
    contentType = view.header(.contentType)
    accept = view.header(.accept)
    ifMatch = view.header(.ifMatch)
    ifNoneMatch = view.header(.ifNoneMatch)
    timeout = view.header(.fsTimeout)
    read = view.header(.fsRead)
    route = view.header(.fsRoute)
    transaction = view.header(.fsTransaction)
    idempotencyKey = view.header(.idempotencyKey)
    unknownHeader = view.unknownFSHeader
    repeated = view.repeatedHeader
  }
}

extension UnsafeRawBufferPointer {
  /// Byte for byte the same as `text`.
  func equals(_ text: StaticString) -> Bool {
    count == text.utf8CodeUnitCount && starts(with: text)
  }

  func starts(with text: StaticString) -> Bool {
    guard count >= text.utf8CodeUnitCount else { return false }
    for i in 0..<text.utf8CodeUnitCount where self[i] != text.utf8Start[i] { return false }
    return true
  }

  /// `text` in any case, anywhere in a header's value.
  func containsIgnoringCase(_ text: StaticString) -> Bool {
    let size = text.utf8CodeUnitCount
    guard count >= size else { return false }
    for start in 0...(count - size) {
      var i = 0
      while i < size, lowercased(self[start + i]) == text.utf8Start[i] { i += 1 }
      if i == size { return true }
    }
    return false
  }

  private func lowercased(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }

  /// For messages: what is not UTF-8 is shown by its replacement, what is long is cut.
  var text: String { String(decoding: prefix(128), as: UTF8.self) }

  /// Decimal digits only, at most 18 of them.
  var decimal: UInt64? {
    guard count > 0, count <= 18 else { return nil }
    var value: UInt64 = 0
    for byte in self {
      guard byte >= 0x30, byte <= 0x39 else { return nil }
      value = value * 10 + UInt64(byte - 0x30)
    }
    return value
  }
}
