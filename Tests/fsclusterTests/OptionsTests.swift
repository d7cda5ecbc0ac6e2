import FileStoreClient
import Testing
import Transport

@testable import fscluster

@Suite struct ConnectionOptionsTests {
  private func configuration(
    _ arguments: [String], _ environment: [String: String] = [:]
  ) throws -> ClientConfiguration {
    try PlaceOptions.parse(arguments).clientConfiguration(environment: environment)
  }

  @Test func flagsNameTheCluster() throws {
    let found = try configuration(["--endpoints", "https://a:1,https://b:2", "--ca", "ca.pem", "--token", "fst1.x.y"])
    #expect(found.endpoints.map(\.description) == ["https://a:1", "https://b:2"])
    #expect(found.authority == "ca.pem")
    #expect(found.identity == .token("fst1.x.y"))
  }

  @Test func theEnvironmentNamesTheCluster() throws {
    let environment = ["FS_ENDPOINTS": "https://a:1", "FS_CA": "ca.pem", "FS_TOKEN": "t"]
    #expect(try configuration([], environment).identity == .token("t"))
    #expect(try configuration(["--endpoints", "https://b:2"], environment).endpoints[0].host == "b")
  }

  @Test func aCertificateTakesThePlaceOfAToken() throws {
    let found = try configuration(
      ["--endpoints", "https://a:1", "--ca", "c", "--certificate", "x.pem", "--certificate-key", "x.key"])
    #expect(found.identity == .certificate(file: "x.pem", key: "x.key"))
  }

  @Test(arguments: [
    [], ["--endpoints", "https://a:1"], ["--endpoints", "https://a:1", "--ca", "c"], ["--endpoints", "nonsense"],
    ["--endpoints", "https://a:1", "--ca", "c", "--certificate", "x"], ["--directory", "/nowhere/at/all"],
    ["--directory", "d", "--endpoints", "https://a:1"],
  ])
  func whatIsMissingIsWrongUsage(arguments: [String]) {
    #expect { try configuration(arguments) } throws: { ($0 as? CommandError)?.outcome == .usage }
  }
}

@Suite struct CommandOptionsTests {
  @Test(arguments: [
    ["import", "t", "f", "--writers", "0"], ["import", "t", "f", "--batch", "1001"], ["import", "t", "-", "--resume"],
    ["import", "t", "f", "--create"], ["import", "t", "f", "--key", "id"], ["import", "t"], ["export", "t"],
    ["token"], ["token", "--user", "a", "--revoke", "b"], ["token", "--user", "a", "--expires", "tomorrow"],
    ["shards"], ["status", "--nonsense"], ["leader", "x"], ["import", "t", "f", "--format", "xml"],
  ])
  func wrongUsageIsRefused(arguments: [String]) {
    #expect(throws: (any Error).self) { try Fscluster.parseAsRoot(arguments) }
  }

  @Test func aTokenIsRevokedByItsSerialOrByItself() throws {
    let key = try CertificateAuthority(name: "clients").credentials.key
    let claims = TokenClaims(user: "bob", cluster: "c", expires: 4_000_000_000)
    let token = try TokenAuthority(key: .text(key)).issue(claims)
    #expect(try Token.serial(of: token) == claims.serial)
    #expect { try Token.serial(of: "fst1.nonsense") } throws: { ($0 as? CommandError)?.outcome == .usage }
  }

  @Test func everyCommandParses() throws {
    let lines = [
      "init dir --name demo --node a:1 --node b:1 --node c:1", "start n1 n2 --directory d", "stop --force",
      "restart n1 --json", "status --watch --json", "token --user bob --expires 12h", "token --revoke 00ff",
      "import t f --create --key id,name --writers 4 --resume --rejects r --acked a --batch 100",
      "import t - --format csv", "export t - --format csv", "leader", "leader 1 --to n2",
    ]
    for line in lines {
      #expect(throws: Never.self, "\(line)") { try Fscluster.parseAsRoot(line.split(separator: " ").map(String.init)) }
    }
  }

  @Test func lengthsOfTimeHaveUnits() {
    #expect(Lifetime.seconds("30d") == 2_592_000)
    #expect(Lifetime.seconds("12h") == 43_200)
    #expect(Lifetime.seconds("90m") == 5400)
    #expect(Lifetime.seconds("45s") == 45)
    for text in ["", "30", "d", "-1d", "0d", "1w", "99999999999999999999d", "3651d"] {
      #expect(Lifetime.seconds(text) == nil, "\(text)")
    }
  }
}

@Suite struct OutputTests {
  @Test func numbersAreReadable() {
    #expect(Humane.count(1_234_567) == "1 234 567")
    #expect(Humane.count(12) == "12")
    #expect(Humane.bytes(1536) == "1.5 KiB")
    #expect(Humane.seconds(75) == "1 min 15 s")
  }

  @Test func tablesAreAligned() {
    #expect(Humane.table([["a", "bb"], ["ccc", "1"]], right: [1]) == ["a    bb", "ccc   1"])
  }

  @Test func progressShowsABarOnATerminalOnly() {
    let bar = Progress(title: "importing t", unit: "rows", isTerminal: true, now: 0)
    #expect(
      bar.line(count: 500, share: 0.5, now: 10, width: 100).contains("[####################--------------------]  50 %")
    )
    let plain = Progress(title: "importing t", unit: "rows", isTerminal: false, now: 0)
    #expect(
      plain.line(count: 500, share: 0.5, now: 10, width: 100) == "importing t  50 %  500 rows  50 rows/s  10 s left")
  }

  @Test func statusNamesWhatLimits() {
    let cluster = ClusterAnswer(
      name: "demo", id: "00", version: "0.1", health: "degraded", failuresTolerated: 0, limits: ["n3 does not answer"])
    let replica = NodeList.Replica(
      shard: 1, role: "leader", term: 4, commitIndex: 9, appliedIndex: 9, stateHash: "00ff", rows: 12, logBytes: 2048,
      logBytesMax: nil)
    let scrub = NodeList.Scrub(
      state: "running", percent: 42, passes: 3, finishedSecondsAgo: 75, damageFound: 7, damageRewritten: 6)
    let nodes = [
      NodeList.Node(
        id: "n1", address: "https://a:1", version: "0.1", state: "up", replicas: [replica], scrub: scrub,
        memory: NodeList.Memory(resident: 1536, budget: 4 << 20)),
      NodeList.Node(id: "n3", address: "https://c:1", version: nil, state: "down", replicas: []),
    ]
    let lines = Status.lines(.init(cluster: cluster, nodes: nodes, json: ""))
    #expect(lines[0] == "cluster demo  degraded, survives no further failure")
    #expect(lines.contains { $0.contains("leader") && $0.contains("00ff") && $0.contains("2.0 KiB") })
    #expect(lines.contains { $0.contains("42 %") && $0.contains("1 min 15 s ago") && $0.hasSuffix("7          6") })
    #expect(lines.contains { $0.hasPrefix("n1") && $0.contains("1.5 KiB") && $0.contains("4.0 MiB") })
    #expect(lines.last == "- n3 does not answer")
  }
}
