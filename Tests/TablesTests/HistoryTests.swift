import Primitives
import TestScale
import Testing

@testable import Tables

/// Older versions: what was can be read as long as it is kept, and goes when it is old.
@Suite struct HistoryTests {
  private func kept(_ coolPercent: UInt64 = 0, seed: UInt64 = 1) throws -> (shard: Shard, table: Table) {
    var shard = Shard(coolPercent: coolPercent, seed: seed)
    expect(&shard, 0, 1000, isFinished: true)
    let table = try shard.create(simple)
    return (shard, table)
  }

  private func expect(_ shard: inout Shard, _ elapsed: UInt32, _ retention: UInt32, isFinished: Bool) {
    let found = shard.advance(elapsed, retention: retention)
    #expect(found == isFinished)
  }

  /// The first command closes the chunk, the others find that it is old.
  private func dropAll(_ shard: inout Shard) {
    _ = shard.advance(0, retention: 1000)
    while !shard.advance(2000, retention: 1000) {}
  }

  @Test func aRowIsReadAsItWas() throws {
    var (shard, table) = try kept()
    let before = shard.version
    _ = try shard.put(table, "a", "{\"v\":\"1\"}")
    let first = shard.version
    _ = try shard.patch(table, "a", "{\"v\":\"2\"}")
    let second = shard.version
    _ = try shard.delete(table, "a")
    let gone = shard.version
    _ = try shard.put(table, "a", "{\"v\":\"4\"}")
    let last = shard.version
    #expect(try shard.get(table, "a", at: before).outcome == .rowNotFound)
    #expect(try shard.get(table, "a", at: first).json == "{\"k\":\"a\",\"v\":\"1\",\"n\":null}")
    #expect(try shard.get(table, "a", at: second).outcome == .row(Timestamp(second)))
    #expect(try shard.get(table, "a", at: gone).outcome == .rowNotFound)
    #expect(try shard.get(table, "a", at: last).outcome == .row(Timestamp(last)))
    #expect(
      try shard.get(table, "a", at: last + 1).outcome == .snapshotInFuture(present: Timestamp(last)))
    #expect(try shard.lookup("{\"table\":\"simple\",\"keys\":[\"a\"]}", at: gone).json == "{\"rows\":[null]}")
    shard.checkInvariants()
  }

  /// All operations of a batch are one moment, whatever it does to one row.
  @Test func aBatchIsOneMoment() throws {
    var (shard, table) = try kept()
    for key in ["a", "b", "c"] { _ = try shard.put(table, key, "{\"v\":\"old \(key)\"}") }
    let before = shard.version
    let put = { (key: String, v: String) in
      "{\"op\":\"put\",\"table\":\"simple\",\"key\":\"\(key)\",\"row\":{\"v\":\"\(v)\"}}"
    }
    let delete = { (key: String) in "{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"\(key)\"}" }
    let operations = [
      put("a", "1"), put("a", "2"), put("b", "1"), delete("b"), delete("c"), put("c", "1"), put("d", "1"), delete("d"),
      put("e", "1"), delete("e"), put("e", "2"), delete("b").replacing("\"b\"", with: "\"a\""),
    ]
    let reply = try shard.batch("{\"operations\":[\(operations.joined(separator: ","))]}")
    guard case .batch = reply else { throw Unexpected(text: "\(reply)") }
    let after = shard.version
    _ = try shard.put(table, "b", "{\"v\":\"new\"}")
    let old = ["a", "b", "c"].map { "{\"k\":\"\($0)\",\"v\":\"old \($0)\",\"n\":null}" }.joined(separator: ",")
    #expect(try shard.scan(table, [:], at: before).json == "{\"rows\":[\(old)]}")
    #expect(
      try shard.scan(table, [:], at: after).json
        == "{\"rows\":[{\"k\":\"c\",\"v\":\"1\",\"n\":null},{\"k\":\"e\",\"v\":\"2\",\"n\":null}]}")
    shard.checkInvariants()
    dropAll(&shard)
    shard.checkInvariants()
    #expect(shard.machine.totals.history.records == 0)
    #expect(shard.entries().allSatisfy { $0.key[0] == StateKey.rowKind })
  }

  private struct Unexpected: Error { var text: String }

  @Test func longValuesMoveWithoutTheirPages() throws {
    var (shard, table) = try kept()
    let long = { (byte: String) in String(repeating: byte, count: 300_000) }
    _ = try shard.put(table, "a", "{\"v\":\"\(long("x"))\"}")
    let first = shard.version
    _ = try shard.put(table, "a", "{\"v\":\"\(long("y"))\"}")
    let second = shard.version
    _ = try shard.delete(table, "a")
    shard.disk.cool()
    #expect(try shard.get(table, "a", at: first).json.contains(long("x")))
    #expect(try shard.get(table, "a", at: second).json.contains(long("y")))
    dropAll(&shard)
    #expect(shard.disk.store.statistics.livePages < 10)
    shard.checkInvariants()
  }

  @Test func whatIsOldGoesAndWhatIsNotStays() throws {
    var (shard, table) = try kept()
    _ = try shard.put(table, "a", "{\"v\":\"1\"}")
    _ = try shard.put(table, "a", "{\"v\":\"2\"}")
    let early = shard.version
    expect(&shard, 600, 1000, isFinished: true)
    let horizon = shard.version
    _ = try shard.put(table, "a", "{\"v\":\"3\"}")
    let late = shard.version
    _ = try shard.put(table, "a", "{\"v\":\"4\"}")
    expect(&shard, 600, 1000, isFinished: true)
    #expect(try shard.get(table, "a", at: early).outcome == .row(Timestamp(early)))
    expect(&shard, 400, 1000, isFinished: false)
    #expect(
      try shard.get(table, "a", at: early).outcome == .snapshotTooOld(horizon: Timestamp(horizon)))
    #expect(try shard.get(table, "a", at: late).outcome == .row(Timestamp(late)))
    expect(&shard, 0, 1000, isFinished: true)
    #expect(shard.machine.totals.history.records == 2)
    shard.checkInvariants()
  }

  @Test func nothingIsKeptUnlessItIsAskedFor() throws {
    var shard = Shard()
    let table = try shard.create(simple)
    _ = try shard.put(table, "a", "{\"v\":\"1\"}")
    _ = try shard.put(table, "a", "{\"v\":\"2\"}")
    let version = shard.version
    #expect(try shard.get(table, "a", at: version).outcome == .row(Timestamp(version)))
    #expect(
      try shard.get(table, "a", at: version - 1).outcome == .snapshotTooOld(horizon: Timestamp(version)))
    #expect(shard.machine.totals.history.records == 0)
    expect(&shard, 0, 500, isFinished: true)
    _ = try shard.put(table, "a", "{\"v\":\"3\"}")
    // What was before versions were kept is not known.
    #expect(try shard.get(table, "a", at: version - 1).outcome == .snapshotTooOld(horizon: Timestamp(version + 1)))
    #expect(try shard.get(table, "a", at: version + 1).outcome == .row(Timestamp(version)))
    while !shard.advance(0, retention: 0) {}
    #expect(shard.machine.totals.history.records == 0)
    #expect(shard.entries().allSatisfy { $0.key[0] == StateKey.rowKind })
    shard.checkInvariants()
  }

  @Test func anAdvanceIsBounded() throws {
    var (shard, table) = try kept()
    let keys = (0..<600).map { "{\"op\":\"put\",\"table\":\"simple\",\"key\":\"k\($0)\",\"row\":{\"v\":\"1\"}}" }
    let puts = "{\"operations\":[\(keys.joined(separator: ","))]}"
    let deletes = puts.replacing("\"put\"", with: "\"delete\"").replacing(",\"row\":{\"v\":\"1\"}", with: "")
    _ = try shard.batch(puts)
    _ = try shard.batch(puts)
    _ = try shard.batch(deletes)
    #expect(shard.machine.totals.history.records == 1200)
    expect(&shard, 0, 1000, isFinished: true)
    var steps = 0
    while !shard.advance(steps == 0 ? 5000 : 0, retention: 1000) {
      steps += 1
      shard.checkInvariants()
    }
    #expect(steps >= 600 / TableLimits.advanceStepsMax && steps < 6, "notes of deletions go some at a time")
    #expect(shard.entries().allSatisfy { $0.key[0] == StateKey.rowKind })
    _ = table
  }

  /// Versions that no deletion has left stand side by side, and their number does not count.
  @Test func theVersionsOfAChunkGoAtOnce() throws {
    var (shard, table) = try kept()
    let keys = (0..<600).map { "{\"op\":\"put\",\"table\":\"simple\",\"key\":\"k\($0)\",\"row\":{\"v\":\"1\"}}" }
    for _ in 0..<5 { _ = try shard.batch("{\"operations\":[\(keys.joined(separator: ","))]}") }
    #expect(shard.machine.totals.history.records == 2400)
    expect(&shard, 0, 1000, isFinished: true)
    expect(&shard, 5000, 1000, isFinished: false)
    #expect(shard.machine.totals.history.records == 0)
    #expect(shard.entries().count { $0.key[0] != StateKey.rowKind } == 0)
    shard.checkInvariants()
    _ = table
  }

  // MARK: Formats

  @Test func theHistoryHasItsGoldenBytes() throws {
    var (shard, table) = try kept()
    _ = try shard.put(table, "a", "{\"v\":\"1\"}")
    _ = try shard.put(table, "a", "{\"v\":\"2\"}")
    _ = try shard.delete(table, "a")
    _ = shard.advance(7, retention: 1000)
    let entries = shard.entries().filter { $0.key[0] != StateKey.rowKind }
    let row = { (value: String) in "0001" + "01" + "0000000000000000" + "0100" + value }
    let version = { (number: Int) in "000000000000000\(number)" }
    let little = { (number: String) in number + "00000000000000" }
    #expect(
      entries.prefix(4).map { hex($0.key) + " " + hex($0.value) } == [
        "28" + version(4) + "0000 " + little("03") + "ffff" + row("31"),
        "28" + version(5) + "0000 " + little("04") + "0000" + row("32"),
        "29" + "00000064" + "610001" + version(5) + " 0000",
        "2a" + version(5) + "0000 " + "2000000064" + "610001",
      ])
    let chunk = try #require(entries.last)
    #expect(hex(chunk.key) == "2b" + version(6))
    #expect(hex(Array(chunk.value.prefix(24))) == little("07") + little("02") + little("46"))
    #expect(try #require(chunk.value.withBytes { HistoryChunk($0) }).records == 2)
  }

  // MARK: Against a plain model

  /// Every state that ever was, by version.
  private struct Past {
    var states: [(version: UInt64, rows: [String: String])] = [(0, [:])]
    func rows(at version: UInt64) -> [String: String] { states.last { $0.version <= version }?.rows ?? [:] }
  }

  @Test(arguments: scaled([1], long: [1, 2, 3] as [UInt64]))
  func everySnapshotIsWhatWas(_ seed: UInt64) throws {
    var (shard, table) = try kept(4, seed: seed)
    var random = SeededRandom(seed: seed)
    var past = Past()
    var rows: [String: String] = [:]
    var compared = 0
    for round in 0..<1500 {
      let operations = (0...random.below(6)).map { _ in change(&rows, &random) }
      _ = try shard.batch("{\"operations\":[\(operations.joined(separator: ","))]}")
      past.states.append((shard.version, rows))
      if random.chance(1, outOf: 20) { _ = shard.advance(UInt32(random.below(400)), retention: 1000) }
      guard random.chance(1, outOf: 10) else { continue }
      let version = shard.version - random.below(min(200, shard.version - 2))
      compared += try compare(&shard, table, past, version, &random) ? 1 : 0
      if round % 300 == 0 { shard.checkInvariants() }
    }
    shard.checkInvariants()
    #expect(compared > 50)
    dropAll(&shard)
    shard.checkInvariants()
    #expect(shard.entries().allSatisfy { $0.key[0] == StateKey.rowKind })
  }

  private func change(_ rows: inout [String: String], _ random: inout SeededRandom) -> String {
    let key = "k\(random.below(40))"
    if random.chance(1, outOf: 3), rows[key] != nil {
      rows[key] = nil
      return "{\"op\":\"delete\",\"table\":\"simple\",\"key\":\"\(key)\"}"
    }
    let lengths: [UInt64] = [1, 1, 20, 300, 6000]
    let text = String(repeating: "x", count: Int(lengths[Int(random.below(5))])) + String(random.below(1000))
    rows[key] = text
    return "{\"op\":\"put\",\"table\":\"simple\",\"key\":\"\(key)\",\"row\":{\"v\":\"\(text)\"}}"
  }

  /// False when the snapshot is too old.
  private func compare(
    _ shard: inout Shard, _ table: Table, _ past: Past, _ version: UInt64, _ random: inout SeededRandom
  ) throws -> Bool {
    let rows = past.rows(at: version)
    let isDescending = random.chance(1, outOf: 2)
    let sorted = rows.sorted { ($0.key < $1.key) != isDescending }
    let expected = sorted.map { "{\"k\":\"\($0.key)\",\"v\":\"\($0.value)\",\"n\":null}" }.joined(separator: ",")
    let found = try shard.scan(table, isDescending ? ["order": "desc"] : [:], at: version)
    let horizon = shard.machine.totals.history.horizon
    guard version >= horizon.rawValue else {
      #expect(found.outcome == .snapshotTooOld(horizon: horizon))
      return false
    }
    #expect(found.json == "{\"rows\":[\(expected)]}")
    let key = "k\(random.below(40))"
    let row = try shard.get(table, key, at: version)
    #expect(row.json == (rows[key].map { "{\"k\":\"\(key)\",\"v\":\"\($0)\",\"n\":null}" } ?? ""))
    return true
  }
}
