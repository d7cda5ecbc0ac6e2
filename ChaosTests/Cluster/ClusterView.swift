import Checkers
import FileStoreClient
import Foundation
import Primitives

/// What the cluster tells about its nodes (`GET /v1/nodes`).
struct NodesAnswer: Decodable {
  struct Node: Decodable {
    var id: String
    var state: String
    var replicas: [Replica]
  }

  struct Replica: Decodable {
    var shard: UInt64
    var role: String
    var term: UInt64
    var commitIndex: UInt64
    var appliedIndex: UInt64
    var stateHash: String?

    enum CodingKeys: String, CodingKey {
      case shard, role, term
      case commitIndex = "commit_index"
      case appliedIndex = "applied_index"
      case stateHash = "state_hash"
    }
  }

  var nodes: [Node]

  /// Of several nodes that call themselves leader, the one of the highest term.
  var leader: (node: String, replica: Replica)? {
    let leaders = nodes.flatMap { node in node.replicas.filter { $0.role == "leader" }.map { (node.id, $0) } }
    return leaders.max { $0.1.term < $1.1.term }
  }

  func applied(_ node: String) -> UInt64? {
    nodes.first { $0.id == node && $0.state == "up" }?.replicas.first?.appliedIndex
  }

  /// All three are up with the same applied index and state hash.
  var areEqual: Bool {
    let states = nodes.compactMap { node in node.state == "up" ? node.replicas.first : nil }
    guard states.count == LocalCluster.nodes.count, let first = states.first, first.stateHash != nil else {
      return false
    }
    return states.allSatisfy { $0.appliedIndex == first.appliedIndex && $0.stateHash == first.stateHash }
  }

  var summary: String {
    nodes.map { node in
      let replica = node.replicas.first
      return "\(node.id) \(node.state) \(replica?.role ?? "-") applied \(replica?.appliedIndex ?? 0) "
        + "hash \(replica?.stateHash ?? "-")"
    }.joined(separator: ", ")
  }
}

/// Looks at the cluster from outside, and compares replicas whenever two were seen at the same position.
final class ClusterView {
  private let client: Client
  private(set) var equality = ReplicaEquality()
  private(set) var violations: [Violation] = []

  init(_ cluster: LocalCluster) throws(ChaosError) { client = try cluster.client() }

  /// Nil when no node answers in time.
  func look() -> NodesAnswer? {
    var request = ClientRequest(.get, "/v1/nodes")
    request.timeoutMilliseconds = 3000
    request.attemptMilliseconds = 2000
    guard let response = try? client.send(request), response.isSuccess,
      let answer = try? JSONDecoder().decode(NodesAnswer.self, from: Data(response.body))
    else { return nil }
    compare(answer)
    return answer
  }

  /// Looks until `condition` holds. The time that it took; nil after `limit`.
  func wait(_ limit: Nanoseconds, until condition: (NodesAnswer) -> Bool) -> Nanoseconds? {
    let begun = Clock.now()
    while Clock.now() - begun < limit {
      if let answer = look(), condition(answer) { return Clock.now() - begun }
      Clock.sleep(.milliseconds(20))
    }
    return nil
  }

  func leader() throws(ChaosError) -> String {
    var found: String?
    let time = wait(.seconds(15)) { answer in
      found = answer.leader?.node
      return found != nil
    }
    guard time != nil, let found else { throw ChaosError(message: "no node leads for 15 s") }
    return found
  }

  private func compare(_ answer: NodesAnswer) {
    for node in answer.nodes where node.state == "up" {
      for replica in node.replicas {
        guard let id = NodeID(name: node.id), let hash = replica.stateHash.flatMap({ UInt64($0, radix: 16) }) else {
          continue
        }
        let violation = equality.observe(
          node: id, shard: ShardID(replica.shard), applied: LogIndex(replica.appliedIndex), stateHash: hash)
        if let violation { violations.append(violation) }
      }
    }
  }
}
