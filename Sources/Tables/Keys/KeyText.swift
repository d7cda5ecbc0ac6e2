// Keys in paths: the written forms of the components, percent-encoded and joined by commas. `+` stands for itself.
//
//     rows/bash            rows/g++            rows/12,2025-01-31T00:00:00Z            rows/a%2Cb  (one value with a comma)

extension Table {
  /// Appends the key that a path segment, still percent-encoded, stands for.
  package func appendKey(path: UnsafeRawBufferPointer, to out: inout [UInt8]) throws(Refusal) {
    let start = out.count
    let count = try appendComponents(path: path, openEnd: false, to: &out)
    guard count == keyColumns.count else {
      throw invalidKey(
        "The key of table \(name) has \(keyColumns.count) value\(keyColumns.count == 1 ? "" : "s") (\(keyList)), the "
          + "path has \(count). Join the values by commas; write a comma inside a value as %2C.")
    }
    try checkKeyLength(out.count - start)
  }

  /// Appends the encoding of the leading components that are given. With `openEnd` the last one, if it is text or bytes,
  /// is a beginning only. For the bounds of scans. Returns how many there are.
  @discardableResult
  package func appendComponents(
    path: UnsafeRawBufferPointer, openEnd: Bool, to out: inout [UInt8]
  ) throws(Refusal) -> Int {
    let keyStart = out.count
    var position = 0
    var start = 0
    while start <= path.count {
      var end = start
      while end < path.count, path[end] != UInt8(ascii: ",") { end += 1 }
      guard position < keyColumns.count else {
        throw invalidKey(
          "The key of table \(name) has \(keyColumns.count) value\(keyColumns.count == 1 ? "" : "s") (\(keyList)), more "
            + "were given. Write a comma inside a value as %2C.")
      }
      try appendComponent(position, path.part(start, end - start), isOpen: openEnd && end == path.count, to: &out)
      try checkKeyLength(out.count - keyStart)
      position += 1
      start = end + 1
    }
    return position
  }

  private func appendComponent(
    _ position: Int, _ text: UnsafeRawBufferPointer, isOpen: Bool, to out: inout [UInt8]
  ) throws(Refusal) {
    let index = keyColumns[position]
    let type = plans[index].type
    var cell: [UInt8] = []
    do throws(Mismatch) {
      if text.contains(UInt8(ascii: "%")) {
        try percentDecoded(text).withBytes { (raw) throws(Mismatch) in
          try appendCell(type, written: raw, base64: .url, to: &cell)
        }
      } else {
        try appendCell(type, written: text, base64: .url, to: &cell)
      }
    } catch {
      throw invalidKey("The value of key column \(columnName(index)) \(error.text).", column: columnName(index))
    }
    cell.withBytes { raw in
      if isOpen, type.fixedWidth == nil {
        appendEscaped(raw, to: &out)
      } else {
        appendKeyComponent(type, cell: raw, to: &out)
      }
    }
  }

  func checkKeyLength(_ count: Int) throws(Refusal) {
    guard count <= TableLimits.keyBytesMax else {
      throw Refusal(
        .tooLarge, "The key is \(count) bytes long when encoded, the limit is \(TableLimits.keyBytesMax): shorten it.",
        table: name, limit: TableLimits.keyBytesMax)
    }
  }

  func invalidKey(_ detail: String, column: String? = nil) -> Refusal {
    Refusal(.invalidKey, detail, table: name, column: column)
  }

  /// The names of the key columns, for people.
  var keyList: String { keyColumns.map { columnName($0) }.joined(separator: ", ") }

  /// Appends the key as a path segment: the last part of `location`.
  package func appendPath(key: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    forEachComponent(key) { position, index, component in
      if position > 0 { out.append(UInt8(ascii: ",")) }
      var cell: [UInt8] = []
      var text: [UInt8] = []
      guard appendCell(plans[index].type, keyComponent: component, to: &cell) else {
        preconditionFailure("a key was validated")
      }
      cell.withBytes { appendWritten(plans[index].type, cell: $0, base64: .url, to: &text) }
      for byte in text { appendPercentEncoded(byte, to: &out) }
    }
  }
}

/// Whether a byte stands for itself in a path segment, and does not separate components.
private func isPlain(_ byte: UInt8) -> Bool {
  switch byte {
  case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
  case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"), UInt8(ascii: "+"),
    UInt8(ascii: ":"):
    true
  default: false
  }
}

private func appendPercentEncoded(_ byte: UInt8, to out: inout [UInt8]) {
  if isPlain(byte) { return out.append(byte) }
  out.append(UInt8(ascii: "%"))
  out.append(hexDigit(byte >> 4) & ~(byte >> 4 > 9 ? 0x20 : 0))
  out.append(hexDigit(byte) & ~(byte & 15 > 9 ? 0x20 : 0))
}

func percentDecoded(_ text: UnsafeRawBufferPointer) throws(Mismatch) -> [UInt8] {
  var out: [UInt8] = []
  out.reserveCapacity(text.count)
  var offset = 0
  while offset < text.count {
    if text[offset] != UInt8(ascii: "%") {
      out.append(text[offset])
      offset += 1
    } else {
      guard offset + 2 < text.count, let high = hexValue(text[offset + 1]), let low = hexValue(text[offset + 2]) else {
        throw .percentEncoding
      }
      out.append(high << 4 | low)
      offset += 3
    }
  }
  return out
}
