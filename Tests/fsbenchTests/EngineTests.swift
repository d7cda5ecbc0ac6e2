import Foundation
import TestNodes
import Testing

@testable import fsbench

/// Both engines hold what was put into them: otherwise their rates mean nothing.
@Suite struct EngineTests {
  /// More than one transaction of LMDB, and pages that were split.
  private let rows = Rows(count: 2500, seed: 7)

  private func sum(_ count: Int) throws -> UInt64 {
    touch(try #require(rows.value.baseAddress), Rows.valueBytes) &* UInt64(count)
  }

  private func expectAll(_ engine: some RowEngine) throws {
    try engine.insert(rows)
    #expect(try engine.read(rows) == sum(rows.count))
    let found = try engine.scan()
    #expect(try found == (rows.count, sum(rows.count)))
    let others = Rows(count: 10, seed: 8)
    #expect(throws: BenchError.self) { try engine.read(others) }
  }

  @Test func theStoreHoldsAllRows() throws { try expectAll(StoreEngine(rows: rows.count)) }

  @Test func lmdbHoldsAllRows() throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try expectAll(LMDBEngine(library: LMDBLibrary(), under: directory, rows: rows.count))
    #expect(throws: BenchError.self) {
      try LMDBEngine(library: LMDBLibrary(), under: directory + "/none", rows: 1)
    }
  }

  @Test func aReadIsEachRowOnceInAnotherOrder() {
    let inserted = (0..<rows.count).map { Array(rows.key($0)) }
    let read = (0..<rows.count).map { Array(rows.readKey($0)) }
    #expect(Set(inserted).count == rows.count && Set(inserted) == Set(read) && inserted != read)
    let again = Rows(count: 2, seed: 7)
    withExtendedLifetime(again) { #expect(Array(again.key(1)) == inserted[1], "the same for both engines") }
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
