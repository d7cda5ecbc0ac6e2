import Foundation
import Primitives
import Testing

@testable import fsbench

/// More rows than memory: what is read is what was inserted, and pages do come from the disk.
@Suite struct PagedTests {
  private static let plan = PagedReads.Plan(depth: 8, hotRows: 100, hotPerSecond: 1000)

  private func withTarget(rows: Int, _ body: (PagedStore) throws -> Void) throws {
    try inDirectory { directory in
      try body(PagedStore(under: directory, rows: NumberedRows(count: rows), memoryBytes: 6 << 20))
    }
  }

  /// One on a disk, which is as empty afterwards as before.
  private func inDirectory(_ body: (String) throws -> Void) throws {
    let directory = "/var/tmp/filestore-test-\(UUID())"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty, "nothing is left behind")
  }

  @Test func whatDoesNotFitIsReadFromTheDisk() throws {
    try withTarget(rows: 100_000) { target in
      #expect(target.pages > 100_000 / 127 && target.pages < 100_000 / 100, "leaves are full")
      let result = try PagedReads(target, plan: Self.plan).run(seconds: 0.3)
      #expect(result.perSecond > 0 && result.pagesPerSecond > 0.3 * result.perSecond, "more than half is not in memory")
      #expect((100...310).contains(result.hot.count), "one each millisecond, fewer on a busy machine")
      #expect(result.hotHits > 0 && result.hotHits <= result.hot.count)
    }
  }

  @Test func whatFitsIsReadFromMemory() throws {
    try withTarget(rows: 10_000) { target in
      let result = try PagedReads(target, plan: Self.plan).run(seconds: 0.1)
      #expect(result.perSecond > 0 && result.pagesPerSecond == 0 && result.hotHits == result.hot.count)
    }
  }

  @Test func aReaderCanBeUsedAgain() throws {
    try withTarget(rows: 50_000) { target in
      let reads = try PagedReads(target, plan: Self.plan)
      let first = try reads.run(seconds: 0.05)
      let second = try reads.run(seconds: 0.05)
      #expect(first.perSecond > 0 && second.perSecond > 0 && first.hot.count <= 51 && second.hot.count <= 51)
    }
  }

  @Test func aRowThatIsAnotherIsNoticed() throws {
    try withTarget(rows: 1000) { target in
      let value = [7, 0, 0, 0, 0, 0, 0, 0] + [UInt8](repeating: 0, count: Rows.valueBytes - 8)
      try value.withUnsafeBytes { value in
        try target.check(value, 7)
        #expect(failure { try target.check(value, 8) } == "row 8 is not what was inserted")
        #expect(failure { try target.check(UnsafeRawBufferPointer(rebasing: value[..<99]), 7) } != nil)
        #expect(failure { try target.check(nil, 7) } != nil)
      }
    }
  }

  @Test func threadsOfRocksDBAndLMDBReadWhatWasInserted() throws {
    let rows = NumberedRows(count: 12_345)
    try inDirectory { directory in
      let rocks = try RocksDBEngine(
        library: RocksDBLibrary(), under: directory, .init(cacheBytes: 1 << 20, isPaged: true))
      let lightning = try PagedLMDB(library: LMDBLibrary(), under: directory, rows: rows.count)
      for engine in [rocks, lightning] as [any BlockingEngine] {
        try engine.load(rows)
        #expect(try ThreadedReads(engine, rows: rows).run(threads: 4, seconds: 0.1) > 0)
        let others = NumberedRows(count: 12_344)
        #expect(failure { _ = try ThreadedReads(engine, rows: others).run(threads: 2, seconds: 0.1) } != nil)
      }
      #expect(try Int(rocks.number("rocksdb.estimate-live-data-size")) > NumberedRows.byteCount(rows: rows.count))
    }
  }

  @Test func keysRiseWithTheNumber() {
    let rows = NumberedRows(count: 1000)
    let keys = (0..<1000).map { number in
      var key = [UInt8](repeating: 0, count: Rows.keyBytes)
      key.withUnsafeMutableBytes { rows.writeKey(number, to: $0) }
      return key
    }
    #expect(zip(keys, keys.dropFirst()).allSatisfy { $0.lexicographicallyPrecedes($1) })
    #expect(keys[999][0] == 255, "they are spread over the whole space")
  }

  @Test func ranksFollowZipfsLaw() {
    let zipf = Zipf(count: 1000)
    var random = SeededRandom(seed: 5)
    var counts = [Int](repeating: 0, count: 1000)
    for _ in 0..<100_000 { counts[zipf.rank(&random)] += 1 }
    // The sum of 1 / n^0.99 over 1 ... 1000 is 7.73.
    #expect((12_400...13_500).contains(counts[0]) && (6_200...6_900).contains(counts[1]))
    #expect((37_000...43_000).contains(counts[0..<10].reduce(0, +)), "10 of 1000 ranks are drawn four times in ten")
    #expect(counts[900...].reduce(0, +) > 1000, "all ranks are drawn")
  }

  @Test(
    arguments: [
      ("512MiB", 512 << 20), ("1GiB", 1 << 30), ("1G", nil), ("GiB", nil), ("1.5GiB", nil), ("", nil),
      ("9223372036854775807GiB", nil),
    ] as [(String, Int?)])
  func memoryIsCountedInMiBAndGiB(text: String, bytes: Int?) {
    #expect(ByteCount(argument: text)?.value == bytes)
    if let bytes { #expect(ByteCount(bytes).description == text) }
  }

  @Test func fourTimesTheMemoryAreRead() {
    #expect(NumberedRows.byteCount(rows: PagedComparison.rows(for: ByteCount(1 << 30))) / 1_000_000 == 4294)
  }
}
