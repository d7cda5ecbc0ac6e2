/// A JSON value as a tree, for texts that are small and rare: table descriptions, requests' frames. Members keep their
/// order. Rows never pass through it.
package indirect enum JSONValue: Equatable, Sendable {
  case null
  case bool(Bool)
  /// As it was written.
  case number([UInt8])
  case string(String)
  case array([JSONValue])
  case object([Member])

  package struct Member: Equatable, Sendable {
    package var name: String
    package var value: JSONValue
    package init(name: String, value: JSONValue) {
      self.name = name
      self.value = value
    }
  }

  /// Parses the whole of `text`.
  package static func parse(_ text: UnsafeRawBufferPointer) throws(Refusal) -> JSONValue {
    do throws(JSONFault) {
      var scanner = JSONScanner(text)
      var names = NameSet()
      let value = try scanner.value(names: &names, depth: 0)
      try scanner.expectEnd()
      return value
    } catch { throw error.refusal }
  }

  package static func parse(_ text: [UInt8]) throws(Refusal) -> JSONValue {
    try text.withBytes { (raw) throws(Refusal) in try parse(raw) }
  }

  package func append(to out: inout [UInt8]) {
    switch self {
    case .null: Tables.append("null", to: &out)
    case .bool(let value): Tables.append(value ? "true" : "false", to: &out)
    case .number(let text): out.append(contentsOf: text)
    case .string(let text): appendJSONString(text, to: &out)
    case .array(let elements):
      out.append(UInt8(ascii: "["))
      for (i, element) in elements.enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        element.append(to: &out)
      }
      out.append(UInt8(ascii: "]"))
    case .object(let members):
      out.append(UInt8(ascii: "{"))
      for (i, member) in members.enumerated() {
        if i > 0 { out.append(UInt8(ascii: ",")) }
        appendJSONString(member.name, to: &out)
        out.append(UInt8(ascii: ":"))
        member.value.append(to: &out)
      }
      out.append(UInt8(ascii: "}"))
    }
  }

  package var bytes: [UInt8] {
    var out: [UInt8] = []
    append(to: &out)
    return out
  }
}

extension JSONScanner {
  fileprivate mutating func value(names: inout NameSet, depth: Int) throws(JSONFault) -> JSONValue {
    switch peek() {
    case UInt8(ascii: "{"): return .object(try members(names: &names, depth: depth))
    case UInt8(ascii: "["): return .array(try elements(names: &names, depth: depth))
    case UInt8(ascii: "\""): return .string(text(try string()))
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number([UInt8](slice(try number())))
    case UInt8(ascii: "t"):
      try word("true")
      return .bool(true)
    case UInt8(ascii: "f"):
      try word("false")
      return .bool(false)
    default:
      guard peek() == UInt8(ascii: "n") else { throw fault(.unexpected) }
      try word("null")
      return .null
    }
  }

  private mutating func members(names: inout NameSet, depth: Int) throws(JSONFault) -> [JSONValue.Member] {
    let opening = offset
    guard depth < TableLimits.jsonDepthMax else { throw fault(.tooDeep) }
    try expect(UInt8(ascii: "{"))
    let mark = names.begin()
    var result: [JSONValue.Member] = []
    var first = true
    while try another(first: &first, close: UInt8(ascii: "}")) {
      let name = try string()
      names.add(name, of: self)
      try expect(UInt8(ascii: ":"))
      result.append(.init(name: text(name), value: try value(names: &names, depth: depth + 1)))
    }
    guard names.end(mark) else { throw JSONFault(kind: .duplicateName, offset: opening) }
    return result
  }

  private mutating func elements(names: inout NameSet, depth: Int) throws(JSONFault) -> [JSONValue] {
    guard depth < TableLimits.jsonDepthMax else { throw fault(.tooDeep) }
    try expect(UInt8(ascii: "["))
    var result: [JSONValue] = []
    var first = true
    while try another(first: &first, close: UInt8(ascii: "]")) {
      result.append(try value(names: &names, depth: depth + 1))
    }
    return result
  }

  /// A string's text, which the scan has validated.
  func text(_ string: JSONString) -> String {
    guard string.hasEscapes else { return String(decoding: slice(string), as: UTF8.self) }
    var bytes: [UInt8] = []
    unescape(string, to: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }
}
