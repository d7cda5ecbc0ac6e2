import FileStoreClient
import Primitives

/// Puts, deletes, batches, reads and scans on keys of its own, many at once. It knows what each of its rows is, so each read
/// has to find exactly that.
final class MixedDriver {
  static let inFlightMax = 24
  static let batchRowsMax: UInt64 = 60

  private let client: Client
  private let number: Int
  private let crew: MixedCrew
  private var random: SeededRandom
  private(set) var tally = MixedTally()
  /// By number of the key: the value of its row; 0: no row; nil: unknown.
  private var values: [UInt64?]
  /// A write or a read of the key is on its way.
  private var isBusy: [Bool]
  private var inFlight = 0
  private var lastValue: UInt64 = 0

  init(_ cluster: LocalCluster, _ number: Int, _ crew: MixedCrew, seed: UInt64) throws(ChaosError) {
    client = try cluster.client(first: number)
    self.number = number
    self.crew = crew
    random = SeededRandom(seed: seed &+ UInt64(number))
    values = Array(repeating: 0, count: MixedRows.keyCount)
    isBusy = Array(repeating: false, count: MixedRows.keyCount)
  }

  /// All of a driver's life, on one thread.
  func run() throws(ChaosError) {
    try fill()
    crew.awaitOpening()
    try turn(while: { !self.crew.isStopping }) { self.next() }
    try examine()
  }

  /// Writes every row once.
  private func fill() throws(ChaosError) {
    var key = 0
    try turn(while: { key < MixedRows.keyCount }) {
      if key < MixedRows.smallKeys {
        let end = min(key + 100, MixedRows.smallKeys)
        batch(Array(key..<end))
        key = end
      } else {
        put(key)
        key += 1
      }
    }
  }

  /// Begins requests as long as `goesOn`, then waits for those that are on their way.
  private func turn(while goesOn: () -> Bool, _ begin: () -> Void) throws(ChaosError) {
    while goesOn() || inFlight > 0 {
      while goesOn(), inFlight < Self.inFlightMax { begin() }
      do throws(ClientError) { try client.turn() } catch { throw ChaosError(message: "the client: \(error)") }
    }
  }

  private func next() {
    let lot = random.below(100)
    let key = MixedRows.draw(&random)
    switch lot {
    case 0..<36: put(key)
    case 36..<44: delete(key)
    case 44..<74: get(key)
    case 74..<82: scan(from: key)
    case 82..<83: scanLarge()
    default:
      batch((0..<1 + random.below(Self.batchRowsMax)).map { _ in Int(random.below(UInt64(MixedRows.smallKeys))) })
    }
  }

  // MARK: requests

  private func send(_ kind: String, _ request: ClientRequest, _ done: @escaping (ClientResponse?) -> Void) {
    inFlight += 1
    tally.sent += 1
    client.submit(request) { [self] result in
      inFlight -= 1
      crew.countAnswer()
      done(tally.take(kind, result))
    }
  }

  private func nextValue() -> UInt64 {
    lastValue += 1
    return lastValue
  }

  private func name(_ key: Int) -> String { MixedRows.key(number, key) }

  private func put(_ key: Int) {
    guard !isBusy[key] else { return }
    isBusy[key] = true
    let value = nextValue()
    send("put", MixedRows.put(name(key), value)) { [self] response in
      isBusy[key] = false
      guard let response else { return values[key] = nil }
      tally.expect(response.isSuccess, "a put was answered with \(response.status)")
      values[key] = value
    }
  }

  private func delete(_ key: Int) {
    guard !isBusy[key] else { return }
    isBusy[key] = true
    send("delete", ClientRequest(.delete, MixedRows.path(name(key)), mayRepeat: true)) { [self] response in
      isBusy[key] = false
      guard let response else { return values[key] = nil }
      // A repeated delete finds no row any more.
      let expected = values[key].map { $0 == 0 ? 404 : 204 }
      tally.expect(
        expected == nil || response.status == expected || response.mayHaveExecutedBefore,
        "a delete of \(name(key)) was answered with \(response.status)")
      values[key] = 0
    }
  }

  private func get(_ key: Int) {
    guard !isBusy[key] else { return }
    isBusy[key] = true
    send("get", ClientRequest(.get, MixedRows.path(name(key)))) { [self] response in
      isBusy[key] = false
      guard let response, let value = values[key] else { return }
      let expected = value == 0 ? nil : MixedRows.text(name(key), value)
      let isRight = expected.map { response.status == 200 && response.body == $0 } ?? (response.status == 404)
      tally.expect(isRight, "\(name(key)) is not what was written last: \(response.status), value \(value)")
    }
  }

  private func batch(_ wanted: [Int]) {
    let keys = Set(wanted).sorted().filter { !isBusy[$0] }
    guard !keys.isEmpty else { return }
    let rows = keys.map { (key: name($0), value: nextValue()) }
    for key in keys { isBusy[key] = true }
    send("batch", MixedRows.batch(rows)) { [self] response in
      tally.expect(response?.isSuccess ?? true, "a batch was answered with \(response?.status ?? 0)")
      for (key, row) in zip(keys, rows) {
        isBusy[key] = false
        values[key] = response == nil ? nil : row.value
      }
    }
  }

  private func scan(from key: Int) {
    let isSmall = key < MixedRows.smallKeys
    var request = MixedRows.lines(from: name(key), limit: isSmall ? 500 : 8)
    // Behind the small rows stand the next driver's largest ones.
    if isSmall { request.path += "&end=\(number)-t" }
    send("scan", request) { [self] response in check(response) }
  }

  /// Nearly as much as one page may hold.
  private func scanLarge() {
    let large = MixedRows.keyCount - 400 + Int(random.below(250))
    send("large-scan", MixedRows.lines(from: name(large), limit: 120)) { [self] response in check(response) }
  }

  /// Rows change while they are scanned; each is one that somebody wrote, and they are in order.
  private func check(_ response: ClientResponse?) {
    guard let response else { return }
    tally.expect(
      response.isSuccess && response.streamError == nil,
      "a scan was answered with \(response.status), \(response.streamError ?? "")")
    var last: Substring = ""
    for line in response.body.split(separator: UInt8(ascii: "\n")) {
      guard let row = MixedRows.read(line) else {
        return tally.expect(
          false, "a scan has a row that nobody wrote: \(String(decoding: line.prefix(80), as: UTF8.self))")
      }
      tally.expect(last < row.key, "a scan is out of order at \(row.key)")
      last = row.key
    }
  }

  // MARK: the end

  /// Reads all rows of this driver: each has to be there as it was written last, and no other.
  private func examine() throws(ChaosError) {
    var found: [String: UInt64] = [:]
    var start = "\(number)-"
    while true {
      var request = MixedRows.lines(from: start, limit: 400)
      request.path += "&end=\(number)."
      let page = try lines(request)
      for row in page where row.key != start { found[String(row.key)] = row.value }
      guard page.count == 400, let last = page.last else { break }
      start = String(last.key)
    }
    for key in values.indices {
      guard let value = values[key] else { continue }
      let name = name(key)
      let there = found[name] ?? 0
      tally.expect(there == value, "\(name) has value \(there) at the end, \(value) was written")
    }
  }

  private func lines(_ request: ClientRequest) throws(ChaosError) -> [(key: Substring, value: UInt64)] {
    let result = Result { () throws(ClientError) in try client.send(request) }
    tally.sent += 1
    guard let response = tally.take("examination", result), response.isSuccess else {
      throw ChaosError(message: "the rows cannot be read back")
    }
    return response.body.split(separator: UInt8(ascii: "\n")).compactMap { line in
      let row = MixedRows.read(line)
      tally.expect(row != nil, "a row that nobody wrote: \(String(decoding: line.prefix(80), as: UTF8.self))")
      return row
    }
  }
}
