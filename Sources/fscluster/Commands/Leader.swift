import ArgumentParser
import FileStoreClient
import Foundation

/// `fscluster leader [SHARD] [--to NODE]`: who leads a shard, and hands that to another node.
struct Leader: ParsableCommand {
  static let configuration = CommandConfiguration(abstract: "Show the leader of a shard, or move it to another node.")

  @Argument(help: "Number of the shard.") var shard: UInt64 = 1
  @Option(help: ArgumentHelp("The node that is to lead.", valueName: "node")) var to: String?
  @Flag(help: "Print the result as JSON.") var json = false
  @OptionGroup var connection: ConnectionOptions

  private struct Found: Codable {
    var shard: UInt64
    var leader: String
    var address: String
    var term: UInt64
  }

  func run() throws(CommandError) {
    let cluster = try Cluster(connection.clientConfiguration())
    if let to { try move(to, cluster) }
    let found = try find(cluster)
    Console.out(json ? Console.json(found) : "\(found.leader)  \(found.address)  shard \(shard)  term \(found.term)")
  }

  private func find(_ cluster: Cluster) throws(CommandError) -> Found {
    let list = try cluster.decode(NodeList.self, "/v1/nodes")
    guard let leader = list.leader(of: shard) else {
      if !list.nodes.contains(where: { node in node.replicas.contains { $0.shard == shard } }) {
        throw .usage("there is no shard \(shard)", next: "See `fscluster status`.")
      }
      throw .failed(
        "shard \(shard) has no leader now", next: "It needs a majority of its nodes; see `fscluster status`.")
    }
    return Found(shard: shard, leader: leader.node.id, address: leader.node.address, term: leader.replica.term)
  }

  /// Asks for the transfer, then waits until it has happened.
  private func move(_ to: String, _ cluster: Cluster) throws(CommandError) {
    struct Order: Encodable { var to: String }
    let list = try cluster.decode(NodeList.self, "/v1/nodes")
    guard list.nodes.contains(where: { $0.id == to }) else {
      throw .usage("there is no node `\(to)`", next: "There are \(list.nodes.map(\.id).joined(separator: ", ")).")
    }
    var request = ClientRequest(
      .post, "/v1/shards/\(shard)/leader", body: Array(Console.json(Order(to: to)).utf8), mayRepeat: true)
    request.headers = [Header("content-type", "application/json")]
    _ = try cluster.send(request)
    let end = Monotonic.now() + 10
    while try cluster.decode(NodeList.self, "/v1/nodes").leader(of: shard)?.node.id != to {
      guard Monotonic.now() < end else {
        throw .failed("\(to) did not become the leader within 10 s", next: "See `fscluster status`: is it up to date?")
      }
      usleep(50_000)
    }
  }
}
