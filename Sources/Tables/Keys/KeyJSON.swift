// Keys in JSON: the value itself, or an array of the values of a composite key. And walking over a key's components.

extension Table {
  /// Calls `body` with each component of a valid key: its position in the key, its column's index, its bytes.
  func forEachComponent(_ key: UnsafeRawBufferPointer, _ body: (Int, Int, UnsafeRawBufferPointer) -> Void) {
    var start = 0
    for (position, index) in keyColumns.enumerated() {
      guard let end = keyComponentEnd(plans[index].type, key, from: start) else {
        preconditionFailure("a key was validated")
      }
      body(position, index, key.part(start, end - start))
      start = end
    }
  }

  /// One component of a valid key.
  func component(_ wanted: Int, of key: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var start = 0
    for position in 0...wanted {
      guard let end = keyComponentEnd(plans[keyColumns[position]].type, key, from: start) else {
        preconditionFailure("a key was validated")
      }
      if position == wanted { return key.part(start, end - start) }
      start = end
    }
    preconditionFailure("a key has all its components")
  }

  /// Whether the bytes are a key of this table, in our spelling.
  func isValidKey(_ key: UnsafeRawBufferPointer) -> Bool {
    guard key.count <= TableLimits.keyBytesMax else { return false }
    var start = 0
    for index in keyColumns {
      let type = plans[index].type
      guard let end = keyComponentEnd(type, key, from: start) else { return false }
      guard isValidComponent(type, key.part(start, end - start)) else { return false }
      start = end
    }
    return start == key.count
  }

  private func isValidComponent(_ type: ColumnType, _ component: UnsafeRawBufferPointer) -> Bool {
    switch type {
    case .bool, .int64, .uuid, .bytes: return true
    case .text where !component.part(0, component.count - 2).hasZero:
      return isUTF8(component.part(0, component.count - 2))
    default:
      var cell: [UInt8] = []
      return appendCell(type, keyComponent: component, to: &cell)
    }
  }

  /// Appends the key that the next JSON value stands for. `what` completes "… is not valid JSON".
  func appendKey(_ scanner: inout JSONScanner, to out: inout [UInt8]) throws(Refusal) {
    let start = out.count
    do throws(CellFault) {
      if keyColumns.count == 1 {
        try appendComponent(0, &scanner, to: &out)
      } else {
        try appendComposite(&scanner, to: &out)
      }
    } catch {
      switch error {
      case .json(let fault) where fault.kind == .notArray:
        throw invalidKey("A key of table \(name) is an array of \(keyColumns.count) values: \(keyList).")
      case .json(let fault): throw fault.refusal.of(table: name)
      case .mismatch(let mismatch):
        let types = keyColumns.map { "\(columnName($0)) of type \(plans[$0].type.name)" }.joined(separator: ", ")
        throw invalidKey("A value of the key \(mismatch.text). The key is \(types).")
      }
    }
    try checkKeyLength(out.count - start)
  }

  /// The whole of `json` as a key.
  package func appendKey(json: UnsafeRawBufferPointer, to out: inout [UInt8]) throws(Refusal) {
    var scanner = JSONScanner(json)
    try appendKey(&scanner, to: &out)
    do throws(JSONFault) { try scanner.expectEnd() } catch { throw error.refusal.of(table: name) }
  }

  private func appendComponent(
    _ position: Int, _ scanner: inout JSONScanner, to out: inout [UInt8]
  ) throws(CellFault) {
    var scratch: [UInt8] = []
    var names = NameSet()
    let type = plans[keyColumns[position]].type
    guard let part = try scanner.cell(type, scratch: &scratch, names: &names) else { throw .mismatch(.null) }
    if part.origin == .input {
      appendKeyComponent(type, cell: scanner.bytes.part(part.start, part.count), to: &out)
    } else {
      scratch.withBytes { appendKeyComponent(type, cell: $0.part(part.start, part.count), to: &out) }
    }
  }

  private func appendComposite(_ scanner: inout JSONScanner, to out: inout [UInt8]) throws(CellFault) {
    guard scanner.take(UInt8(ascii: "[")) else { throw .json(scanner.fault(.notArray)) }
    for position in keyColumns.indices {
      if position > 0, !scanner.take(UInt8(ascii: ",")) { throw .json(scanner.fault(.notArray)) }
      try appendComponent(position, &scanner, to: &out)
    }
    guard scanner.take(UInt8(ascii: "]")) else { throw .json(scanner.fault(.notArray)) }
  }

  /// Appends the key as JSON: the value, or an array.
  package func appendJSON(key: UnsafeRawBufferPointer, to out: inout [UInt8]) {
    if keyColumns.count > 1 { out.append(UInt8(ascii: "[")) }
    forEachComponent(key) { position, index, component in
      if position > 0 { out.append(UInt8(ascii: ",")) }
      Tables.appendJSON(plans[index].type, keyComponent: component, to: &out)
    }
    if keyColumns.count > 1 { out.append(UInt8(ascii: "]")) }
  }

  /// The key of these values, for system tables and tests. Traps when they do not fit.
  package func key(_ values: [Value]) -> [UInt8] {
    precondition(values.count == keyColumns.count, "a value for each key column")
    var out: [UInt8] = []
    for (position, value) in values.enumerated() {
      let type = plans[keyColumns[position]].type
      precondition(value.type == type, "a key value of its column's type")
      var cell: [UInt8] = []
      value.appendCell(to: &cell)
      cell.withBytes { appendKeyComponent(type, cell: $0, to: &out) }
    }
    return out
  }

  /// The values of a valid key.
  package func values(key: UnsafeRawBufferPointer) -> [Value] {
    var result: [Value] = []
    forEachComponent(key) { _, index, component in
      var cell: [UInt8] = []
      guard appendCell(plans[index].type, keyComponent: component, to: &cell) else {
        preconditionFailure("a key was validated")
      }
      result.append(cell.withBytes { Value(plans[index].type, cell: $0) })
    }
    return result
  }
}
