import ArgumentParser

/// `fscluster dump --data DIR`: the rows that a stopped node holds, without a cluster.
struct Dump: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the rows of a stopped node as NDJSON, as its newest checkpoint holds them.",
    discussion: """
      What the newest durable checkpoint holds is printed, in the order of the keys, and nothing else: the log behind it may \
      hold writes that were acknowledged, and others that never were; only a majority of the nodes knows which. How far the \
      log goes on is said on standard error. A node writes a checkpoint after 64 MiB of log.

      With --table a line is a row; without, {"table":NAME,"row":{…}} for the rows of all tables of users. Older versions \
      that the history keeps are no rows. Each page is checked before its rows are printed; rows in damaged pages are \
      missing, and the exit code is 1 then. Changes nothing in the data directory.
      """)

  @OptionGroup var stopped: StoppedDataOptions
  @Option(help: ArgumentHelp("Only this table; system tables (fs_tables, …) too.", valueName: "name")) var table:
    String?
  @Argument(help: "The file; - writes to standard output.") var file = "-"

  func run() throws(CommandError) {
    let data = try stopped.open()
    let output = try ExportFile(file)
    let result = try data.dump(table: table) { bytes throws(CommandError) in try output.write(bytes) }
    guard result.damage.isEmpty else {
      for line in result.damage { Console.note(line) }
      throw .failed(
        "\(Humane.count(result.rows, "row")) printed, others are lost: \(Humane.count(result.damage.count, "damaged place"))",
        next: "fscluster verify --data \(stopped.data) shows all of them; the rows are on the other nodes.")
    }
    try output.finish()
    Console.note("\(Humane.count(result.rows, "row")) of checkpoint \(result.epoch)")
    for line in result.behind { Console.note(line) }
  }
}
