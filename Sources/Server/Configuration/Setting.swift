/// The settings of a node, by the names that the file, the environment and the flags use.
package enum Setting: String, CaseIterable, Sendable {
  case cluster, node, address, data, ca, certificate, key, peers, cores, lanes, pin, memory, connections, leases
  case busyPoll = "busy-poll"
  case historyRetention = "history-retention"
  case scrubEvery = "scrub-every"
  case diskLimit = "disk-limit"
  case encryptionKeyFile = "encryption-key-file"
  case faults, insecure, log

  /// `FILESTORED_DISK_LIMIT` for `disk-limit`.
  package var environmentName: String {
    "FILESTORED_" + rawValue.uppercased().map { $0 == "-" ? "_" : String($0) }.joined()
  }

  package var flagName: String { "--" + rawValue }

  /// The value is a path; a relative one is relative to the file that holds it.
  var isPath: Bool {
    switch self {
    case .data, .ca, .certificate, .key, .encryptionKeyFile: true
    default: false
    }
  }
}

/// Where a value came from. Shown beside effective settings, and first in every refusal.
package enum SettingSource: Equatable, Sendable, CustomStringConvertible {
  case builtIn
  case file(String, line: Int)
  case environment(String)
  case flag(String)

  package var description: String {
    switch self {
    case .builtIn: "default"
    case .file(let path, let line): "\(path):\(line)"
    case .environment(let name): "environment \(name)"
    case .flag(let name): "flag \(name)"
    }
  }
}

/// A value as it was written.
package enum RawValue: Equatable, Sendable {
  case text(String)
  /// Keys in the order of the file.
  case mapping([Field])

  package struct Field: Equatable, Sendable {
    package var name: String
    package var text: String
    package var line: Int
  }
}

package struct RawSetting: Equatable, Sendable {
  package var value: RawValue
  package var source: SettingSource
}

/// Settings that cannot be used: one line each, each with its place. Nothing was changed.
package struct ConfigurationRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  package var lines: [String]
  package init(_ lines: [String]) { self.lines = lines }
  package init(_ line: String) { lines = [line] }
  package var description: String { lines.joined(separator: "\n") }
}
