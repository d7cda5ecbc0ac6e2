import Primitives
import Testing

@testable import Tables

@Suite struct JSONTests {
  private func parse(_ text: String) -> JSONValue? {
    do throws(Refusal) { return try JSONValue.parse(bytes(text)) } catch { return nil }
  }

  private func minify(_ text: [UInt8]) -> [UInt8]? {
    text.withBytes { raw in
      var scanner = JSONScanner(raw)
      var names = NameSet()
      var out: [UInt8] = []
      do throws(JSONFault) {
        try scanner.minify(to: &out, names: &names)
        try scanner.expectEnd()
        return out
      } catch { return nil }
    }
  }

  @Test func validTextsAreRead() {
    #expect(
      parse(" {\"a\" : [1, -0.5e+3, true, null, \"x\"]}\n ")?.bytes == bytes("{\"a\":[1,-0.5e+3,true,null,\"x\"]}"))
    #expect(parse("\"\\u00e9\\ud83d\\ude00\\n\\/\\\"\"") == .string("é😀\n/\""))
    #expect(parse("[]")?.bytes == bytes("[]"))
    #expect(parse("{}")?.bytes == bytes("{}"))
  }

  @Test func invalidTextsAreRefused() {
    let texts = [
      "", " ", "{", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "01", "1.", ".5", "+1", "-", "1e", "0x1",
      "tru", "nul", "True", "NaN", "Infinity", "'a'", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800x\"",
      "\"\\udc00\"", "\"\\ud800\\u0041\"", "\"\n\"", "1 2", "[1]]", "// a\n1", "{\"a\":1,\"a\":2}",
      "{\"a\":1,\"\\u0061\":2}", "[{\"x\":{\"b\":1,\"c\":2,\"b\":3}}]",
    ]
    for text in texts {
      #expect(parse(text) == nil, "\(text)")
      #expect(minify(bytes(text)) == nil, "\(text)")
    }
  }

  @Test func invalidUTF8IsRefused() {
    let wrong: [[UInt8]] = [
      [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xE0, 0x80, 0x80], [0xE2, 0x82], [0xED, 0xA0, 0x80],
      [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF],
    ]
    for sequence in wrong {
      #expect(minify([0x22] + sequence + [0x22]) == nil)
      #expect(minify([0x22] + bytes("abcdefgh") + sequence + [0x22]) == nil)
      #expect(!sequence.withBytes { isUTF8($0) })
      for count in [8, 31, 32, 33, 70] {
        let before = bytes(String(repeating: "a", count: count))
        #expect(before.withBytes { isUTF8($0) } && !(before + sequence).withBytes { isUTF8($0) })
        #expect(!(before + sequence + before).withBytes { isUTF8($0) })
      }
    }
    #expect(minify(bytes("\"aß€😀\u{7FF}\u{FFFF}\u{10FFFF}\"")) != nil)
  }

  @Test func depthIsLimited() {
    let deep = { (n: Int) in String(repeating: "[", count: n) + String(repeating: "]", count: n) }
    #expect(parse(deep(128)) != nil)
    #expect(minify(bytes(deep(128))) != nil)
    #expect(parse(deep(129)) == nil)
    #expect(minify(bytes(deep(129))) == nil)
    #expect(minify(bytes(String(repeating: "[", count: 1_000_000))) == nil)
  }

  @Test func numbersAreExact() throws {
    func int(_ text: String) -> Int64? {
      bytes(text).withBytes { raw in do throws(Mismatch) { return try parseInt64(raw) } catch { return nil } }
    }
    #expect(int("9223372036854775807") == .max)
    #expect(int("-9223372036854775808") == .min)
    #expect(int("9223372036854775808") == nil)
    #expect(int("-9223372036854775809") == nil)
    #expect(int("-0") == 0)
    var random = SeededRandom(seed: 3)
    for _ in 0..<3000 {
      let value = randomFloat(&random)
      let parsed = bytes(value.description).withBytes { raw in
        do throws(Mismatch) { return try parseFloat64(raw) } catch { return Double.nan }
      }
      #expect(parsed.bitPattern == value.bitPattern)
    }
    for text in ["1e999", "-1e999"] {
      #expect(throws: Mismatch.numberRange) {
        try bytes(text).withBytes { (raw) throws(Mismatch) in try parseFloat64(raw) }
      }
    }
  }

  private func randomFloat(_ random: inout SeededRandom) -> Double {
    switch random.below(4) {
    case 0: return Double(random.below(100_000)) / 100
    case 1: return Double(Int64(bitPattern: random.next()))
    case 2: return -Double(random.below(1 << 53)) / 1e15
    default:
      let value = Double(bitPattern: random.next())
      return value.isFinite ? value : 1.5
    }
  }

  @Test func printingAndReadingIsIdentity() throws {
    var random = SeededRandom(seed: 4)
    for _ in 0..<400 {
      let value = randomJSON(&random, depth: 0)
      #expect(try JSONValue.parse(value.bytes) == value)
      #expect(minify(value.bytes) == value.bytes)
      #expect(minify(spaced(value.bytes, &random)) == value.bytes)
    }
  }

  @Test func mutationsNeverTrapAndBothReadersAgree() throws {
    var random = SeededRandom(seed: 5)
    let alphabet = bytes("{}[]\",:\\u0d8ft rue123.-e+\u{0}\u{1F}é")
    var accepted = 0
    for _ in 0..<4000 {
      var text = randomJSON(&random, depth: 0).bytes
      for _ in 0...random.below(3) {
        let at = Int(random.below(UInt64(text.count + 1)))
        switch random.below(3) {
        case 0 where at < text.count: text.remove(at: at)
        case 1 where at < text.count: text[at] = alphabet[Int(random.below(UInt64(alphabet.count)))]
        default: text.insert(alphabet[Int(random.below(UInt64(alphabet.count)))], at: at)
        }
      }
      let minified = minify(text)
      let value: JSONValue?
      do throws(Refusal) { value = try JSONValue.parse(text) } catch { value = nil }
      #expect((minified == nil) == (value == nil))
      guard let minified, let value else { continue }
      accepted += 1
      #expect(try JSONValue.parse(minified) == value)
    }
    #expect(accepted > 100)
  }

  @Test func lightSkippingPassesWhatFullScanningPasses() {
    var random = SeededRandom(seed: 6)
    for _ in 0..<400 {
      let value = spaced(randomJSON(&random, depth: 0).bytes, &random)
      let text = value + bytes(" ,1")
      text.withBytes { raw in
        var scanner = JSONScanner(raw)
        do throws(JSONFault) {
          let part = try scanner.skipLightly()
          #expect(minify(Array(raw[part])) == minify(value))
          let isThere = scanner.take(UInt8(ascii: ","))
          #expect(isThere)
        } catch { Issue.record("not skipped: \(String(decoding: text, as: UTF8.self))") }
      }
    }
  }

  private func spaced(_ text: [UInt8], _ random: inout SeededRandom) -> [UInt8] {
    var out: [UInt8] = []
    var inString = false
    var escaped = false
    for byte in text {
      if !inString, bytes("{}[],:").contains(byte) {
        out += [UInt8](repeating: 0x20, count: Int(random.below(3))) + [byte, 0x0A]
      } else {
        out.append(byte)
      }
      if byte == 0x22, !escaped { inString.toggle() }
      escaped = byte == 0x5C && !escaped
    }
    return out
  }
}

func randomJSON(_ random: inout SeededRandom, depth: Int) -> JSONValue {
  switch random.below(depth > 3 ? 4 : 7) {
  case 0: return [.null, .bool(true), .bool(false)][Int(random.below(3))]
  case 1: return .number(bytes(["0", "-1", "1.5", "1e10", "123456789012", "-0.0"][Int(random.below(6))]))
  case 2, 3: return .string(randomString(&random))
  case 4: return .array((0..<random.below(4)).map { _ in randomJSON(&random, depth: depth + 1) })
  default:
    var members: [JSONValue.Member] = []
    for i in 0..<random.below(12) {
      members.append(.init(name: randomString(&random) + "\(i)", value: randomJSON(&random, depth: depth + 1)))
    }
    return .object(members)
  }
}

func randomString(_ random: inout SeededRandom) -> String {
  let parts = ["a", "longer than eight", "\"", "\\", "\n", "\0", "é", "😀", "/", "\u{7F}"]
  return (0..<random.below(5)).map { _ in parts[Int(random.below(UInt64(parts.count)))] }.joined()
}
