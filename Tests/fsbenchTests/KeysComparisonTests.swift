import FileStoreClient
import Testing

@testable import fsbench

private final class Trail {
  var steps: [String] = []
}

/// A system at a server in this process that answers FileStore's calls, and counts them.
private final class FakeSystem: LoadedSystem {
  let name: String
  let endpoint: Endpoint
  let processes: [Int32] = []
  private let server: FakeServer
  private let place: FileStorePlace
  private let trail: Trail
  var countsTwice = false

  init(_ name: String, _ trail: Trail) throws {
    self.name = name
    self.trail = trail
    server = try FakeServer { request in
      let key = String(request.path.split(separator: "/").last ?? "")
      return .whole(request.body.isEmpty ? Array(#"{"key":"\#(key)","value":"\#(Key.value(key))"}"#.utf8) : [])
    }
    endpoint = Endpoint(isSecure: false, host: "127.0.0.1", port: server.port)
    place = FileStorePlace(endpoint: endpoint, token: "t", table: "t")
  }

  func stop() { server.stop() }
  var paths: [String] { server.requests.map(\.path) }

  func call(_ task: KeyTask) -> any Call {
    trail.steps.append("\(task.rawValue) \(name)")
    return task == .write ? FileStorePut(place) : FileStoreGet(place)
  }

  func filling(_ keys: UInt64) -> (call: any Call, groups: KeyGroups) {
    let groups = KeyGroups(keys: keys, size: 7)
    return (FileStoreBatch(place, groups), groups)
  }

  func checkHolds(_ keys: UInt64) throws(BenchError) { trail.steps.append("\(name) holds \(keys)") }

  func counters(_ task: KeyTask) throws(BenchError) -> [Counter] {
    [Counter(name: "requests", value: Double(server.requests.count * (countsTwice ? 2 : 1)))]
  }
}

@Suite struct KeysComparisonTests {
  /// Runs `body` with two systems of twenty keys, asked 60 times a run. `flushes`: how much the disks' flushes rise
  /// between two looks.
  private func compare(
    perSecond: Double? = nil, flushes rise: UInt64 = 60,
    _ body: (KeysComparison, [FakeSystem], Trail) throws -> Void
  ) throws {
    let trail = Trail()
    let systems = [try FakeSystem("FileStore", trail), try FakeSystem("etcd", trail)]
    defer { for system in systems { system.stop() } }
    let settings = KeysComparison.Settings(
      shapes: [.single], keys: 20, seed: 1, amount: .requests(60), perSecond: perSecond, fillSecondsMax: 10)
    var flushes: UInt64 = 0
    let comparison = KeysComparison(
      systems, tls: nil, settings: settings, machine: Machine(ticks: { Ticks(total: 0, stolen: 0) }),
      flushes: {
        flushes += rise
        return flushes
      })
    try body(comparison, systems, trail)
  }

  @Test func eachSideIsFilledByGroups() throws {
    try compare { comparison, systems, trail in
      try comparison.fill()
      try comparison.checkFilled()
      for system in systems { #expect(system.paths == ["/v1/batch", "/v1/batch", "/v1/batch"]) }
      #expect(trail.steps == ["FileStore holds 20", "etcd holds 20"])
    }
  }

  @Test func whoComesFirstAlternates() throws {
    try compare { comparison, _, trail in
      try comparison.round()
      #expect(trail.steps == ["write FileStore", "write etcd", "read FileStore", "read etcd"])
      try comparison.round()
      #expect(trail.steps.suffix(4) == ["write etcd", "write FileStore", "read etcd", "read FileStore"])
    }
  }

  @Test func bothSidesGetTheSameKeysAndEachRunOthers() throws {
    try compare { comparison, systems, _ in
      for _ in 0..<2 { try comparison.round() }
      #expect(systems[0].paths == systems[1].paths)
      let runs = stride(from: 0, to: 240, by: 60).map { Array(systems[0].paths[$0..<$0 + 60]) }
      #expect(Set(runs).count == 4)
      #expect(Set(systems[0].paths).count == 20, "240 draws of 20 keys leave none out")
    }
  }

  @Test func countersThatRiseOtherwiseFailTheRun() throws {
    try compare { comparison, systems, _ in
      systems[1].countsTwice = true
      let reason = failure { try comparison.round() }
      #expect(reason == "etcd: 60 requests, but requests rose by 120.0")
    }
  }

  @Test func writesWithoutFlushesFailTheRun() throws {
    try compare(flushes: 59) { comparison, _, _ in
      let reason = failure { try comparison.round() }
      #expect(reason == "FileStore: 60 writes, 1 in flight, but only 59 flushes of the disks")
    }
  }

  @Test func figuresStandBesideTheReference() throws {
    try compare { comparison, _, _ in
      try comparison.round()
      let figures = comparison.figures
      let suffixes = ["", "/latency", "/latency/p50", "/latency/p99", "/latency/p99.9", "/latency/max"]
      #expect(figures.map(\.name) == ["write", "read"].flatMap { task in suffixes.map { "keys/\(task)/1x1\($0)" } })
      #expect(figures.allSatisfy { $0.value > 0 && $0.reference?.name == "etcd" && $0.ratio != nil })
      for (rate, latency) in [(0, 1), (6, 7)] {
        #expect(figures[rate].value * figures[latency].value < 1.01, "one client does not do two things at once")
        #expect(figures[rate].unit == .perSecond && figures[latency].unit == .seconds)
        #expect(figures[latency + 1].value <= figures[latency + 4].value, "P50 and the maximum")
      }
    }
  }

  @Test func figuresAtARateAreNamedAfterIt() throws {
    try compare(perSecond: 1000) { comparison, _, _ in
      try comparison.round()
      #expect(comparison.figures.first?.name == "keys/write/1x1/rate-1000")
      let rate = comparison.figures.first?.value ?? 0
      #expect(rate > 100 && rate < 1050, "no more than arrive")
    }
  }
}

@Suite struct KeysCommandTests {
  private func refusal(_ arguments: String...) -> String? {
    do { _ = try Fsbench.parseAsRoot(["keys"] + arguments) } catch { return Fsbench.message(for: error) }
    return nil
  }

  @Test func settingsAreThoseOfTheOptions() throws {
    let command = try #require(
      Fsbench.parseAsRoot([
        "keys", "--keys", "1000", "--shapes", "1x1,2x3", "--requests", "50", "--rate", "10", "--seed", "7",
      ]) as? KeysCommand)
    let settings = command.load.settings
    #expect(settings.keys == 1000 && settings.seed == 7 && settings.perSecond == 10)
    #expect(settings.shapes.map(\.description) == ["1x1", "2x3"])
    #expect(settings.amount == .requests(50))
    let plain = try #require(Fsbench.parseAsRoot(["keys"]) as? KeysCommand).load.settings
    #expect(plain.keys == 2_000_000 && plain.amount == .seconds(3) && plain.perSecond == nil)
  }

  @Test func whatMakesNoSenseIsRefused() {
    #expect(refusal("--shapes", "1x")?.contains("--shapes") == true)
    #expect(refusal("--keys", "0")?.contains("--keys") == true)
    #expect(refusal("--rate", "0.5")?.contains("--rate") == true)
    #expect(refusal("--etcd", "etcd")?.contains("--etcd is") == true)
    #expect(refusal("--etcd", "https://127.0.0.1:2379")?.contains("--etcd-metrics") == true)
    #expect(refusal("--etcd", "https://127.0.0.1:1", "--etcd-metrics", "http://127.0.0.1:2") == nil)
    #expect(refusal("--filestore-pids", "1,x")?.contains("--filestore-pids") == true)
  }
}
