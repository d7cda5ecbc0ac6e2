import Primitives

/// The rows of a run: random keys of 16 bytes, one value of 100 bytes, and an order to read in. The same for all engines.
final class Rows {
  static let keyBytes = 16
  static let valueBytes = 100
  /// So many rows become durable together where there is a log.
  static let groupCount = 256

  let count: Int
  private let keys: UnsafeMutableRawBufferPointer
  private let readOrder: UnsafeMutableBufferPointer<UInt32>
  let value: UnsafeMutableRawBufferPointer

  /// `isText`: keys and value are letters and digits, for who takes no other bytes; 64 bits of a key are random then.
  init(count: Int, seed: UInt64, isText: Bool = false) {
    self.count = count
    keys = .allocate(byteCount: count * Rows.keyBytes, alignment: 16)
    readOrder = .allocate(capacity: count)
    value = .allocate(byteCount: Rows.valueBytes, alignment: 16)
    var random = SeededRandom(seed: seed)
    for word in 0..<count * 2 { keys.storeBytes(of: random.next(), toByteOffset: word * 8, as: UInt64.self) }
    for byte in 0..<Rows.valueBytes { value[byte] = UInt8(truncatingIfNeeded: byte) }
    if isText { makeText() }
    for i in 0..<count { readOrder[i] = UInt32(i) }
    for i in stride(from: count - 1, to: 0, by: -1) { readOrder.swapAt(i, Int(random.below(UInt64(i + 1)))) }
  }

  private func makeText() {
    let digits = Array("0123456789abcdef".utf8)
    for bytes in [keys, value] {
      for i in bytes.indices { bytes[i] = digits[Int(bytes[i] & 15)] }
    }
  }

  deinit {
    keys.deallocate()
    readOrder.deallocate()
    value.deallocate()
  }

  /// The key of the row that is inserted as number `index`.
  @inline(__always) func key(_ index: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: keys[index * Rows.keyBytes..<(index + 1) * Rows.keyBytes])
  }

  /// All rows in the order of their insertion, cut into groups.
  var groups: [Range<Int>] {
    stride(from: 0, to: count, by: Rows.groupCount).map { $0..<min(count, $0 + Rows.groupCount) }
  }

  /// The key that is read as number `index`: all rows once, in another random order.
  @inline(__always) func readKey(_ index: Int) -> UnsafeRawBufferPointer { key(Int(readOrder[index])) }
}

/// An ordered map under test. Each call works on all rows, so that nothing but the engine is in the loop.
protocol RowEngine: AnyObject {
  /// Whether each group of rows is durable before the next is inserted.
  var isLogged: Bool { get }
  func insert(_ rows: Rows) throws(BenchError)
  /// After inserting and before reading: whatever brings all rows to where they are read from. Not measured.
  func settle(_ rows: Rows) throws(BenchError)
  /// Reads each row; returns a sum over bytes of what was read, to be compared.
  func read(_ rows: Rows) throws(BenchError) -> UInt64
  /// Reads all rows in key order; returns their count and such a sum.
  func scan() throws(BenchError) -> (rows: Int, sum: UInt64)
}

extension RowEngine {
  var isLogged: Bool { false }
  func settle(_ rows: Rows) throws(BenchError) {}
}

/// What a read touches: the first and the last word, so that the bytes are really there.
@inline(__always) func touch(_ bytes: UnsafeRawPointer, _ count: Int) -> UInt64 {
  bytes.loadUnaligned(as: UInt64.self) &+ (bytes + (count - 8)).loadUnaligned(as: UInt64.self)
}
