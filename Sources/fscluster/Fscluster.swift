import ArgumentParser

/// `fscluster`: makes clusters on this machine, starts and stops their nodes, shows what a cluster does, moves data in and
/// out.
///
/// **How it works.** Each command is a file in `Commands`. Those that work on a directory (`init`, `start`, `stop`,
/// `restart`, `inspect`, `verify`, `dump`, `keys`) need no running node; the others are clients of the API, through
/// `FileStoreClient`, and know of the cluster only what it tells.
///
/// **Conventions.** Results on standard output, everything else on standard error. Exit codes: 0 it did what it says, 1 it
/// failed, 2 wrong usage or environment with nothing changed, 3 the cluster is degraded (`status`). An error says what to
/// do next.
@main
struct Fscluster: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fscluster",
    abstract: "Runs and inspects FileStore clusters.",
    discussion: """
      A command finds its cluster by --directory, or by --endpoints, --ca and --token, or by the environment (FS_ENDPOINTS, \
      FS_CA, FS_TOKEN), or in ./filestore.

      Exit codes: 0 done, 1 failed, 2 wrong usage or environment (nothing was changed), 3 the cluster is degraded.
      """,
    subcommands: [
      Init.self, Start.self, Stop.self, Restart.self, Status.self, Token.self, Import.self, Export.self, Leader.self,
      Inspect.self, Verify.self, Dump.self, Keys.self,
    ])

  static func main() {
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as CommandError {
      Console.write(Array(error.text.utf8), to: 2)
      exit(withCode: error.outcome.rawValue)
    } catch {
      finish(error)
    }
  }

  /// Help and version go to standard output with 0; wrong usage ends with 2.
  private static func finish(_ error: any Error) -> Never {
    let text = fullMessage(for: error)
    guard exitCode(for: error) != .success else {
      Console.out(text)
      exit(withCode: 0)
    }
    Console.note(text)
    exit(withCode: CommandError.Outcome.usage.rawValue)
  }

  private static func exit(withCode code: Int32) -> Never { Fscluster.exit(withError: ExitCode(code)) }
}
