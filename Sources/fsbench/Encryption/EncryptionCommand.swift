import ArgumentParser
import FileStoreClient

/// `fsbench encryption`: random keys of two running clusters, one whose nodes encrypt their data beside one whose nodes do not.
struct EncryptionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "encryption",
    abstract: "Writes and reads of random keys with encryption at rest, beside the same without.",
    discussion: """
      Both clusters are filled with the same keys, then written and read over random ones in turn, as by fsbench keys: \
      encryption/write/CxM and encryption/read/CxM are rates of the encrypted cluster, whose reference is the plain one; \
      …/latency and …/cpu likewise. That the one leader encrypts and the other does not is checked by their metrics, and \
      that there were checkpoints while it was written is told. Cluster/compare-encryption makes both clusters.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var repetition: RoundsOptions
  @OptionGroup(title: "Encrypted cluster") var encrypted: FileStoreOptions
  @Option(help: ArgumentHelp("A node of the plain cluster, http://HOST:PORT.", valueName: "url")) var plain: String
  @Option(help: ArgumentHelp("A file that holds a token for it.", valueName: "file")) var plainTokenFile: String
  @Option(help: ArgumentHelp("Processes of the encrypted cluster, separated by commas.", valueName: "pids"))
  var filestorePids = ""
  @Option(help: ArgumentHelp("The same of the plain one.", valueName: "pids")) var plainPids = ""
  @OptionGroup(title: "Load") var load: KeysLoadOptions

  func validate() throws {
    guard Endpoint(plain)?.isSecure == false else { throw ValidationError("--plain is http://HOST:PORT.") }
    guard KeysSystemsOptions.numbers(filestorePids) != nil, KeysSystemsOptions.numbers(plainPids) != nil else {
      throw ValidationError("--filestore-pids and --plain-pids are numbers, separated by commas.")
    }
  }

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let machine = Machine()
      let tls = try encrypted.makeTLS()
      let systems = try open()
      let comparison = KeysComparison(
        systems, tls: tls, settings: load.settings, machine: machine, prefix: "encryption")
      if !load.filled { try comparison.fill() }
      try comparison.checkFilled()
      if load.fillOnly { return }
      let before = try systems.map { system throws(BenchError) in try system.metrics() }
      for _ in 0..<repetition.rounds { try comparison.round() }
      try Report(options: report, prefix: "encryption/", machine: machine).print(
        comparison.figures, remarks: try remarks(systems, before))
    }
  }

  func open() throws(BenchError) -> [FileStoreSystem] {
    let ours = try encrypted.place().open(processes: KeysSystemsOptions.numbers(filestorePids) ?? [], as: "encrypted")
    var options = encrypted
    (options.filestore, options.tokenFile) = (plain, plainTokenFile)
    let other = try options.place().open(processes: KeysSystemsOptions.numbers(plainPids) ?? [], as: "plain")
    for (system, expected) in [(ours, 1.0), (other, 0.0)] {
      guard try system.metrics().total("filestore_encrypted") == expected else {
        throw .usage("\(system.endpoint): its leader \(expected == 1 ? "does not encrypt" : "encrypts") its data")
      }
    }
    return [ours, other]
  }

  func remarks(_ systems: [FileStoreSystem], _ before: [MetricsPage]) throws(BenchError) -> [String] {
    var remarks: [String] = []
    for (system, page) in zip(systems, before) {
      let now = try system.metrics()
      func rose(_ name: String) -> Int { Int(now.total(name) - page.total(name)) }
      remarks.append(
        "\(system.name): its leader wrote \(rose("filestore_journal_blocks_written_total")) log blocks and "
          + "\(rose("filestore_pages_written_total")) pages in \(rose("filestore_checkpoints_total")) checkpoints")
    }
    return remarks
  }
}
