import FileStoreClient
import Primitives

/// What the mixed load writes: a fixed set of keys of four sizes, each with a row whose text follows from key and value. So
/// who reads a row knows whether it is right without having written it, and data on disk have a bound.
struct MixedRows {
  static let table = "mixed"
  static let description = """
    {"name":"mixed","columns":[{"name":"id","type":"text"},{"name":"value","type":"int64"},\
    {"name":"filler","type":"text"}],"primary_key":["id"]}
    """

  /// Keys of one size: from 100 bytes to nearly the largest row that there may be.
  struct Size: Sendable {
    var letter: String
    var keys: Int
    var bytes: ClosedRange<UInt64>
    /// Of 100 single writes or reads.
    var share: UInt64
  }

  static let sizes = [
    Size(letter: "s", keys: 12_000, bytes: 40...200, share: 64),
    Size(letter: "m", keys: 1_500, bytes: 1_000...16_000, share: 27),
    Size(letter: "l", keys: 500, bytes: 60_000...140_000, share: 8),
    Size(letter: "h", keys: 12, bytes: 700_000...1_000_000, share: 1),
  ]

  static let keyCount = sizes.reduce(0) { $0 + $1.keys }
  static let smallKeys = sizes[0].keys

  /// `3-l-000041`: driver 3's large row 41. Keys of a driver are numbered through all sizes.
  static func key(_ driver: Int, _ number: Int) -> String {
    var rest = number
    for size in sizes {
      if rest < size.keys { return "\(driver)-\(size.letter)-\(String(rest + 1_000_000).dropFirst())" }
      rest -= size.keys
    }
    preconditionFailure("a number of a key")
  }

  /// A key of a size that is drawn by its share.
  static func draw(_ random: inout SeededRandom) -> Int {
    var lot = random.below(100)
    var first = 0
    for size in sizes {
      if lot < size.share { return first + Int(random.below(UInt64(size.keys))) }
      lot -= size.share
      first += size.keys
    }
    preconditionFailure("shares make 100")
  }

  // MARK: text

  /// The row as the API prints it. Nil: no key of ours.
  static func text(_ key: some StringProtocol, _ value: UInt64) -> [UInt8]? {
    guard let filler = filler(key, value) else { return nil }
    return Array("{\"id\":\"\(key)\",\"value\":\(value),\"filler\":\"".utf8) + filler + Array("\"}".utf8)
  }

  static func body(_ key: String, _ value: UInt64) -> [UInt8] {
    Array("{\"value\":\(value),\"filler\":\"".utf8) + (filler(key, value) ?? []) + Array("\"}".utf8)
  }

  private static func filler(_ key: some StringProtocol, _ value: UInt64) -> [UInt8]? {
    let parts = key.split(separator: "-")
    guard parts.count == 3, let size = sizes.first(where: { $0.letter == parts[1] }) else { return nil }
    let hash = key.utf8.reduce(value &* 0x9E37_79B9_7F4A_7C15) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    let span = size.bytes.upperBound - size.bytes.lowerBound + 1
    let count = Int(size.bytes.lowerBound + (hash >> 32) % span)
    let word = Array(String(hash | 1 << 63, radix: 16).utf8)
    return [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
      for position in 0..<count { bytes[position] = word[position & 15] }
      filled = count
    }
  }

  /// Key and value of a row as the API prints it, if all of it is as it has to be.
  static func read(_ line: ArraySlice<UInt8>) -> (key: Substring, value: UInt64)? {
    let head = String(decoding: line.prefix(80), as: UTF8.self)
    let parts = head.split(separator: "\"", maxSplits: 6, omittingEmptySubsequences: false)
    guard parts.count == 7, parts[1] == "id", let value = UInt64(parts[6].dropFirst().prefix { $0 != "," }),
      let expected = text(parts[3], value), line.elementsEqual(expected)
    else { return nil }
    return (parts[3], value)
  }

  // MARK: requests

  static func path(_ key: String) -> String { "/v1/tables/\(table)/rows/\(key)" }

  static func put(_ key: String, _ value: UInt64) -> ClientRequest {
    var request = ClientRequest(.put, path(key), body: body(key, value), mayRepeat: true)
    request.headers = [Header("content-type", "application/json")]
    return request
  }

  /// Puts of several rows, all or nothing.
  static func batch(_ rows: [(key: String, value: UInt64)]) -> ClientRequest {
    var body = Array("{\"operations\":[".utf8)
    for (position, row) in rows.enumerated() {
      if position > 0 { body.append(UInt8(ascii: ",")) }
      body += Array("{\"op\":\"put\",\"table\":\"\(table)\",\"key\":\"\(row.key)\",\"row\":".utf8)
      body += self.body(row.key, row.value) + [UInt8(ascii: "}")]
    }
    body += Array("]}".utf8)
    var request = ClientRequest(.post, "/v1/batch", body: body, mayRepeat: true)
    request.headers = [Header("content-type", "application/json")]
    return request
  }

  /// So many rows from a key on, one a line.
  static func lines(from key: String, limit: UInt64) -> ClientRequest {
    var request = ClientRequest(.get, "/v1/tables/\(table)/rows?start=\(key)&limit=\(limit)")
    request.headers = [Header("accept", "application/x-ndjson")]
    // Thousands of pages may have to come from the disk, on a machine with other work.
    (request.attemptMilliseconds, request.timeoutMilliseconds) = (60_000, 120_000)
    return request
  }
}
