import Checkers
import Node
import Primitives

/// What a client sent: one operation on one key, or several on several keys at once.
struct ClientRequest {
  var number: UInt64
  var client: Int
  var node: Int
  var operation: ClientOperation
  var timeout: Nanoseconds
}

struct ClientReply {
  var number: UInt64
  var client: Int
  var reply: NodeReply
}

/// A client: one request at a time, random keys; remembers versions for its conditions.
struct Client {
  /// Stands for the one who creates the table, the probes at the end, and an operator.
  static let founderIndex = -1
  static let probeIndex = -2
  static let operatorIndex = -3

  let index: Int
  var random: SeededRandom
  let habits: Habits
  /// The node that it talks to now.
  var node: Int
  /// The request that it waits for, and the history's operations that it stands for.
  var waiting: (number: UInt64, parts: [Part])?
  /// The moment of the past that it asked for.
  var snapshot: Timestamp?
  /// The last version seen of each key.
  var versions: [Timestamp?]

  /// What makes clients of one run differ from each other and from those of other runs.
  struct Habits {
    /// After how many requests a client changes its node, on average. A real one stays while it gets answers.
    let requestsPerNode: UInt64
    /// Percent of requests that only read, above the usual mix.
    let moreReads: UInt64
    /// Percent of requests that go to the first two keys.
    let hotKeys: UInt64
    /// Works in bursts with long rests instead of evenly.
    let isBursty: Bool

    init(_ random: inout SeededRandom) {
      requestsPerNode = [1, 1, 10, 100][Int(random.below(4))]
      moreReads = [0, 0, 50, 90][Int(random.below(4))]
      hotKeys = [0, 50, 90][Int(random.below(3))]
      isBursty = random.chance(1, outOf: 2)
    }
  }

  /// How long it rests after an answer: 150 ms on average.
  mutating func pause() -> Nanoseconds {
    guard habits.isBursty else { return .milliseconds(random.below(300)) }
    return .milliseconds(random.chance(7, outOf: 8) ? random.below(20) : random.below(2200))
  }

  mutating func chooseNode(of count: Int) -> Int {
    if random.chance(1, outOf: habits.requestsPerNode) { node = Int(random.below(UInt64(count))) }
    return node
  }

  mutating func chooseKey(of count: Int) -> Int {
    Int(random.below(random.chance(habits.hotKeys, outOf: 100) ? 2 : UInt64(count)))
  }

  /// One key's share of a request.
  struct Part {
    var historyID: Int
    var key: Int
    var call: Call
  }
}

/// The keys and values of the workload, as the API sees them.
enum Workload {
  static let table = "register"
  static let description =
    #"{"name":"register","columns":[{"name":"k","type":"text"},{"name":"v","type":"int64"},"#
    + #"{"name":"pad","type":"text","nullable":true}],"primary_key":["k"]}"#

  static func keyName(_ key: Int) -> String { "key-\(key)" }
  static func path(_ key: Int) -> RowPath { RowPath(table: table, key: Array(keyName(key).utf8)) }

  static func row(_ value: UInt64, padding: Int) -> [UInt8] {
    let pad = padding == 0 ? "" : #","pad":""# + String(repeating: "x", count: padding) + #"""#
    return Array("{\"v\":\(value)\(pad)}".utf8)
  }

  /// The number behind `"v":` in a row's JSON. The simulator reads what it wrote; a general parser stands in Tables.
  static func value(in body: ArraySlice<UInt8>) -> UInt64? {
    let mark = Array(#""v":"#.utf8)
    guard let start = firstRange(of: mark, in: body) else { return nil }
    var value: UInt64?
    for byte in body[(start + mark.count)...] {
      guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { break }
      value = (value ?? 0) * 10 + UInt64(byte - UInt8(ascii: "0"))
    }
    return value
  }

  static func firstRange(of mark: [UInt8], in body: ArraySlice<UInt8>) -> Int? {
    guard body.count >= mark.count else { return nil }
    for start in body.startIndex...(body.endIndex - mark.count) where body[start] == mark[0] {
      if body[start..<start + mark.count].elementsEqual(mark) { return start }
    }
    return nil
  }
}
