import ArgumentParser

/// `fsbench engine`: the Store's trees in memory beside LMDB and RocksDB, one thread, the same rows in the same order; and the
/// Store behind its log beside RocksDB's.
struct EngineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "engine", abstract: "Insert, read and scan rows, beside LMDB and RocksDB.",
    discussion: """
      Random keys of 16 bytes, values of 100 bytes, one thread. Rates by its processor time: engine/insert, engine/read, \
      engine/scan, all rows in memory. LMDB without sync, 1000 rows a transaction; RocksDB compacted, from a block \
      cache as large as our memory for pages, which all rows were read into before. By the clock, since the disk is \
      waited for: engine/insert-logged, where each group of 256 rows is durable before the next comes, ours by one write \
      of the journal, RocksDB's by a synced WriteBatch. Ours writes no checkpoint meanwhile; RocksDB flushes and compacts \
      by two threads of its own.
      """)

  @OptionGroup var report: ReportOptions
  @Option(help: ArgumentHelp("How many rows, as 2500, 500K or 10M.", valueName: "count"))
  var rows = RowCount(1_000_000)
  @Option(
    help: ArgumentHelp(
      "Where the logs and RocksDB's files are made and removed: on a disk. LMDB's is in /dev/shm if that is there.",
      valueName: "dir"))
  var directory = "."

  func validate() throws {
    guard (1000...100_000_000).contains(rows.value) else { throw ValidationError("--rows is between 1000 and 100M.") }
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let machine = Machine()
      let places = try EnginePlaces(disk: directory)
      var comparison = try EngineComparison(
        rows: Rows(count: rows.value, seed: 16), places: places, machine: machine)
      for _ in 0..<report.rounds { try comparison.round() }
      try Report(options: report, prefix: "engine/", machine: machine)
        .print(comparison.figures, remarks: comparison.remarks)
    }
  }
}
