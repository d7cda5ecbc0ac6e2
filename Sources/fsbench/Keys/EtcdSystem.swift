import FileStoreClient
import Transport

/// The leader of an etcd cluster, as its user named it.
final class EtcdSystem: LoadedSystem {
  let name = "etcd"
  let endpoint: Endpoint
  let processes: [Int32]
  private let tls: TLSContext?
  private let metricsEndpoint: Endpoint
  private let place: EtcdPlace

  /// - Parameter metrics: where its metrics are read, in plain text.
  init(_ endpoint: Endpoint, tls: TLSContext?, metrics: Endpoint, processes: [Int32]) {
    self.endpoint = endpoint
    self.tls = tls
    self.processes = processes
    metricsEndpoint = metrics
    place = EtcdPlace(endpoint: endpoint)
  }

  func call(_ task: KeyTask) -> any Call {
    switch task {
    case .write: EtcdPut(place)
    case .read: EtcdRange(place)
    }
  }

  func filling(_ keys: UInt64) -> (call: any Call, groups: KeyGroups) {
    let groups = KeyGroups(keys: keys, size: EtcdTxn.putsMax)
    return (EtcdTxn(place, groups), groups)
  }

  /// etcd counts them itself.
  func checkHolds(_ keys: UInt64) throws(BenchError) {
    let plan = LoadPlan(shape: .single, amount: .requests(1))
    _ = try Load(endpoint, tls: tls, plan: plan).run(EtcdCount(place, atLeast: keys), .sequence(0))
  }

  func counters(_ task: KeyTask) throws(BenchError) -> [Counter] {
    let page = MetricsPage(try PlainHTTP.get(metricsEndpoint, "/metrics"))
    guard page.total("etcd_server_is_leader") == 1 else { throw .failed("\(endpoint) is not etcd's leader") }
    let method = task == .write ? "Put" : "Range"
    let answers = Counter(
      name: "answers OK to \(method)",
      value: page.total("grpc_server_handled_total", "grpc_method=\"\(method)\"", #"grpc_code="OK""#))
    let revision = Counter(name: "the revision", value: page.total("etcd_debugging_mvcc_current_revision"))
    return task == .write ? [answers, revision] : [answers]
  }
}
