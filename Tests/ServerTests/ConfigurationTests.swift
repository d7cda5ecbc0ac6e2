import Primitives
import Testing

@testable import Server

private let good = """
  cluster: demo
  node: n1
  address: 127.0.0.1:7101
  data: data
  ca: ../ca
  certificate: node.pem
  key: node.key
  peers: {n2: "127.0.0.1:7102", n1: 127.0.0.1:7101, n3: "[::1]:7103"}
  """

private func read(
  _ yaml: String, environment: [(String, String)] = [], flags: [(Setting, String)] = []
) -> Result<Configuration, ConfigurationRefusal> {
  do throws(ConfigurationRefusal) {
    var raw = RawSettings()
    try raw.readYAML(yaml, path: "/etc/fs/n1/config.yaml")
    raw.readEnvironment(environment.map { (name: $0.0, value: $0.1) })
    for (setting, text) in flags { raw.readFlag(setting, text) }
    return .success(try Configuration(raw))
  } catch { return .failure(error) }
}

private func lines(_ yaml: String, environment: [(String, String)] = []) -> [String] {
  if case .failure(let refusal) = read(yaml, environment: environment) { return refusal.lines }
  return []
}

@Suite struct ConfigurationTests {
  @Test func aFileIsReadWithItsDefaults() throws {
    let settings = try read(good).get()
    #expect(settings.node == NodeID(1))
    #expect(settings.data == "/etc/fs/n1/data")
    #expect(settings.ca == "/etc/fs/n1/../ca")
    #expect(settings.peers.map(\.node) == [NodeID(1), NodeID(2), NodeID(3)])
    #expect(settings.memory == 256 << 20)
    #expect(settings.leases && !settings.insecure && settings.log == .init(level: .info, file: nil))
  }

  @Test func aLaterSourceWinsAndIsNamed() throws {
    let settings = try read(
      good + "\nmemory: 1GiB\nlog: {level: debug, file: log}",
      environment: [("FILESTORED_MEMORY", "128MiB"), ("PATH", "x")],
      flags: [(.leases, "off"), (.data, "elsewhere")]
    ).get()
    #expect(settings.memory == 128 << 20)
    #expect(settings.sources[.memory] == .environment("FILESTORED_MEMORY"))
    #expect(!settings.leases)
    #expect(settings.data == "elsewhere")
    #expect(settings.log == .init(level: .debug, file: "/etc/fs/n1/log"))
    #expect(settings.sources[.log] == .file("/etc/fs/n1/config.yaml", line: 10))
  }

  @Test func theEffectiveSettingsAreAFileAgain() throws {
    let settings = try read(good, flags: [(.peers, "n1=127.0.0.1:1,n2=127.0.0.1:2")]).get()
    var raw = RawSettings()
    try raw.readYAML(settings.text, path: "/copy")
    #expect(try Configuration(raw).text.split(separator: "#").count == settings.text.split(separator: "#").count)
    #expect(settings.text.contains("# default") && settings.text.contains("# flag --peers"))
  }

  @Test func textsThatYAMLWouldTakeForItsOwnAreShownInQuotes() throws {
    for path in ["/a: b", "/a #b", "/a\"b\\c", "/a\nb", "/ü\u{7F}", "/a:", "- /a", "{a}", "'a'", "/a b "] {
      let settings = try read(good, flags: [(.data, path), (.log, "debug:" + path), (.peers, "n1=[::1]:1")]).get()
      var raw = RawSettings()
      try raw.readYAML(settings.text, path: "copy")
      let again = try Configuration(raw)
      #expect(again.data == path && again.log == settings.log && again.peers == settings.peers)
    }
    #expect(try read(good).get().text.contains("data: /etc/fs/n1/data "))
  }

  @Test func anUnknownSettingIsRefusedWithItsLine() {
    #expect(
      lines(good + "\nmemori: 1GiB") == [
        "/etc/fs/n1/config.yaml:9: there is no setting `memori`; did you mean `memory`?"
      ])
    #expect(lines(good, environment: [("FILESTORED_COLOUR", "red")]).first?.contains("FILESTORED_COLOUR") == true)
  }

  @Test func aWrongValueIsRefusedWithItsLine() {
    for (line, word) in [
      ("memory: lots", "256MiB"), ("memory: 1MiB", "at least"), ("leases: maybe", "`on` or `off`"),
      ("log: loud", "no level"), ("log: {level: info, colour: red}", "colour"), ("memory: [1]", "list"),
      ("memory: {a: 1}", "one value"), ("log: ''", "empty"), ("log: ':'", "no level"), ("log: 'info:'", "no file"),
    ] {
      let found = lines(good + "\n" + line)
      #expect(
        found.count == 1 && found[0].hasPrefix("/etc/fs/n1/config.yaml:9") && found[0].contains(word),
        "\(line): \(found)")
    }
  }

  @Test func allThatIsWrongIsSaidAtOnce() {
    let found = lines("node: one\naddress: nowhere\ncluster: a b\npeers: {n1: x}\n")
    #expect(found.count == 8)
    #expect(found.filter { $0.hasSuffix("is not set") }.count == 4)
  }

  @Test func aSettingWhosePartIsNotBuiltIsRefusedUnlessItHasItsDefault() {
    for line in ["cores: 2", "lanes: 2", "pin: on", "faults: on"] {
      let found = lines(good + "\n" + line)
      #expect(found.count == 1 && found[0].contains("not supported"), "\(line): \(found)")
    }
    let defaults = "\ncores: 1\nlanes: 1\npin: off\ndisk-limit: none\nencryption-key-file: none\nfaults: off"
    #expect(lines(good + defaults).isEmpty)
  }

  @Test func aDiskLimitHasToHoldLogMemoryAndReserves() throws {
    for (line, least) in [("memory: 64MiB\ndisk-limit: 255MiB", "256MiB"), ("disk-limit: 447MiB", "448MiB")] {
      let found = lines(good + "\n" + line)
      #expect(found.count == 1 && found[0].contains("at least \(least)"), "\(line): \(found)")
      #expect(lines(good + "\n" + line.replacing(/\d+MiB$/, with: least)).isEmpty)
    }
    #expect(lines(good + "\ndisk-limit: much").first?.contains("256MiB") == true)
    var raw = RawSettings()
    try raw.readYAML(good + "\ndisk-limit: 50GiB", path: "c.yaml")
    #expect(try Configuration(raw).text.contains("disk-limit: 50GiB "))
  }

  /// Log and pages together stay below the limit, also when a start of a full log takes one segment more.
  @Test func theLimitIsSharedOutBetweenLogAndPages() {
    #expect(DiskBudget(limit: nil).logBytesMax == 1 << 30)
    #expect(DiskBudget(limit: nil).journal.reserveBytes == 128 << 20)
    for limit: UInt64 in [256 << 20, 300 << 20, 448 << 20, 1 << 30, 4 << 30, (4 << 30) - 1, 50 << 30, 1 << 50] {
      let budget = DiskBudget(limit: limit)
      let pages = UInt64(budget.pages) * 16_384
      #expect(budget.logBytesMax + budget.segmentBytes + pages <= limit)
      #expect(budget.logBytesMax <= limit / 4 && budget.segmentBytes >= 4 << 20 && budget.segmentBytes <= 64 << 20)
      #expect(pages >= limit * 2 / 3 || budget.pages == 64 << 20)
    }
  }

  @Test(arguments: [("off", 0), ("1us", 1), ("1000us", 1000)])
  func theTimeOfPollingIsRead(text: String, microseconds: UInt64) throws {
    var raw = RawSettings()
    try raw.readYAML(good + "\nbusy-poll: \(text)", path: "c.yaml")
    let configuration = try Configuration(raw)
    #expect(configuration.busyPoll == .microseconds(microseconds))
    #expect(configuration.text.contains("busy-poll: \(text) "))
  }

  @Test(arguments: ["0us", "1001us", "50", "us", "-1us", "1ms", "on"])
  func aWrongTimeOfPollingIsRefused(text: String) {
    let found = lines(good + "\nbusy-poll: \(text)")
    #expect(found.count == 1 && found[0].contains("from 1us to 1000us"), "\(found)")
  }

  @Test(arguments: [("off", 0), ("1s", 1), ("90s", 90), ("5m", 300), ("168h", 604_800)])
  func theTimeThatVersionsAreKeptIsRead(text: String, seconds: UInt64) throws {
    var raw = RawSettings()
    try raw.readYAML(good + "\nhistory-retention: \(text)", path: "c.yaml")
    let configuration = try Configuration(raw)
    #expect(configuration.historyRetention == .seconds(seconds))
    #expect(configuration.text.contains("history-retention: \(text) "))
  }

  @Test(arguments: ["0s", "169h", "1000001s", "5", "m", "-1s", "1d", "on", "18446744073709551615h"])
  func aWrongTimeOfKeepingIsRefused(text: String) {
    let found = lines(good + "\nhistory-retention: \(text)")
    #expect(found.count == 1 && found[0].contains("from 1s to 168h"), "\(found)")
  }

  @Test(arguments: [("off", 0), ("1s", 1), ("12h", 43_200), ("168h", 604_800), ("8760h", 31_536_000)])
  func theTimeOfScrubbingIsRead(text: String, seconds: UInt64) throws {
    var raw = RawSettings()
    try raw.readYAML(good + "\nscrub-every: \(text)", path: "c.yaml")
    let configuration = try Configuration(raw)
    #expect(configuration.scrubEvery == .seconds(seconds))
    #expect(configuration.text.contains("scrub-every: \(text) "))
  }

  @Test(arguments: ["0s", "8761h", "5", "on", "7d"])
  func aWrongTimeOfScrubbingIsRefused(text: String) {
    let found = lines(good + "\nscrub-every: \(text)")
    #expect(found.count == 1 && found[0].contains("from 1s to 8760h"), "\(found)")
  }

  @Test func whatDoesNotFitTogetherIsRefused() {
    #expect(lines(good.replacing("node: n1", with: "node: n4")).first?.contains("not among them") == true)
    let open = good.replacing("address: 127.0.0.1:7101", with: "address: 0.0.0.0:7101") + "\ninsecure: on"
    #expect(lines(open).first?.contains("loopback") == true)
    #expect(lines(good + "\ninsecure: on").isEmpty)
  }

  @Test(arguments: ["Demo", "de_mo", "-demo", "dé", "a b", String(repeating: "a", count: 64)])
  func aNameThatInitRefusesIsRefused(name: String) {
    let found = lines(good.replacing("cluster: demo", with: "cluster: \(name)"))
    #expect(found.count == 1 && found[0].contains("lower-case"), "\(found)")
  }

  @Test func brokenYAMLIsRefusedWithItsLine() {
    #expect(lines("cluster: demo\n  node: [").first?.hasPrefix("/etc/fs/n1/config.yaml:2") == true)
    #expect(lines("- a\n- b").first?.contains("setting: value") == true)
    #expect(lines("").first?.contains("empty") == true)
    #expect(lines(good + "\nnode: n2").first?.contains("node") == true)
  }

  @Test func sizesAreReadAndWritten() throws {
    #expect(try parseSize("4096") == 4096)
    #expect(try parseSize("3KiB") == 3072)
    #expect(formatSize(256 << 20) == "256MiB" && formatSize(1000) == "1000" && formatSize(0) == "0")
    for wrong in ["", "MiB", "1MB", "1 MiB", "-1", "9999999999999TiB", "0x10"] {
      #expect(throws: ValueRefusal.self, "\(wrong)") { try parseSize(wrong) }
    }
  }
}
