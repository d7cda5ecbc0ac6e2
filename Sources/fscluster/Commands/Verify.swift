import ArgumentParser

/// `fscluster verify --data DIR`: everything that a stopped node holds, read, compared, never changed.
struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check the files of a stopped node. Exit code 0: sound, 1: something was found.",
    discussion: """
      Reads all pages that both superblocks lead to, every row, the bitmaps, the whole log as a start would that began at \
      either checkpoint, and the list of starts. Compares checksums, counts, the state hash, and whose directory it is. \
      Changes nothing. Each finding names file and offset. A torn write at the log's end, as a crash leaves it, is no finding.
      """)

  @OptionGroup var stopped: StoppedDataOptions
  @Flag(help: "Print the result as JSON.") var json = false

  func run() throws(CommandError) {
    let result = try stopped.open().verify()
    if json {
      Console.out(Console.json(result))
    } else {
      for line in result.lines { Console.out(line) }
    }
    guard result.isSound else {
      throw .failed(
        Humane.count(result.findings.count, "finding"),
        next: "Keep a copy of the directory before anything else is done.")
    }
  }
}
