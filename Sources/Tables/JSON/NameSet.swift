import Primitives

/// Finds names that occur twice in one object, also when they are escaped differently. One is used for all objects of a
/// text: the names of an object form a run at the end, from `begin` to `end`.
struct NameSet {
  private struct Name {
    var hash: UInt64
    var start: Int
    var count: Int
  }

  private var names: [Name] = []
  /// The unescaped names, one behind the other.
  private var text: [UInt8] = []

  /// To be handed to `end`.
  func begin() -> (names: Int, text: Int) { (names.count, text.count) }

  mutating func add(_ name: JSONString, of scanner: JSONScanner) {
    let start = text.count
    if name.hasEscapes {
      scanner.unescape(name, to: &text)
    } else {
      text.append(contentsOf: scanner.slice(name))
    }
    let hash = text.withUnsafeBytes { stableHash(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    names.append(Name(hash: hash, start: start, count: text.count - start))
  }

  /// Forgets the names since `mark`; false when two of them were equal.
  mutating func end(_ mark: (names: Int, text: Int)) -> Bool {
    let distinct = names.count - mark.names < 2 || areDistinct(from: mark.names)
    names.removeLast(names.count - mark.names)
    text.removeLast(text.count - mark.text)
    return distinct
  }

  private mutating func areDistinct(from start: Int) -> Bool {
    let order: (Name, Name) -> Bool = { [text] a, b in
      a.hash != b.hash ? a.hash < b.hash : NameSet.precedes(text, a, b)
    }
    names[start...].sort(by: order)
    for i in start + 1..<names.count where !order(names[i - 1], names[i]) { return false }
    return true
  }

  private static func precedes(_ text: [UInt8], _ a: Name, _ b: Name) -> Bool {
    text[a.start..<a.start + a.count].lexicographicallyPrecedes(text[b.start..<b.start + b.count])
  }
}
