import ArgumentParser

/// `fsbench engine`: the Store's trees in memory beside LMDB and RocksDB, one thread, the same rows in the same order; and the
/// Store behind its log beside RocksDB's. With `--memory`: reads of more rows than fit into it, beside the device.
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

      With --memory: four times as many bytes of rows as there is memory, by the clock. memory/read: random rows, 32 reads \
      at a time, one thread, pages past the page cache; beside fio's random reads of 16 KiB of the same file at the same \
      depth. memory/hot-read: meanwhile 20 000 reads a second of 1 000 hot rows, by Zipf's law, times from the moment \
      that the timetable says. RocksDB and LMDB read the same rows by 32 threads; LMDB only where a control group \
      limits the process to that memory.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var repetition: RoundsOptions
  @Option(
    help: ArgumentHelp("How many rows, as 2500, 500K or 10M (default: 1M; four times --memory).", valueName: "count"))
  var rows: RowCount?
  @Option(help: ArgumentHelp("Read from disk, with so much memory, as 512MiB or 1GiB.", valueName: "size"))
  var memory: ByteCount?
  @Option(help: ArgumentHelp("Length of one measurement with --memory.", valueName: "seconds")) var seconds = 10.0
  @Option(
    help: ArgumentHelp(
      "Where the logs and RocksDB's files are made and removed: on a disk. LMDB's is in /dev/shm if that is there.",
      valueName: "dir"))
  var directory = "."

  func validate() throws {
    guard (1000...100_000_000).contains(rowCount) else { throw ValidationError("--rows is between 1000 and 100M.") }
    guard memory.map({ (8 << 20...16 << 30).contains($0.value) }) ?? true else {
      throw ValidationError("--memory is between 8MiB and 16GiB.")
    }
    guard (0.1...60).contains(seconds) else { throw ValidationError("--seconds is between 0.1 and 60.") }
  }

  private var rowCount: Int { rows?.value ?? memory.map { PagedComparison.rows(for: $0) } ?? 1_000_000 }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let (machine, places) = (Machine(), try EnginePlaces(disk: directory))
      if let memory { try readFromDisk(memory, places, machine) } else { try compare(places, machine) }
    }
  }

  private func compare(_ places: EnginePlaces, _ machine: Machine) throws(BenchError) {
    var comparison = try EngineComparison(rows: Rows(count: rowCount, seed: 16), places: places, machine: machine)
    for _ in 0..<repetition.rounds { try comparison.round() }
    try Report(options: report, prefix: "engine/", machine: machine)
      .print(comparison.figures, remarks: comparison.remarks)
  }

  private func readFromDisk(_ memory: ByteCount, _ places: EnginePlaces, _ machine: Machine) throws(BenchError) {
    var comparison = PagedComparison(
      rows: rowCount, memory: memory, directory: places.disk, seconds: seconds, machine: machine)
    try comparison.run(rounds: repetition.rounds)
    try Report(options: report, prefix: "memory/", machine: machine)
      .print(comparison.figures, remarks: comparison.remarks)
  }
}
