import ArgumentParser

/// # fsbench: each layer measured beside a reference, on the same machine, in the same run
///
/// **What it is for.** A figure by itself says more about the machine than about the program. Each command here measures
/// one layer and, in turn with it, a reference that does the same work: fio for the disk and the log, LMDB and RocksDB
/// for the engine, LMDB for recovery, nghttpd for the API, etcd for random keys of a whole cluster. What counts is the
/// ratio. For checkpoints the reference is the same run between them, for encryption a
/// cluster without it.
///
/// **How it works.** A command repeats *rounds*: ours, then the reference, then ours again, so that a slow minute of the
/// machine hits both. A figure is the median of its rounds. These machines are virtual: a round in which the host took
/// more than 5 % of the processors' time (steal in /proc/stat) is repeated, and the repeats are counted in the report.
/// The load average is printed beside the figures: on a busy machine they mean little.
///
/// **Figures.** `--json` prints one object a line with name, value, unit and, beside a reference, its value and the ratio
/// ours / reference: above 1 is good for rates, below 1 for times. `--check` compares them with Docs/Bars.json and
/// exits 1 when one is missed. A reference that is not installed is named with its Debian package, exit 2.
///
/// **What it does not do.** It starts no clusters (`Cluster/compare-etcd` and `Cluster/compare-encryption` do, and use `fsbench` on them), and it loads
/// one thread: figures of several cores are sums that someone else has to prove.
@main
struct Fsbench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fsbench", abstract: "Measures each layer of FileStore beside a reference on this machine.",
    subcommands: [
      DiskCommand.self, LogCommand.self, EngineCommand.self, RecoveryCommand.self, APICommand.self, KeysCommand.self,
      CheckpointCommand.self, EncryptionCommand.self, MemoryCommand.self,
    ])
}
