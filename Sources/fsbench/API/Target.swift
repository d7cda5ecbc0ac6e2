import ArgumentParser
import FileStoreClient
import Foundation

/// Which cluster and which row.
struct TargetOptions: ParsableArguments {
  @Option(help: ArgumentHelp("A node, http(s)://HOST:PORT (else the first of FS_ENDPOINTS).", valueName: "url"))
  var endpoint: String?
  @Option(help: ArgumentHelp("Certificate of the CA of the nodes (else FS_CA).", valueName: "file")) var ca: String?
  @Option(help: ArgumentHelp("A token (else FS_TOKEN). h2load shows it to `ps`.", valueName: "token"))
  var token: String?
  @Option(help: ArgumentHelp("Path of a row that is there.", valueName: "path"))
  var row = "/v1/tables/packages/rows/bash"
}

/// The leader of the cluster, and the row as it answers it.
struct Target {
  let leader: Endpoint
  let token: String
  let path: String
  let row: [UInt8]

  init(
    _ options: TargetOptions, environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(BenchError) {
    let listed = options.endpoint ?? environment["FS_ENDPOINTS"] ?? ""
    let endpoints = listed.split(separator: ",").compactMap { Endpoint($0) }
    guard !endpoints.isEmpty, let token = options.token ?? environment["FS_TOKEN"] else {
      throw .usage("name a cluster: --endpoint and --token, or FS_ENDPOINTS and FS_TOKEN (with FS_CA)")
    }
    self.token = token
    path = options.row
    do throws(ClientError) {
      let authority = options.ca ?? environment["FS_CA"]
      let client = try Client(
        ClientConfiguration(endpoints: endpoints, authority: authority, identity: .token(token)))
      leader = try client.findLeader() ?? endpoints[0]
      let answer = try client.send(ClientRequest(.get, options.row))
      row = answer.body
      guard answer.status == 200 else { throw .unknown("\(options.row): status \(answer.status)") }
    } catch { throw .usage("\(error)") }
  }

  var uri: String { "\(leader)\(path)" }

  var read: H2load.Request { H2load.Request(uri: uri, headers: ["authorization: Bearer \(token)"]) }

  /// Writes the row as it is: nothing but its etag changes.
  func write(bodyFile: String) -> H2load.Request {
    var request = read
    request.headers += [":method: PUT", "content-type: application/json"]
    request.body = bodyFile
    return request
  }
}
