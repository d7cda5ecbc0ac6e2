import Primitives
import Ring

/// The effective settings of one node: read, checked, complete.
package struct Configuration: Sendable {
  package var cluster = ""
  package var node = NodeID(0)
  /// Where this node listens: HOST:PORT.
  package var address = ""
  package var data = ""
  /// Directory with `nodes.pem` and `clients.pem`.
  package var ca = ""
  package var certificate = ""
  package var key = ""
  /// All nodes of the cluster with their addresses, this one included, in order of node.
  package var peers: [Peer] = []
  package var cores = 1
  package var lanes = 1
  package var pin = false
  /// Memory for pages, in bytes.
  package var memory: UInt64 = 256 << 20
  /// Of clients and other nodes, at once.
  package var connections = 1024
  package var leases = true
  /// How long the loop polls before it sleeps while clients work; zero: never.
  package var busyPoll = Nanoseconds.microseconds(200)
  /// How long versions of rows that were replaced or deleted can still be read; zero: not at all.
  package var historyRetention = Nanoseconds.zero
  /// Within this time everything on the disk is read again; zero: never.
  package var scrubEvery = Nanoseconds.seconds(168 * 3600)
  package var diskLimit: UInt64?
  package var encryptionKeyFile: String?
  package var faults = false
  package var insecure = false
  /// How clients reach the addresses.
  package var scheme: String { insecure ? "http" : "https" }
  package var log = LogSettings()
  /// Where each value came from, in the order of `Setting`.
  package private(set) var sources: [Setting: SettingSource] = [:]

  package struct Peer: Equatable, Sendable {
    package var node: NodeID
    package var address: String
  }

  package struct LogSettings: Equatable, Sendable {
    package var level = LogLevel.info
    /// Nil: standard error.
    package var file: String?
  }

  package enum LogLevel: String, CaseIterable, Sendable { case debug, info, warning, error }

  private static let required: [Setting] = [.cluster, .node, .address, .data, .ca, .certificate, .key, .peers]
  static let memoryMin: UInt64 = 64 << 20
  static let busyPollRange: ClosedRange<UInt64> = 1...1000
  static let historyRetentionRange: ClosedRange<Nanoseconds> = .seconds(1) ... .seconds(168 * 3600)
  static let scrubEveryRange: ClosedRange<Nanoseconds> = .seconds(1) ... .seconds(8760 * 3600)

  /// Checks everything that can be known without opening a file; all that is wrong is said at once.
  package init(_ raw: RawSettings) throws(ConfigurationRefusal) {
    var refusals = raw.refusals
    for setting in Setting.allCases {
      guard let given = raw[setting] else {
        if Self.required.contains(setting) { refusals.append("`\(setting.rawValue)` is not set") }
        sources[setting] = .builtIn
        continue
      }
      sources[setting] = given.source
      do throws(ValueRefusal) { try set(setting, given) } catch {
        refusals.append("\(given.source): `\(setting.rawValue)`: \(error.reason)")
      }
    }
    if raw[.lanes] == nil { lanes = cores }
    if refusals.isEmpty { refusals += contradictions() }
    refusals += notBuiltYet()
    guard refusals.isEmpty else { throw ConfigurationRefusal(refusals) }
  }

  private mutating func set(_ setting: Setting, _ given: RawSetting) throws(ValueRefusal) {
    switch (setting, given.value) {
    case (.peers, .mapping(let fields)): peers = try parsePeers(fields.map { ($0.name, $0.text) })
    case (.peers, .text(let text)): peers = try parsePeers(text)
    case (.log, .mapping(let fields)): try setLog(fields, given.source)
    case (_, .mapping): throw ValueRefusal("it takes one value")
    case (_, .text(let text)):
      guard !text.isEmpty else { throw ValueRefusal("it is empty") }
      try set(
        setting, setting.isPath && text != "none" ? resolve(text, in: directory(of: given.source)) : text, given.source)
    }
  }

  private mutating func set(_ setting: Setting, _ text: String, _ source: SettingSource) throws(ValueRefusal) {
    switch setting {
    case .cluster: cluster = try parseName(text)
    case .node: node = try parseNode(text)
    case .address: address = try parseAddress(text)
    case .data: data = text
    case .ca: ca = text
    case .certificate: certificate = text
    case .key: key = text
    case .peers: peers = try parsePeers(text)
    case .cores: cores = try parseCount(text, in: 1...1024)
    case .lanes: lanes = try parseCount(text, in: 1...1024)
    case .pin: pin = try parseSwitch(text)
    case .memory: memory = try parseMemory(text)
    case .connections: connections = try parseCount(text, in: 16...65_536)
    case .leases: leases = try parseSwitch(text)
    case .busyPoll: busyPoll = try parseBusyPoll(text)
    case .historyRetention: historyRetention = try parseRetention(text)
    case .scrubEvery: scrubEvery = try parseScrubTime(text)
    case .diskLimit: diskLimit = text == "none" ? nil : try parseSize(text)
    case .encryptionKeyFile: encryptionKeyFile = text == "none" ? nil : text
    case .faults: faults = try parseSwitch(text)
    case .insecure: insecure = try parseSwitch(text)
    case .log: try setLog(text)
    }
  }

  private func directory(of source: SettingSource) -> String {
    if case .file(let path, _) = source { return FileSystem.parent(of: path) }
    return "."
  }
}

// Single values.
extension Configuration {
  private func parseName(_ text: String) throws(ValueRefusal) -> String {
    guard ClusterName.isValid(text) else { throw ValueRefusal("`\(text)` is no name: \(ClusterName.rule)") }
    return text
  }

  private func parseNode(_ text: String) throws(ValueRefusal) -> NodeID {
    guard let node = NodeID(name: text) else { throw ValueRefusal("`\(text)` is no node name: n1, n2, …") }
    return node
  }

  private func parseAddress(_ text: String) throws(ValueRefusal) -> String {
    guard SocketAddress.split(text) != nil else {
      throw ValueRefusal("`\(text)` is no address: HOST:PORT, with an IPv6 address in brackets")
    }
    return text
  }

  private func parseMemory(_ text: String) throws(ValueRefusal) -> UInt64 {
    let bytes = try parseSize(text)
    guard bytes >= Self.memoryMin else { throw ValueRefusal("at least \(formatSize(Self.memoryMin))") }
    return bytes
  }

  /// `off`, or microseconds, as the kernel's setting of this name has them: `50us`.
  private func parseBusyPoll(_ text: String) throws(ValueRefusal) -> Nanoseconds {
    if text == "off" { return .zero }
    guard text.hasSuffix("us"), let time = UInt64(text.dropLast(2)), Self.busyPollRange.contains(time) else {
      throw ValueRefusal("write `off`, or a time from 1us to 1000us")
    }
    return .microseconds(time)
  }

  /// `off`, or a time of at least a second.
  private func parseRetention(_ text: String) throws(ValueRefusal) -> Nanoseconds {
    if text == "off" { return .zero }
    if let time = parseTime(text), Self.historyRetentionRange.contains(time) { return time }
    throw ValueRefusal("write `off`, or a time from 1s to 168h, such as 30s, 5m or 2h")
  }

  /// `off`, or a time of at least a second.
  private func parseScrubTime(_ text: String) throws(ValueRefusal) -> Nanoseconds {
    if text == "off" { return .zero }
    if let time = parseTime(text), Self.scrubEveryRange.contains(time) { return time }
    throw ValueRefusal("write `off`, or a time from 1s to 8760h, such as 24h or 168h")
  }

  /// `n1=127.0.0.1:7101,n2=127.0.0.1:7102`, for the environment and flags.
  private func parsePeers(_ text: String) throws(ValueRefusal) -> [Peer] {
    var pairs: [(String, String)] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let equals = part.firstIndex(of: "=") else {
        throw ValueRefusal("write n1=HOST:PORT,n2=HOST:PORT,…, or in a file a mapping of nodes to addresses")
      }
      pairs.append((String(part[..<equals]), String(part[part.index(after: equals)...])))
    }
    return try parsePeers(pairs)
  }

  private func parsePeers(_ pairs: [(String, String)]) throws(ValueRefusal) -> [Peer] {
    var peers: [Peer] = []
    for (name, address) in pairs {
      let peer = Peer(node: try parseNode(name), address: try parseAddress(address))
      guard !peers.contains(where: { $0.node == peer.node }) else { throw ValueRefusal("\(name) stands there twice") }
      guard !peers.contains(where: { $0.address == peer.address }) else {
        throw ValueRefusal("two nodes have the address \(address)")
      }
      peers.append(peer)
    }
    return peers.sorted { $0.node < $1.node }
  }

  private func parseLevel(_ text: String) throws(ValueRefusal) -> LogLevel {
    guard let level = LogLevel(rawValue: text) else {
      throw ValueRefusal("`\(text)` is no level: \(LogLevel.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return level
  }

  /// `info`, or `info:FILE`.
  private mutating func setLog(_ text: String) throws(ValueRefusal) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    log.level = try parseLevel(String(parts[0]))
    guard parts.count > 1 else { return }
    guard !parts[1].isEmpty else { throw ValueRefusal("no file stands behind `\(text)`") }
    log.file = String(parts[1])
  }

  private mutating func setLog(_ fields: [RawValue.Field], _ source: SettingSource) throws(ValueRefusal) {
    for field in fields {
      switch field.name {
      case "level": log.level = try parseLevel(field.text)
      case "file": log.file = resolve(field.text, in: directory(of: source))
      default: throw ValueRefusal("line \(field.line): `log` has `level` and `file`, not `\(field.name)`")
      }
    }
  }
}

// What fits together, and what is not built.
extension Configuration {
  private func place(_ setting: Setting) -> String { "\(sources[setting] ?? .builtIn): `\(setting.rawValue)`" }

  private func contradictions() -> [String] {
    var found: [String] = []
    if !peers.contains(where: { $0.node == node }) {
      found.append("\(place(.peers)): this node, \(node), is not among them")
    }
    if let limit = diskLimit, let refusal = tooSmall(limit) { found.append(refusal) }
    for address in insecure ? [address] + peers.map(\.address) : [] where !isLoopback(address) {
      found.append("\(place(.insecure)): plain text is for loopback addresses only, not for \(address)")
    }
    return found
  }

  private func tooSmall(_ limit: UInt64) -> String? {
    let least = DiskBudget.least(memory: memory)
    if limit >= least { return nil }
    return "\(place(.diskLimit)): with memory: \(formatSize(memory)) at least \(formatSize(least))"
  }

  private func isLoopback(_ address: String) -> Bool {
    do throws(SocketAddress.Refusal) { return try SocketAddress(address).isLoopback } catch { return false }
  }

  /// Settings whose part does not exist are refused by name rather than ignored.
  private func notBuiltYet() -> [String] {
    var found: [Setting] = []
    if cores != 1 { found.append(.cores) }
    if lanes != 1 && sources[.lanes] != .builtIn { found.append(.lanes) }
    if pin { found.append(.pin) }
    if faults { found.append(.faults) }
    return found.map { "\(place($0)): not supported by this version; leave it out" }
  }

  /// The effective settings as a configuration file, each with its source.
  package var text: String {
    var lines: [(String, SettingSource)] = []
    for setting in Setting.allCases { lines.append((text(of: setting), sources[setting] ?? .builtIn)) }
    let width = min(60, lines.map { $0.0.count }.max() ?? 0)
    return lines.map { line, source in
      "\(line)\(String(repeating: " ", count: max(0, width - line.count)))  # \(source)\n"
    }.joined()
  }

  private func text(of setting: Setting) -> String {
    let value: String =
      switch setting {
      case .cluster: cluster
      case .node: node.description
      case .address: formatText(address)
      case .data: formatText(data)
      case .ca: formatText(ca)
      case .certificate: formatText(certificate)
      case .key: formatText(key)
      case .peers: "{" + peers.map { "\($0.node): \(formatQuoted($0.address))" }.joined(separator: ", ") + "}"
      case .cores: String(cores)
      case .lanes: String(lanes)
      case .pin: pin ? "on" : "off"
      case .memory: formatSize(memory)
      case .connections: String(connections)
      case .leases: leases ? "on" : "off"
      case .busyPoll: busyPoll == .zero ? "off" : "\(busyPoll.rawValue / 1000)us"
      case .historyRetention: historyRetention == .zero ? "off" : formatTime(historyRetention)
      case .scrubEvery: scrubEvery == .zero ? "off" : formatTime(scrubEvery)
      case .diskLimit: diskLimit.map(formatSize) ?? "none"
      case .encryptionKeyFile: encryptionKeyFile.map(formatText) ?? "none"
      case .faults: faults ? "on" : "off"
      case .insecure: insecure ? "on" : "off"
      case .log: log.file.map { "{level: \(log.level.rawValue), file: \(formatQuoted($0))}" } ?? log.level.rawValue
      }
    return "\(setting.rawValue): \(value)"
  }
}
