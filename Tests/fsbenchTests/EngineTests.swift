import Foundation
import TestNodes
import Testing

@testable import fsbench

/// All engines hold what was put into them: otherwise their rates mean nothing.
@Suite struct EngineTests {
  /// More than one transaction of LMDB, ten groups of a log, and pages that were split.
  private let rows = Rows(count: 2500, seed: 7)

  private func sum(_ count: Int) throws -> UInt64 {
    touch(try #require(rows.value.baseAddress), Rows.valueBytes) &* UInt64(count)
  }

  private func expectAll(_ engine: some RowEngine) throws {
    try engine.insert(rows)
    try engine.settle(rows)
    #expect(try engine.read(rows) == sum(rows.count))
    let found = try engine.scan()
    #expect(try found == (rows.count, sum(rows.count)))
    let others = Rows(count: 10, seed: 8)
    #expect(throws: BenchError.self) { try engine.read(others) }
  }

  @Test func theStoreHoldsAllRows() throws { try expectAll(StoreEngine(rows: rows.count)) }

  @Test func lmdbHoldsAllRows() throws {
    try withDirectory { directory in
      try expectAll(LMDBEngine(library: LMDBLibrary(), under: directory, rows: rows.count))
      #expect(throws: BenchError.self) {
        try LMDBEngine(library: LMDBLibrary(), under: directory + "/none", rows: 1)
      }
    }
  }

  @Test func rocksdbHoldsAllRows() throws {
    try withDirectory { directory in
      try expectAll(RocksDBEngine(library: RocksDBLibrary(), under: directory, cacheBytes: 8 << 20))
      #expect(throws: BenchError.self) {
        try RocksDBEngine(library: RocksDBLibrary(), under: directory + "/none", cacheBytes: 1)
      }
    }
  }

  @Test func eachGroupIsASyncOfRocksDBsLog() throws {
    try withRocksDB { engine in
      try engine.insert(rows)
      #expect(engine.counted("rocksdb.wal.synced") == 10 && engine.counted("rocksdb.number.keys.written") == 2500)
    }
  }

  @Test func rocksdbIsReadFromBlocksInItsCacheAlone() throws {
    try withRocksDB { engine in
      try engine.insert(rows)
      try engine.compact()
      #expect(failure { _ = try engine.read(rows) }?.hasPrefix("RocksDB: rocksdb_get_pinned: ") == true)
      #expect(failure { _ = try engine.scan() }?.hasPrefix("RocksDB: rocksdb_iter_next: ") == true)
      try engine.settle(rows)
      let before = engine.counted("rocksdb.block.cache.data.miss")
      _ = try (engine.read(rows), engine.scan())
      #expect(before != nil && engine.counted("rocksdb.block.cache.data.miss") == before)
    }
  }

  @Test func rocksdbHasBlocksOf16KiBACacheOfTheBudgetAndABloomFilter() throws {
    try withRocksDB { engine in
      try engine.insert(rows)
      try engine.settle(rows)
      let (blocks, bytes) = (engine.counted("rocksdb.block.cache.data.add"), rows.count * 116)
      #expect(blocks.map { (bytes / (18 << 10)...bytes / (12 << 10)).contains(Int($0)) } == true, "\(blocks ?? 0)")
      #expect(try engine.number("rocksdb.block-cache-capacity") == 8 << 20)
      #expect(throws: BenchError.self) { try engine.read(Rows(count: 1000, seed: 8)) }
      #expect(engine.counted("rocksdb.bloom.filter.useful") ?? 0 > 950, "nearly no key that is absent is looked for")
    }
  }

  @Test func theStoreBehindItsLogHoldsAllRows() throws {
    try withDirectory { directory in
      try expectAll(LoggedStoreEngine(under: directory, rows: rows.count))
      #expect(throws: BenchError.self) { try LoggedStoreEngine(under: directory + "/none", rows: 1) }
    }
  }

  @Test func eachGroupIsADurableWriteOfTheJournal() throws {
    try withDirectory { directory in
      let engine = try LoggedStoreEngine(under: directory, rows: rows.count)
      let before = engine.written
      try engine.insert(rows)
      let blocks = engine.written.blocks - before.blocks
      #expect(blocks == 10 || blocks == 11, "one more where a segment ends inside a group")
      #expect(engine.written.bytes - before.bytes == 2500 * (1 + 16 + 1 + 100), "keys and values, and their lengths")
    }
  }

  private func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
    #expect(try FileManager.default.contentsOfDirectory(atPath: directory).isEmpty, "nothing is left behind")
  }

  /// One that counts what it does.
  private func withRocksDB(_ body: (RocksDBEngine) throws -> Void) throws {
    try withDirectory { directory in
      try body(
        RocksDBEngine(library: RocksDBLibrary(), under: directory, cacheBytes: 8 << 20, isCounting: true))
    }
  }

  @Test func aReadIsEachRowOnceInAnotherOrder() {
    let inserted = (0..<rows.count).map { Array(rows.key($0)) }
    let read = (0..<rows.count).map { Array(rows.readKey($0)) }
    #expect(Set(inserted).count == rows.count && Set(inserted) == Set(read) && inserted != read)
    let again = Rows(count: 2, seed: 7)
    withExtendedLifetime(again) { #expect(Array(again.key(1)) == inserted[1], "the same for all engines") }
  }

  @Test func whatLMDBRefusesIsSaidInItsWords() throws {
    let library = try LMDBLibrary()
    #expect(
      failure { try library.check(LMDBLibrary.notFound, "mdb_get") }?.hasPrefix("LMDB: mdb_get: MDB_NOTFOUND") == true)
    #expect(failure { try library.check(0, "mdb_get") } == nil)
  }

  @Test(
    arguments: [
      ("2500", 2500), ("500K", 500_000), ("10M", 10_000_000), ("0", 0), ("", nil), ("K", nil), ("10m", nil),
      ("1G", nil),
      ("1.5M", nil), ("10MM", nil), ("9223372036854775807", Int.max), ("9223372036854775K", 9_223_372_036_854_775_000),
      ("9223372036854776K", nil),
    ] as [(String, Int?)])
  func rowsAreCountedInThousandsAndMillions(text: String, count: Int?) {
    #expect(RowCount(argument: text)?.value == count)
  }

  @Test(arguments: [("2500", 2500), ("500K", 500_000), ("10M", 10_000_000), ("1001K", 1_001_000)])
  func aCountIsPrintedAsItIsWritten(text: String, count: Int) {
    #expect(RowCount(count).defaultValueDescription == text)
  }
}
