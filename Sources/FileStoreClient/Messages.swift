import Tables

/// A header field of a request. Names are lower-case, as HTTP/2 has them.
public struct Header: Sendable {
  public let name: StaticString
  public let value: String
  public init(_ name: StaticString, _ value: String) {
    self.name = name
    self.value = value
  }
}

/// What to ask of the cluster. `authorization` and `fs-timeout-ms` are added by the client.
public struct ClientRequest: Sendable {
  public enum Method: String, Sendable {
    case get = "GET"
    case put = "PUT"
    case post = "POST"
    case patch = "PATCH"
    case delete = "DELETE"
  }

  public var method: Method
  /// With its query, percent-encoded: `/v1/tables/packages/rows/g%2B%2B`.
  public var path: String
  public var headers: [Header] = []
  public var body: [UInt8] = []
  /// For all attempts together.
  public var timeoutMilliseconds: UInt32 = 30_000
  /// For one attempt; also sent as `fs-timeout-ms`, so that the answer comes before the client gives up.
  public var attemptMilliseconds: UInt32 = 10_000
  /// Whether the request may be executed twice. Only then is it sent again when nobody knows whether it was executed.
  public var mayRepeat: Bool
  /// Whether errors that a later attempt could mend are retried at all.
  public var retries = true
  /// The node to ask, by its position in the configuration; nil: whichever answers.
  public var endpoint: Int?

  public init(_ method: Method, _ path: String, body: [UInt8] = [], mayRepeat: Bool? = nil) {
    self.method = method
    self.path = path
    self.body = body
    self.mayRepeat = mayRepeat ?? (method == .get)
  }
}

public struct ClientResponse: Sendable {
  public var status: Int
  public var body: [UInt8]
  /// With its quotes, as HTTP has it.
  public var etag: String?
  public var location: String?
  public var retryAfterSeconds: UInt64?
  /// Where a streamed scan goes on; nil at its end.
  public var cursor: String?
  /// Why a streamed scan broke off.
  public var streamError: String?
  /// The node that answered, by its position in the configuration.
  public var endpoint: Int
  /// An earlier attempt of the same request may have been executed, whatever this answer to the last one says. Only for
  /// requests that may be executed twice: no other is sent again after such an attempt.
  public var mayHaveExecutedBefore = false

  public init(status: Int, body: [UInt8] = [], endpoint: Int = 0) {
    self.status = status
    self.body = body
    self.endpoint = endpoint
  }

  public var isSuccess: Bool { (200..<300).contains(status) }

  /// What an answer of 400 and above says; made up from the status when its body is no problem of FileStore's.
  public var problem: ClientProblem? { status < 400 ? nil : ClientProblem(status: status, body: body) }
}

/// An error as the server told it (RFC 9457).
public struct ClientProblem: Equatable, Sendable {
  public enum Retry: String, Sendable {
    case never, later, elsewhere, unknown
  }

  public var status: Int
  /// `condition-failed`; stable.
  public var code: String
  /// Says what to do next.
  public var detail: String
  public var retry: Retry
  /// Address of the node to ask.
  public var leader: String?
  /// Position in a batch of the operation that failed.
  public var operation: Int?
  public var requestID: String?

  init(status: Int, body: [UInt8]) {
    self.status = status
    let members = ClientProblem.members(body)
    func text(_ name: String) -> String? {
      guard case .string(let value) = members.first(where: { $0.name == name })?.value else { return nil }
      return value
    }
    code = text("code") ?? "http-\(status)"
    detail = text("detail") ?? text("title") ?? "The server answered with status \(status)."
    retry = text("retry").flatMap(Retry.init) ?? (status == 503 || status == 429 ? .later : .never)
    leader = text("leader")
    requestID = text("request_id")
    if case .number(let digits) = members.first(where: { $0.name == "operation" })?.value {
      operation = Int(String(decoding: digits, as: UTF8.self))
    }
  }

  private static func members(_ body: [UInt8]) -> [JSONValue.Member] {
    guard case .object(let members)? = try? JSONValue.parse(body) else { return [] }
    return members
  }
}

/// Why there is no answer.
public enum ClientError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The settings cannot work: a file that is missing, a certificate that is none.
  case configuration(String)
  /// The request was not executed: no node could be reached in time.
  case unreachable(String)
  /// The request was not executed: no node is one that the CA vouches for, or none accepts this client's certificate.
  case untrusted(String)
  /// The request may or may not have been executed.
  case unknown(String)

  public var description: String {
    switch self {
    case .configuration(let reason): reason
    case .unreachable(let reason): "no node answered: \(reason)"
    case .untrusted(let reason): "no secure connection: \(reason)"
    case .unknown(let reason): "the request may or may not have been executed: \(reason)"
    }
  }
}
