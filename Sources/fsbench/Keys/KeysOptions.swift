import ArgumentParser
import FileStoreClient
import Foundation
import Transport

/// Who is driven.
struct KeysSystemsOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A node of FileStore, http(s)://HOST:PORT; its leader is driven (else the first of FS_ENDPOINTS).",
      valueName: "url"))
  var filestore: String?
  @Option(help: ArgumentHelp("The table, made when it is not there; rows stay in it.", valueName: "name"))
  var table = "fsbench_keys"
  @Option(help: ArgumentHelp("A file that holds a token (else FS_TOKEN).", valueName: "file")) var tokenFile: String?
  @Option(help: ArgumentHelp("Certificate of the CA of the nodes, for https:// (else FS_CA).", valueName: "file"))
  var ca: String?
  @Option(help: ArgumentHelp("etcd's leader, http(s)://HOST:PORT; without, figures have no ratio.", valueName: "url"))
  var etcd: String?
  @Option(
    help: ArgumentHelp("Where etcd's /metrics are read: http:// (default: --etcd).", valueName: "url"))
  var etcdMetrics: String?
  @Option(
    help: ArgumentHelp("Processes whose processor time is counted, separated by commas.", valueName: "pids"))
  var filestorePids = ""
  @Option(help: ArgumentHelp("The same for etcd.", valueName: "pids")) var etcdPids = ""

  private var environment: [String: String] { ProcessInfo.processInfo.environment }
  private var authority: String? { ca ?? environment["FS_CA"] }

  private var etcdEndpoint: Endpoint? { etcd.flatMap { Endpoint($0) } }
  private var metricsEndpoint: Endpoint? { (etcdMetrics ?? etcd).flatMap { Endpoint($0) } }

  func validate() throws {
    if etcd != nil, etcdEndpoint == nil { throw ValidationError("--etcd is http(s)://HOST:PORT.") }
    if etcd != nil, metricsEndpoint?.isSecure != false {
      throw ValidationError("--etcd-metrics is http://HOST:PORT; it is needed when --etcd is https://.")
    }
    guard Self.numbers(filestorePids) != nil, Self.numbers(etcdPids) != nil else {
      throw ValidationError("--filestore-pids and --etcd-pids are numbers, separated by commas.")
    }
  }

  private static func numbers(_ text: String) -> [Int32]? {
    let parts = text.split(separator: ",")
    let numbers = parts.compactMap { Int32($0) }
    return numbers.count == parts.count ? numbers : nil
  }

  /// Nil without a CA: then nothing secure can be reached.
  func makeTLS() throws(BenchError) -> TLSContext? {
    guard let authority else { return nil }
    do throws(TLSRefusal) { return try TLSContext(client: .init(nodeAuthority: .file(authority))) } catch {
      throw .usage("\(error)")
    }
  }

  func make(tls: TLSContext?) throws(BenchError) -> [any LoadedSystem] {
    let first = filestore ?? environment["FS_ENDPOINTS"].map { String($0.prefix { $0 != "," }) } ?? ""
    guard let endpoint = Endpoint(first), let token = try readToken() else {
      throw .usage("name a cluster: --filestore and --token-file, or FS_ENDPOINTS and FS_TOKEN (with FS_CA)")
    }
    if endpoint.isSecure || etcdEndpoint?.isSecure == true, tls == nil {
      throw .usage("https:// needs --ca, or FS_CA")
    }
    var systems: [any LoadedSystem] = [
      try FileStoreSystem(
        endpoint, authority: authority, token: token, table: table, processes: Self.numbers(filestorePids) ?? [])
    ]
    if let etcdEndpoint, let metricsEndpoint {
      systems.append(
        EtcdSystem(etcdEndpoint, tls: tls, metrics: metricsEndpoint, processes: Self.numbers(etcdPids) ?? []))
    }
    return systems
  }

  private func readToken() throws(BenchError) -> String? {
    guard let tokenFile else { return environment["FS_TOKEN"] }
    guard let text = try? String(contentsOfFile: tokenFile, encoding: .utf8) else {
      throw .usage("\(tokenFile) cannot be read")
    }
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

/// What is asked of them.
struct KeysLoadOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Connections x streams, separated by commas.", valueName: "list")) var shapes = "16x16"
  @Option(help: ArgumentHelp("How many keys there are.", valueName: "count")) var keys = 2_000_000
  @Option(help: ArgumentHelp("Decides which keys are asked for, and when.", valueName: "number")) var seed: UInt64 = 1
  @Option(help: ArgumentHelp("Length of one run.", valueName: "seconds")) var seconds = 3.0
  @Option(help: ArgumentHelp("Requests of one run, instead of --seconds.", valueName: "count")) var requests: Int?
  @Option(help: ArgumentHelp("Requests that arrive each second.", valueName: "count")) var rate: Double?
  @Flag(help: "End when the keys are there.") var fillOnly = false
  @Flag(help: "The keys are there already.") var filled = false
  @Option(help: ArgumentHelp("Filling one system may take so long.", valueName: "seconds")) var fillSeconds = 300.0

  func validate() throws {
    guard Shape.list(shapes) != nil else { throw ValidationError("--shapes is a list such as 1x1,16x16.") }
    guard (1...100_000_000).contains(keys) else { throw ValidationError("--keys is between 1 and 100000000.") }
    guard seconds >= 0.1, seconds <= 60 else { throw ValidationError("--seconds is between 0.1 and 60.") }
    guard (1...100_000_000).contains(requests ?? 1) else {
      throw ValidationError("--requests is between 1 and 100000000.")
    }
    guard (1...10_000_000).contains(rate ?? 1) else { throw ValidationError("--rate is between 1 and 10000000.") }
    guard fillSeconds >= 1, fillSeconds <= 3600 else {
      throw ValidationError("--fill-seconds is between 1 and 3600.")
    }
  }

  var settings: KeysComparison.Settings {
    .init(
      shapes: Shape.list(shapes) ?? [], keys: UInt64(keys), seed: seed,
      amount: requests.map { .requests($0) } ?? .seconds(seconds), perSecond: rate, fillSecondsMax: fillSeconds)
  }
}
