import FileStoreClient
import Primitives

/// How a request ended for the one who sent it, after all its repeats.
enum Ending {
  /// Executed, or refused because of what is stored (412, 404 of a row): the answer tells about the row.
  case answered(ClientResponse)
  /// Certainly not executed, now or later.
  case notExecuted(String)
  /// Executed at some time, or never.
  case unknown(String)
  /// An answer that no correct cluster gives to a correct request.
  case surprising(String)

  /// Judges by the `retry` field of the answer, as any client may.
  init(_ result: Result<ClientResponse, ClientError>) {
    switch result {
    case .success(let response): self = Self.judge(response)
    case .failure(.unreachable(let reason)): self = .notExecuted(reason)
    case .failure(.unknown(let reason)): self = .unknown(reason)
    case .failure(.configuration(let reason)), .failure(.untrusted(let reason)): self = .surprising(reason)
    }
  }

  private static func judge(_ response: ClientResponse) -> Ending {
    guard let problem = response.problem else { return .answered(response) }
    if problem.code == "row-not-found" || problem.code == "condition-failed" { return .answered(response) }
    let text = "\(problem.status) \(problem.code): \(problem.detail)"
    switch problem.retry {
    case .never: return .surprising(text)
    case .unknown: return problem.status == 500 ? .surprising(text) : .unknown(text)
    case .later, .elsewhere: return response.mayHaveExecutedBefore ? .unknown(text) : .notExecuted(text)
    }
  }
}

extension ClientResponse {
  /// The row's version, from the etag.
  var version: Timestamp? {
    guard let etag, etag.count > 2, etag.first == "\"", etag.last == "\"" else { return nil }
    return UInt64(etag.dropFirst().dropLast()).map { Timestamp($0) }
  }
}

/// The table of the tests, and the requests that they send.
enum ChaosTable {
  static let name = "chaos"

  static let description = """
    {"name":"chaos","columns":[{"name":"id","type":"text"},{"name":"value","type":"int64"},\
    {"name":"filler","type":"text","nullable":true}],"primary_key":["id"]}
    """

  /// Makes the table, unless an earlier scenario has.
  static func create(_ client: Client) throws(ChaosError) {
    var request = ClientRequest(.post, "/v1/tables", body: Array(description.utf8), mayRepeat: true)
    request.headers = [Header("content-type", "application/json")]
    let result = Result { () throws(ClientError) in try client.send(request) }
    switch result {
    case .success(let response) where response.isSuccess || response.problem?.code == "table-exists": return
    case .success(let response): throw ChaosError(message: "the table: \(response.problem?.detail ?? "")")
    case .failure(let error): throw ChaosError(message: "the table: \(error)")
    }
  }

  static func path(_ key: String) -> String { "/v1/tables/\(name)/rows/\(key)" }

  private static let filler = String(repeating: "x", count: 64)

  static func put(_ key: String, _ value: UInt64, mayRepeat: Bool) -> ClientRequest {
    let body = "{\"value\":\(value),\"filler\":\"\(filler)\"}"
    var request = ClientRequest(.put, path(key), body: Array(body.utf8), mayRepeat: mayRepeat)
    request.headers = [Header("content-type", "application/json")]
    return request
  }
}
