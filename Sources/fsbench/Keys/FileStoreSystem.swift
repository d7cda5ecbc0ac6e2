import FileStoreClient

/// The leader of a FileStore cluster. The table is made when it is not there.
final class FileStoreSystem: LoadedSystem {
  let name: String
  let endpoint: Endpoint
  let processes: [Int32]
  private let client: Client
  private let place: FileStorePlace

  init(
    _ first: Endpoint, authority: String?, token: String, table: String, processes: [Int32], name: String = "FileStore"
  ) throws(BenchError) {
    self.name = name
    self.processes = processes
    do throws(ClientError) {
      var configuration = ClientConfiguration(endpoints: [first], authority: authority, identity: .token(token))
      guard let leader = try Client(configuration).findLeader() else { throw .unreachable("nobody leads") }
      endpoint = leader
      configuration.endpoints = [leader]
      client = try Client(configuration)
    } catch { throw .usage("\(first): \(error)") }
    place = FileStorePlace(endpoint: endpoint, token: token, table: table)
    try makeTable()
  }

  private func makeTable() throws(BenchError) {
    let columns = #"[{"name":"key","type":"text"},{"name":"value","type":"text"}]"#
    let description = #"{"name":"\#(place.table)","columns":\#(columns),"primary_key":["key"]}"#
    let answer = try send(ClientRequest(.post, "/v1/tables", body: Array(description.utf8)))
    if let problem = answer.problem, problem.code != "table-exists" {
      throw .failed("the table \(place.table) cannot be made: \(problem.detail)")
    }
  }

  private func send(_ request: ClientRequest) throws(BenchError) -> ClientResponse {
    do throws(ClientError) { return try client.send(request) } catch { throw .failed("\(endpoint): \(error)") }
  }

  func metrics() throws(BenchError) -> MetricsPage {
    MetricsPage(String(decoding: try send(ClientRequest(.get, "/metrics")).body, as: UTF8.self))
  }

  // MARK: the load

  func call(_ task: KeyTask) -> any Call {
    switch task {
    case .write: FileStorePut(place)
    case .read: FileStoreGet(place)
    }
  }

  func filling(_ keys: UInt64) -> (call: any Call, groups: KeyGroups) {
    let groups = KeyGroups(keys: keys, size: FileStoreBatch.rowsMax)
    return (FileStoreBatch(place, groups), groups)
  }

  // MARK: what it counts

  func checkHolds(_ keys: UInt64) throws(BenchError) {
    let rows = try metrics().total("filestore_rows")
    guard rows >= Double(keys) else { throw .failed("FileStore holds \(Int(rows)) rows, fewer than \(keys) keys") }
  }

  func counters(_ task: KeyTask) throws(BenchError) -> [Counter] {
    let page = try metrics()
    guard page.total("filestore_raft_role", #"role="leader""#) == 1 else {
      throw .failed("\(endpoint) does not lead any more")
    }
    return switch task {
    case .write: [Counter(name: "commands applied", value: page.total("filestore_commands_applied_total"))]
    case .read: [Counter(name: "reads", value: page.total("filestore_reads_total"))]
    }
  }
}
