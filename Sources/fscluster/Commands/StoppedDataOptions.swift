import ArgumentParser

/// Which data directory of a stopped node, for the commands that read one.
struct StoppedDataOptions: ParsableArguments {
  @Option(help: ArgumentHelp("The node's data directory (DIR/n1/data).", valueName: "dir")) var data: String
  @Option(
    help: ArgumentHelp(
      "Master keys of encrypted data; else those that config.yaml beside the directory names.", valueName: "file"))
  var encryptionKeyFile: String?

  func open() throws(CommandError) -> StoppedData { try StoppedData(data, keyFile: encryptionKeyFile) }
}
