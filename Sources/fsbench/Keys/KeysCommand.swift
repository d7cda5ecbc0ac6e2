import ArgumentParser

/// `fsbench keys`: random keys of running clusters, FileStore's beside etcd's. They show what one key cannot: other
/// pages with each request, deep trees, checkpoints of everything.
struct KeysCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "keys", abstract: "Writes and reads of random keys of a running cluster, beside etcd.",
    discussion: """
      First all keys are put into both systems, in the order of the keys, by requests of 500 rows (/v1/batch) and of \
      128 puts (KV/Txn, etcd's limit): a read has to find its key on both sides. Then rounds: each shape written \
      (PUT; gRPC KV/Put), then read (linearizable GET; KV/Range), keys uniformly random, the same on both sides, \
      values of 100 bytes. A read has to give that key's value. After each run the systems' own counters must have \
      risen by the number of requests, and for writes the disks' flushes by enough; otherwise there are no figures.

      2 000 000 keys are far beyond the processor's caches (some 300 MB a copy) and still filled in within minutes. A \
      node of FileStore needs more for pages than its 256MiB (setting memory; a checkpoint begins when three \
      eighths are dirty), etcd more than its 2 GiB (--quota-backend-bytes) for many rounds. And restart etcd's nodes \
      between --fill-only and --filled, as Cluster/compare-etcd does: with \
      each read etcd 3.4 copies a buffer that has room for the most writes that it ever had between two commits, and \
      filling leaves one behind that makes its reads several times slower than they are otherwise.

      keys/write/CxM and keys/read/CxM are rates; …/latency the mean time, …/latency/p50, p99, p99.9 and max; …/cpu \
      the processor time of the system's processes for one request. With --rate requests arrive at that rate whatever \
      the answers do, and their time counts from their arrival. Plain text for http://, TLS 1.3 for https://.
      """)

  @OptionGroup var report: ReportOptions
  @OptionGroup var repetition: RoundsOptions
  @OptionGroup(title: "Systems") var systems: KeysSystemsOptions
  @OptionGroup(title: "Load") var load: KeysLoadOptions

  func run() throws {
    try reportingErrors { () throws(BenchError) in
      let machine = Machine()
      let tls = try systems.makeTLS()
      let comparison = KeysComparison(
        try systems.make(tls: tls), tls: tls, settings: load.settings, machine: machine)
      if !load.filled { try comparison.fill() }
      try comparison.checkFilled()
      if load.fillOnly { return }
      for _ in 0..<repetition.rounds { try comparison.round() }
      try Report(options: report, prefix: "keys/", machine: machine).print(comparison.figures, remarks: [])
    }
  }
}
