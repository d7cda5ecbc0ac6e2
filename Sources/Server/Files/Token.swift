/// What a completion belongs to. The ring gives back the 64 bits that went with the operation: 8 of kind, 56 of index into
/// the table of that kind. A slot of a table is used again only after its operation has completed, so an index needs no
/// generation.
package enum TokenKind: UInt8 {
  case accept = 1
  case signal
  /// Index: slot of the connection.
  case receive, send
  /// Index: position of the link.
  case connect, linkReceive, linkSend
  /// Index: slot of the log's or page file's own table.
  case logWrite, logRead, segment
  case pageRead, pageWrite, superblockWrite, pageGrow, pageSync
  case pageScrub, logScrub
}

package struct Token {
  let rawValue: UInt64

  init(_ kind: TokenKind, _ index: Int = 0) { rawValue = UInt64(kind.rawValue) << 56 | UInt64(index) }

  package static func kind(of rawValue: UInt64) -> TokenKind? { TokenKind(rawValue: UInt8(rawValue >> 56)) }
  package static func index(of rawValue: UInt64) -> Int { Int(rawValue & 0x00FF_FFFF_FFFF_FFFF) }
}

/// A table whose indices name what is in flight; free ones are used again, last first.
struct SlotTable<Value> {
  private var slots: [Value?] = []
  private var free: [Int] = []
  private(set) var count = 0

  mutating func insert(_ value: Value) -> Int {
    count += 1
    if let index = free.popLast() {
      slots[index] = value
      return index
    }
    slots.append(value)
    return slots.count - 1
  }

  subscript(index: Int) -> Value? {
    get { index < slots.count ? slots[index] : nil }
    set { slots[index] = newValue }
  }

  @discardableResult
  mutating func remove(_ index: Int) -> Value? {
    guard index < slots.count, let value = slots[index] else { return nil }
    slots[index] = nil
    free.append(index)
    count -= 1
    return value
  }

  /// In the order of slots.
  func forEach(_ body: (Int, Value) -> Void) {
    for (index, slot) in slots.enumerated() {
      if let slot { body(index, slot) }
    }
  }
}
