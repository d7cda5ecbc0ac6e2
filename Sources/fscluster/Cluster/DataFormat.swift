import Foundation
import Node
import Primitives
import Raft
import Ring
import Store
import Transport

/// Formats the data directories of a new cluster's nodes.
///
/// Every directory gets random numbers of its own, so that a wiped or copied one is told from it; and each holds the
/// founders' Raft configuration, in which all three of them stand.
///
///     data/LOCK                held by the process that uses the directory
///     data/lane-0/pages        the page file: two superblocks, shard 1 with the founders
///     data/lane-0/log/         the journal's segments, none yet
struct DataFormat {
  let plan: ClusterPlan

  /// `directory` gives the path of a node's data directory, which does not exist yet.
  func format(_ directory: (String) -> String) throws(CommandError) {
    let members = plan.addresses.indices.map { index in
      Member(node: NodeID(UInt32(index + 1)), incarnation: Incarnation(Entropy.number() | 1))
    }
    for member in members {
      let identity = StoreIdentity(
        cluster: plan.file.idBytes, node: member.node, lane: LaneID(0), incarnation: member.incarnation,
        directory: Entropy.number())
      let founders = Configuration(voters: members)
      do throws(SystemError) {
        try write(formatLane(identity: identity, founders: founders), under: directory(member.node.description))
      } catch { throw .failed("the data of \(member.node) cannot be formatted: \(error)") }
    }
  }

  private func write(_ pages: [UInt8], under path: String) throws(SystemError) {
    for part in ["", "/lane-0", "/lane-0/log"] { try FileSystem.makeDirectory(path + part) }
    try FileSystem.replace(path + "/LOCK", with: [])
    try FileSystem.replace(path + "/lane-0/pages", with: pages)
    try FileSystem.synchronizeDirectory(path + "/lane-0/log")
    try FileSystem.synchronizeDirectory(path)
  }
}
