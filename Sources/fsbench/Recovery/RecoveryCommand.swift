import ArgumentParser
import Foundation

/// `fsbench recovery`: what a start costs after a kill.
struct RecoveryCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "recovery", abstract: "Starts nodes on what killed ones left, beside LMDB.",
    discussion: """
      Writes the data of nodes that are killed, each a cluster of its own, then starts a node on it: the data directory is \
      checked and taken, the log is read back, every command is applied. recovery/log-1GiB is the time for 1 GiB of log \
      with rows of 1 KiB and no checkpoint; recovery/rows-100/lmdb is the rate for rows of 100 bytes, beside LMDB's inserts \
      of the same rows (without sync, 1000 a transaction). Both leave out the wait for an election and the making of a \
      fresh segment. recovery/store-5GiB is the time from the start to the answer to the first read of a row, with \
      everything: 5 GiB of rows in a checkpoint, 10 MiB of log behind it. Keys are random.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var repetition: RoundsOptions
  @Option(help: ArgumentHelp("Where the data is made and removed.", valueName: "dir")) var directory = "."
  @Option(help: ArgumentHelp("Size of the log with rows of 1 KiB.", valueName: "MiB")) var log: UInt64 = 1024
  @Option(help: ArgumentHelp("How many rows of 100 bytes.", valueName: "count")) var rows = 1_000_000
  @Option(help: ArgumentHelp("Rows of the large store.", valueName: "MiB")) var store = 5120
  @Option(
    name: .customLong("lmdb-directory"),
    help: ArgumentHelp("Where LMDB's file is made and removed (default: /dev/shm, in memory).", valueName: "dir"))
  var lmdbDirectory: String?

  func validate() throws {
    guard (1...65_536).contains(log) else { throw ValidationError("--log is between 1 and 65536.") }
    guard (1000...100_000_000).contains(rows) else { throw ValidationError("--rows is between 1000 and 100000000.") }
    guard (1...65_536).contains(store) else { throw ValidationError("--store is between 1 and 65536.") }
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let machine = Machine()
      let library = try LMDBLibrary()
      let place = lmdbDirectory ?? (access("/dev/shm", W_OK) == 0 ? "/dev/shm" : directory)
      let comparison = try RecoveryComparison(logMiB: log, rows: rows, storeMiB: store, directory: directory)
      for _ in 0..<repetition.rounds { try comparison.round(machine, library, place) }
      try Report(options: report, prefix: "recovery/", machine: machine)
        .print(comparison.figures, remarks: comparison.remarks)
    }
  }
}
