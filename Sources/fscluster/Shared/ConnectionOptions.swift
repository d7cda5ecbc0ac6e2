import ArgumentParser
import FileStoreClient
import Foundation

/// How a command finds its cluster: `--directory`, or `--endpoints` with `--ca` and an identity, or the environment, or
/// the directory `./filestore`. The first that is given counts as a whole.
struct ConnectionOptions: ParsableArguments {
  @OptionGroup var place: PlaceOptions

  @Option(help: ArgumentHelp("The key of --certificate.", valueName: "file"))
  var key: String?

  func clientConfiguration() throws(CommandError) -> ClientConfiguration {
    try place.clientConfiguration(key: key)
  }
}

/// The same without `--key`, for `import`, where that option names the key of a table.
struct PlaceOptions: ParsableArguments {
  @Option(help: ArgumentHelp("Directory of a cluster on this machine.", valueName: "dir"))
  var directory: String?

  @Option(help: ArgumentHelp("Nodes, separated by commas: https://HOST:PORT (else FS_ENDPOINTS).", valueName: "list"))
  var endpoints: String?

  @Option(help: ArgumentHelp("Certificate of the CA of the nodes (else FS_CA).", valueName: "file"))
  var ca: String?

  @Option(help: ArgumentHelp("A token, as `fscluster token` prints it (else FS_TOKEN).", valueName: "token"))
  var token: String?

  @Option(help: ArgumentHelp("A client certificate, instead of a token.", valueName: "file"))
  var certificate: String?

  @Option(help: ArgumentHelp("The key of --certificate, where --key means another.", valueName: "file"))
  var certificateKey: String?

  /// The settings of a client for the cluster.
  func clientConfiguration(
    key: String? = nil, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(CommandError) -> ClientConfiguration {
    if directory != nil, endpoints != nil {
      throw .usage("--directory and --endpoints are two ways to say the same", next: "Give one of them.")
    }
    if let directory { return try local(ClusterDirectory(directory), key) }
    if let list = endpoints ?? environment["FS_ENDPOINTS"] { return try remote(list, key, environment) }
    if FileManager.default.fileExists(atPath: ClusterDirectory.standard + "/cluster.yaml") {
      return try local(ClusterDirectory(ClusterDirectory.standard), key)
    }
    throw .usage(
      "no cluster is named",
      next: "Give --directory DIR, or --endpoints, --ca and --token, or set FS_ENDPOINTS, FS_CA and FS_TOKEN.")
  }

  private func local(_ directory: ClusterDirectory, _ key: String?) throws(CommandError) -> ClientConfiguration {
    if let token { return try directory.clientConfiguration(identity: .token(token)) }
    if let identity = try certificateIdentity(key) { return try directory.clientConfiguration(identity: identity) }
    let isInsecure = directory.file.nodeNames.contains { directory.isInsecure($0) }
    // Plain text carries no certificate: a token for a quarter of an hour takes its place.
    let identity: ClientIdentity =
      isInsecure
      ? .token(try directory.issueToken(user: "admin", seconds: 900).0)
      : .certificate(file: directory.adminCertificate, key: directory.adminKey)
    return try directory.clientConfiguration(identity: identity)
  }

  private func remote(
    _ list: String, _ key: String?, _ environment: [String: String]
  ) throws(CommandError) -> ClientConfiguration {
    var nodes: [Endpoint] = []
    for text in list.split(separator: ",") {
      guard let endpoint = Endpoint(text) else {
        throw .usage("`\(text)` is no endpoint", next: "Write https://HOST:PORT, several separated by commas.")
      }
      nodes.append(endpoint)
    }
    guard !nodes.isEmpty else { throw .usage("no endpoint is named", next: "Give --endpoints https://HOST:PORT.") }
    let authority = ca ?? environment["FS_CA"]
    if authority == nil, nodes.contains(where: \.isSecure) {
      throw .usage("the CA of the nodes is not named", next: "Give --ca FILE or set FS_CA (DIR/ca/nodes.pem).")
    }
    guard let identity = try certificateIdentity(key) ?? (token ?? environment["FS_TOKEN"]).map({ .token($0) }) else {
      throw .usage(
        "no identity is given", next: "Give --token (or FS_TOKEN), made by `fscluster token --user NAME`.")
    }
    return ClientConfiguration(endpoints: nodes, authority: authority, identity: identity)
  }

  private func certificateIdentity(_ key: String?) throws(CommandError) -> ClientIdentity? {
    guard let certificate else { return nil }
    guard let key = key ?? certificateKey else {
      throw .usage("the key of --certificate is not named", next: "Give --key FILE.")
    }
    return .certificate(file: certificate, key: key)
  }
}

extension ClusterDirectory {
  func clientConfiguration(identity: ClientIdentity) throws(CommandError) -> ClientConfiguration {
    var endpoints: [Endpoint] = []
    for node in file.nodeNames {
      let text = try endpoint(of: node)
      guard let endpoint = Endpoint(text) else { throw .usage("cluster.yaml: `\(text)` is no endpoint") }
      endpoints.append(endpoint)
    }
    return ClientConfiguration(endpoints: endpoints, authority: nodeAuthority, identity: identity)
  }

  /// For commands that work on a directory: the one named, or the standard one.
  static func named(_ path: String?) throws(CommandError) -> ClusterDirectory {
    try ClusterDirectory(path ?? standard)
  }
}

/// A client, with errors as this program tells them.
struct Cluster {
  let client: Client

  init(_ configuration: ClientConfiguration) throws(CommandError) {
    do throws(ClientError) {
      client = try Client(configuration)
    } catch { throw .usage("\(error)") }
  }

  /// The answer to a request that must succeed.
  func send(_ request: ClientRequest) throws(CommandError) -> ClientResponse {
    let response = try answer(request)
    if let problem = response.problem { throw Cluster.error(problem) }
    return response
  }

  /// Any answer.
  func answer(_ request: ClientRequest) throws(CommandError) -> ClientResponse {
    do throws(ClientError) {
      return try client.send(request)
    } catch {
      throw .failed("\(error)", next: Cluster.advice(error))
    }
  }

  private static func advice(_ error: ClientError) -> String {
    switch error {
    case .untrusted: "Does --ca (or FS_CA) name the cluster's ca/nodes.pem, and is --certificate one of its clients?"
    default: "Is the cluster running? `fscluster status` and the nodes' logs tell more."
    }
  }

  func decode<T: Decodable>(_ type: T.Type, _ path: String) throws(CommandError) -> T {
    try Cluster.decode(type, send(ClientRequest(.get, path)).body, of: path)
  }

  static func decode<T: Decodable>(_ type: T.Type, _ body: [UInt8], of path: String) throws(CommandError) -> T {
    do {
      return try JSONDecoder().decode(type, from: Data(body))
    } catch {
      throw .failed("the answer to \(path) was not understood: \(error)", next: "Is the server of another version?")
    }
  }

  static func error(_ problem: ClientProblem) -> CommandError {
    var message = "the server refused (\(problem.status) \(problem.code))"
    if let id = problem.requestID { message += ", request \(id)" }
    return .failed(message, next: problem.detail)
  }
}
