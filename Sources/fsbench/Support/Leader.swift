import FileStoreClient
import Foundation

private struct Nodes: Decodable {
  struct Node: Decodable {
    var address: String
    var replicas: [Replica]
  }
  struct Replica: Decodable { var role: String }
  var nodes: [Node]
}

extension Client {
  /// The node that leads, reached as the client's first one is; nil when nobody does.
  func findLeader() throws(ClientError) -> Endpoint? {
    let answer = try send(ClientRequest(.get, "/v1/nodes"))
    guard answer.status == 200 else { throw .configuration("/v1/nodes: status \(answer.status)") }
    let list = try? JSONDecoder().decode(Nodes.self, from: Data(answer.body))
    let node = list?.nodes.first { $0.replicas.contains { $0.role == "leader" } }
    guard let found = node.flatMap({ Endpoint($0.address) }) else { return nil }
    return Endpoint(isSecure: configuration.endpoints[0].isSecure, host: found.host, port: found.port)
  }
}
