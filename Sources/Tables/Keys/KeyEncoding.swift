// Keys whose bytes, compared by memcmp, sort as their values do.
//
// A key is its components one behind the other. Each ends by itself, so a composite key sorts by its first component,
// then by its second, and a prefix of components is a prefix of bytes.
//
//     bool, uuid         1, 16 bytes as they are
//     int64, timestamp   8 bytes, big-endian, sign bit flipped
//     text, bytes        each 00 becomes 00 FF; then 00 01.   "a\0b" → 61 00 FF 62 00 01
//     decimal            01 negative, 02 zero, 03 positive. Not zero: E + 64, where the number is 0.d1d2d3… × 10^E,
//                        then two digits a byte as 2 × pair + 1, the last one as 2 × pair; all of it
//                        complemented when negative.           12.5 → 03 42 19 64

private let terminator: UInt8 = 0x01
private let escapedZero: UInt8 = 0xFF
private let decimalNegative: UInt8 = 1
private let decimalZero: UInt8 = 2
private let decimalPositive: UInt8 = 3
private let decimalExponentBias = 64

/// Appends the component for a cell.
func appendKeyComponent(_ type: ColumnType, cell: UnsafeRawBufferPointer, to out: inout [UInt8]) {
  switch type {
  case .bool, .uuid: out.append(contentsOf: cell)
  case .int64, .timestamp: out.appendBigEndian(cell.littleEndian(0, as: UInt64.self) ^ (1 << 63))
  case .text, .bytes:
    appendEscaped(cell, to: &out)
    out.append(0)
    out.append(terminator)
  case .decimal: appendDecimalComponent(cell, to: &out)
  case .float64, .json: preconditionFailure("float64 and json are no key columns")
  }
}

/// Text or bytes without their end: what all keys begin with whose component begins with `cell`.
func appendEscaped(_ cell: UnsafeRawBufferPointer, to out: inout [UInt8]) {
  var run = 0
  for i in 0..<cell.count where cell[i] == 0 {
    out.append(contentsOf: cell.part(run, i + 1 - run))
    out.append(escapedZero)
    run = i + 1
  }
  out.append(contentsOf: cell.rest(run))
}

private func appendDecimalComponent(_ cell: UnsafeRawBufferPointer, to out: inout [UInt8]) {
  guard let value = Decimal(cell: cell) else { preconditionFailure("a decimal cell is valid") }
  guard value.coefficient != 0 else { return out.append(decimalZero) }
  let negative = value.coefficient < 0
  let mask: UInt8 = negative ? 0xFF : 0
  var buffer = InlineArray<40, UInt8>(repeating: 0)
  let all = value.digits(&buffer)
  var last = 40
  while buffer[last - 1] == 0 { last -= 1 }
  out.append(negative ? decimalNegative : decimalPositive)
  out.append(UInt8(all - Int(value.scale) + decimalExponentBias) ^ mask)
  var position = 40 - all
  while position < last {
    let second = position + 1 < last ? buffer[position + 1] : 0
    let pair = (buffer[position] * 10 + second) * 2
    position += 2
    out.append((position < last ? pair + 1 : pair) ^ mask)
  }
}

/// Where the component that starts at `start` ends; nil when the bytes are none.
func keyComponentEnd(_ type: ColumnType, _ key: UnsafeRawBufferPointer, from start: Int) -> Int? {
  switch type {
  case .bool: return start < key.count && key[start] <= 1 ? start + 1 : nil
  case .uuid: return start + 16 <= key.count ? start + 16 : nil
  case .int64, .timestamp: return start + 8 <= key.count ? start + 8 : nil
  case .text, .bytes:
    var offset = start
    while offset + 1 < key.count {
      if offset + 8 <= key.count, !key.hasZero(offset) {
        offset += 8
      } else if key[offset] != 0 {
        offset += 1
      } else if key[offset + 1] == terminator {
        return offset + 2
      } else if key[offset + 1] == escapedZero {
        offset += 2
      } else {
        return nil
      }
    }
    return nil
  case .decimal: return decimalComponentEnd(key, from: start)
  case .float64, .json: return nil
  }
}

private func decimalComponentEnd(_ key: UnsafeRawBufferPointer, from start: Int) -> Int? {
  guard start < key.count else { return nil }
  if key[start] == decimalZero { return start + 1 }
  guard key[start] == decimalNegative || key[start] == decimalPositive else { return nil }
  let mask: UInt8 = key[start] == decimalNegative ? 0xFF : 0
  var offset = start + 2
  while offset < key.count {
    offset += 1
    if (key[offset - 1] ^ mask) & 1 == 0 { return offset }
  }
  return nil
}

/// Appends the cell of a whole component. False when it is none, or has another spelling than ours.
func appendCell(_ type: ColumnType, keyComponent: UnsafeRawBufferPointer, to out: inout [UInt8]) -> Bool {
  let start = out.count
  switch type {
  case .bool, .uuid: out.append(contentsOf: keyComponent)
  case .int64, .timestamp: out.appendLittleEndian(keyComponent.bigEndian(0, as: UInt64.self) ^ (1 << 63))
  case .text, .bytes: appendUnescaped(keyComponent.part(0, keyComponent.count - 2), to: &out)
  case .decimal: guard appendDecimalCell(keyComponent, to: &out) else { return false }
  case .float64, .json: return false
  }
  return out.withBytes { isValidCell(type, $0.rest(start)) }
}

func appendUnescaped(_ escaped: UnsafeRawBufferPointer, to out: inout [UInt8]) {
  var run = 0
  var offset = 0
  while offset < escaped.count {
    if escaped[offset] == 0 {
      out.append(contentsOf: escaped.part(run, offset + 1 - run))
      offset += 2
      run = offset
    } else {
      offset += 1
    }
  }
  out.append(contentsOf: escaped.rest(min(run, escaped.count)))
}

private func appendDecimalCell(_ component: UnsafeRawBufferPointer, to out: inout [UInt8]) -> Bool {
  if component[0] == decimalZero {
    appendDecimal(magnitude: 0, negative: false, exponent: 0, digits: 0, to: &out)
    return true
  }
  let negative = component[0] == decimalNegative
  let mask: UInt8 = negative ? 0xFF : 0
  guard component.count >= 3, component.count <= 2 + 19 else { return false }
  var magnitude: UInt128 = 0
  for i in 2..<component.count {
    let pair = (component[i] ^ mask) / 2
    guard pair < 100 else { return false }
    magnitude = magnitude * 100 + UInt128(pair)
  }
  var digits = (component.count - 2) * 2
  if magnitude % 10 == 0 {
    magnitude /= 10
    digits -= 1
  }
  let first = (component[2] ^ mask) / 2
  guard magnitude % 10 != 0, first >= 10 else { return false }
  let exponent = Int(component[1] ^ mask) - decimalExponentBias - digits
  return appendDecimal(magnitude: magnitude, negative: negative, exponent: exponent, digits: digits, to: &out)
}

@discardableResult
private func appendDecimal(
  magnitude: UInt128, negative: Bool, exponent: Int, digits: Int, to out: inout [UInt8]
) -> Bool {
  do throws(Mismatch) {
    try Decimal.make(magnitude: magnitude, negative: negative, exponent: exponent, digits: digits).appendCell(to: &out)
    return true
  } catch { return false }
}

/// Appends the component as JSON, straight from the key where that is possible.
func appendJSON(_ type: ColumnType, keyComponent: UnsafeRawBufferPointer, to out: inout [UInt8]) {
  switch type {
  case .int64:
    appendInt64(Int64(bitPattern: keyComponent.bigEndian(0, as: UInt64.self) ^ (1 << 63)), to: &out)
  case .text where !keyComponent.part(0, keyComponent.count - 2).contains(0):
    appendJSONString(keyComponent.part(0, keyComponent.count - 2), to: &out)
  default:
    var cell: [UInt8] = []
    guard appendCell(type, keyComponent: keyComponent, to: &cell) else {
      preconditionFailure("a stored key was validated")
    }
    cell.withBytes { appendJSON(type, cell: $0, to: &out) }
  }
}

/// The least byte string above all that begin with `prefix`; empty when there is none, which means "no end".
package func prefixEnd(_ prefix: [UInt8]) -> [UInt8] {
  var end = prefix
  while let last = end.popLast() {
    if last < 0xFF { return end + [last + 1] }
  }
  return []
}
