import ArgumentParser

/// `fscluster inspect --data DIR`: the files of a stopped node, read and judged, never changed.
struct Inspect: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the files of a stopped node: superblocks, shards, log. Exit code 1: something is damaged.",
    discussion: "Reads every page that the newest superblock leads to, and every block of the log; changes nothing.")

  @OptionGroup var stopped: StoppedDataOptions
  @Flag(help: "List every block of the log with its records.") var blocks = false
  @Flag(help: "Print the result as JSON.") var json = false

  func run() throws(CommandError) {
    let report = try stopped.open().inspect(listingBlocks: blocks)
    if json {
      Console.out(Console.json(report))
    } else {
      for line in report.lines { Console.out(line) }
    }
    guard report.damage.isEmpty else {
      throw .failed(
        Humane.count(report.damage.count, "damaged place"),
        next: "Keep a copy of the directory before anything else is done.")
    }
  }
}
