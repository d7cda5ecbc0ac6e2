import ArgumentParser
import FileStoreClient
import Transport

/// Who is driven.
struct KeysSystemsOptions: ParsableArguments {
  @OptionGroup var ours: FileStoreOptions
  @Option(help: ArgumentHelp("etcd's leader, http(s)://HOST:PORT; without, figures have no ratio.", valueName: "url"))
  var etcd: String?
  @Option(
    help: ArgumentHelp("Where etcd's /metrics are read: http:// (default: --etcd).", valueName: "url"))
  var etcdMetrics: String?
  @Option(
    help: ArgumentHelp("Processes whose processor time is counted, separated by commas.", valueName: "pids"))
  var filestorePids = ""
  @Option(help: ArgumentHelp("The same for etcd.", valueName: "pids")) var etcdPids = ""

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

  static func numbers(_ text: String) -> [Int32]? {
    let parts = text.split(separator: ",")
    let numbers = parts.compactMap { Int32($0) }
    return numbers.count == parts.count ? numbers : nil
  }

  func makeTLS() throws(BenchError) -> TLSContext? { try ours.makeTLS() }

  func make(tls: TLSContext?) throws(BenchError) -> [any LoadedSystem] {
    let place = try ours.place()
    if etcdEndpoint?.isSecure == true, tls == nil { throw FileStoreOptions.needsAuthority }
    var systems: [any LoadedSystem] = [try place.open(processes: Self.numbers(filestorePids) ?? [])]
    if let etcdEndpoint, let metricsEndpoint {
      systems.append(
        EtcdSystem(etcdEndpoint, tls: tls, metrics: metricsEndpoint, processes: Self.numbers(etcdPids) ?? []))
    }
    return systems
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
