import Primitives

/// The keys of a run: the numbers below a count, each in 16 bytes whose order is that of the numbers.
enum Key {
  static let prefix = "key-"
  private static let digits = 12
  static let byteCount = 16
  /// No key of a run is so large: templates are made with it.
  static let mark: UInt64 = 999_999_999_999
  /// One key more would need more digits, or be the mark.
  static let countMax = Int(mark)

  /// Of a key and its value.
  static let rowByteCount = byteCount + value(text(0)).utf8.count

  static func text(_ number: UInt64) -> String {
    let digits = String(number)
    return prefix + String(repeating: "0", count: max(0, Key.digits - digits.count)) + digits
  }

  /// A key's value: 100 bytes that begin with the key, so that a value at a wrong key shows.
  static func value(_ key: String) -> String { key + String(repeating: "v", count: 84) }

  /// Writes the digits where a key stands already.
  static func write(_ number: UInt64, at key: UnsafeMutableRawPointer) {
    var rest = number
    var place = byteCount - 1
    while place >= byteCount - digits {
      key.storeBytes(of: UInt8(truncatingIfNeeded: 48 + rest % 10), toByteOffset: place, as: UInt8.self)
      rest /= 10
      place -= 1
    }
  }
}

/// Bytes in which a key stands, once or more: made once; for each request only the key's digits are written.
///
///     let row = KeyTemplate { key in #"{"key":"\#(key)","value":"\#(Key.value(key))"}"# }
///     row.bytes(for: 17)
final class KeyTemplate {
  private let content: UnsafeMutableRawBufferPointer
  private let places: [Int]

  init(bytes make: (_ key: String) -> [UInt8]) {
    let mark = Key.text(Key.mark)
    let made = make(mark)
    content = .allocate(byteCount: made.count, alignment: 16)
    content.copyBytes(from: made)
    places = made.indices.filter { made[$0...].starts(with: mark.utf8) }
    precondition(!places.isEmpty, "a template has a key in it")
  }

  convenience init(_ make: (_ key: String) -> String) { self.init(bytes: { Array(make($0).utf8) }) }

  deinit { content.deallocate() }

  /// Valid until the next call.
  func bytes(for key: UInt64) -> UnsafeRawBufferPointer {
    guard let base = content.baseAddress else { return UnsafeRawBufferPointer(content) }
    for place in places { Key.write(key, at: base + place) }
    return UnsafeRawBufferPointer(content)
  }
}

/// Which items a load asks for, in their order.
enum Items {
  /// Uniform below `count`, from a seed.
  case random(SeededRandom, count: UInt64)
  /// From here on, one after the other.
  case sequence(UInt64)

  mutating func next() -> UInt64 {
    switch self {
    case .random(var generator, let count):
      let item = generator.below(count)
      self = .random(generator, count: count)
      return item
    case .sequence(let item):
      self = .sequence(item + 1)
      return item
    }
  }
}

/// Keys in groups of one size, the last one perhaps smaller: what a request that fills a table carries.
struct KeyGroups {
  var keys: UInt64
  var size: UInt64

  var count: Int { Int((keys + size - 1) / size) }
  func range(_ group: UInt64) -> Range<UInt64> { group * size..<min(keys, (group + 1) * size) }
}
