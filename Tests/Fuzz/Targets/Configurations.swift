@testable import Server

extension FuzzTarget {
  /// A node's settings: lines `FILESTORED_NAME=value` are its environment, lines `--name=value` its flags, all others its file.
  static let configuration = FuzzTarget(
    "configuration", inputBytesMax: 2048, memory: MemoryBound(base: 4 << 20, perInputByte: 4096)
  ) { input in
    var file: [UInt8] = []
    var environment: [(name: String, value: String)] = []
    var flags: [(Setting, String)] = []
    for line in input.bytes.split(separator: 10, omittingEmptySubsequences: false) {
      let parts = line.split(separator: 61, maxSplits: 1, omittingEmptySubsequences: false).map { text($0) }
      if line.starts(with: utf8("FILESTORED_")), parts.count == 2 {
        environment.append((parts[0], parts[1]))
      } else if parts.count == 2, let setting = Setting.allCases.first(where: { $0.flagName == parts[0] }) {
        flags.append((setting, parts[1]))
      } else {
        file += line + [10]
      }
    }
    check(text(file), environment, flags)
  }

  private static func check(
    _ file: String, _ environment: [(name: String, value: String)], _ flags: [(Setting, String)]
  ) {
    var raw = RawSettings()
    do throws(ConfigurationRefusal) {
      try raw.readYAML(file, path: "/etc/filestored.yaml")
      raw.readEnvironment(environment)
      for (setting, value) in flags { raw.readFlag(setting, value) }
      let configuration = try Configuration(raw)
      require(configuration.peers.contains { $0.node == configuration.node }, "a node is among its peers")
      checkIsAFileAgain(configuration)
    } catch {
      require(!error.lines.isEmpty && !error.lines.contains(""), "a refusal says what is wrong")
    }
  }

  /// The effective settings, as they are shown, are a file that says the same.
  private static func checkIsAFileAgain(_ configuration: Configuration) {
    var raw = RawSettings()
    do throws(ConfigurationRefusal) {
      try raw.readYAML(configuration.text, path: "copy.yaml")
      let again = try Configuration(raw)
      require(values(again) == values(configuration), "`\(configuration.text)` says what it shows")
    } catch { fatalError("settings that are shown are refused: \(error) of `\(configuration.text)`") }
  }

  /// Each value, without where it comes from.
  private static func values(_ configuration: Configuration) -> [String] {
    [
      configuration.cluster, "\(configuration.node)", configuration.address, configuration.data, configuration.ca,
      configuration.certificate, configuration.key, "\(configuration.peers)", "\(configuration.memory)",
      "\(configuration.leases)", "\(configuration.insecure)", "\(configuration.log)",
    ]
  }
}
