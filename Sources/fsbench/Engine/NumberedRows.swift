import Primitives

/// Rows that are too many to be kept aside: key and value of row `number` are computed. Keys of 16 bytes rise with the number
/// and are spread over the whole space, values are as long as those of `Rows` and begin with the number.
struct NumberedRows {
  let count: Int
  private let step: UInt64

  init(count: Int) {
    self.count = count
    step = UInt64.max / UInt64(count)
  }

  /// Bytes of all keys and values.
  static func byteCount(rows: Int) -> Int { rows * (Rows.keyBytes + Rows.valueBytes) }

  func writeKey(_ number: Int, to key: UnsafeMutableRawBufferPointer) {
    key.storeBytes(of: (UInt64(number) &* step).bigEndian, as: UInt64.self)
    key.storeBytes(of: foldedMultiply(UInt64(number) &+ 1, 0x9e37_79b9_7f4a_7c15), toByteOffset: 8, as: UInt64.self)
  }

  /// Of a value whose other bytes stand there already.
  func writeValue(_ number: Int, to value: UnsafeMutableRawBufferPointer) {
    value.storeBytes(of: UInt64(number).littleEndian, as: UInt64.self)
  }

  func isValue(_ value: UnsafeRawBufferPointer, of number: Int) -> Bool {
    value.count == Rows.valueBytes && UInt64(littleEndian: value.loadUnaligned(as: UInt64.self)) == UInt64(number)
  }
}
