import Journal
import Primitives
import Raft
import Store
import Tables

// `/v1/cluster` and `/v1/nodes`: a node asks the others how they are, waits a short while, and says what it heard.

/// One question to all nodes, and the requests that wait for its end.
struct StatusRound {
  let id: UInt64
  let handle: RequestHandle
  let deadline: Instant
  var waiting: [NodeID]
  var heard: [NodeStatus]
}

extension Node {
  func startStatusRound(_ handle: RequestHandle) {
    requests.setStage(.waitingForStatus, of: handle)
    statusSequence += 1
    let open = peers.filter(\.isOpen).map(\.node)
    statusRounds.append(
      StatusRound(
        id: statusSequence, handle: handle, deadline: now + settings.limits.statusWait, waiting: open,
        heard: [ownStatus()]))
    for node in open { send(.statusRequest(id: statusSequence), to: node) }
    finishStatusRounds()
  }

  func receivedStatus(id: UInt64, _ status: NodeStatus, from node: NodeID) {
    guard status.node == node, let index = statusRounds.firstIndex(where: { $0.id == id }) else { return }
    guard statusRounds[index].waiting.contains(node) else { return }
    statusRounds[index].heard.append(status)
    statusPeer(node, answeredIn: index)
    finishStatusRounds()
  }

  private func statusPeer(_ node: NodeID, answeredIn index: Int) {
    statusRounds[index].waiting.removeAll { $0 == node }
  }

  func statusPeerLost(_ node: NodeID) {
    for index in statusRounds.indices { statusPeer(node, answeredIn: index) }
    finishStatusRounds()
  }

  func expireStatusRounds() { finishStatusRounds() }

  private func finishStatusRounds() {
    let finished = statusRounds.filter { $0.waiting.isEmpty || $0.deadline <= now }
    guard !finished.isEmpty else { return }
    statusRounds.removeAll { $0.waiting.isEmpty || $0.deadline <= now }
    for round in finished {
      guard let request = requests[round.handle] else { continue }
      let view = ClusterView(node: self, heard: round.heard)
      let body = request.operation == .nodesStatus ? view.nodesJSON() : view.clusterJSON()
      finish(round.handle, Reply(status: 200, body: body))
    }
  }

  package func ownStatus() -> NodeStatus {
    NodeStatus(
      node: settings.me.node, version: settings.version, state: stateName, limits: limitsNow(),
      replicas: [replicaStatus()], disk: diskStatus, scrub: scrubStatus, memory: memory)
  }

  /// Entries that the table of pages has now.
  package var pageTableEntries: Int { store.tablePages }

  package var diskStatus: DiskStatus {
    let pages = store.statistics
    var disk = DiskStatus()
    disk.data = UInt64(pages.livePages * Store.pageBytes)
    disk.garbage = UInt64(pages.garbagePages * Store.pageBytes)
    disk.free = UInt64(max(0, pages.filePages - pages.livePages - pages.garbagePages) * Store.pageBytes)
    disk.log = journal.fileBytes
    disk.limit = settings.limits.diskBytesMax ?? 0
    return disk
  }

  private var stateName: String {
    if fault != nil { return "failed" }
    return isDraining ? "draining" : "up"
  }

  /// What limits this node now, in words.
  private func limitsNow() -> [String] {
    var limits: [String] = []
    if let fault { limits.append("\(settings.me.node) serves no more: \(fault.text)") }
    switch shortage {
    case .cap:
      limits.append("\(settings.me.node): the log is full (\(journal.liveBytes) bytes); writes are refused (disk-full)")
    case .disk: limits.append("\(settings.me.node): the disk has no room; writes are refused (disk-full)")
    case .pages: limits.append("\(settings.me.node): the data fill disk-limit; writes are refused (disk-full)")
    case nil: break
    }
    let behind = replica.raft.lastIndex.rawValue - min(replica.raft.lastIndex, replica.raft.heldByAll).rawValue
    if replica.isLeader, behind > 10_000 {
      limits.append("shard \(replica.shard.rawValue): \(behind) log entries are kept for a node that lacks them")
    }
    return limits
  }

  private func replicaStatus() -> ReplicaStatus {
    let raft = replica.raft
    return ReplicaStatus(
      shard: replica.shard, role: raft.role.text, term: raft.term, leader: raft.leader?.node,
      commitIndex: raft.commitIndex, appliedIndex: replica.appliedIndex, lastIndex: raft.lastIndex,
      heldByAll: raft.heldByAll, stateHash: replica.stateHash, rows: replica.machine.totals.rows,
      logBytes: journal.liveBytes, logBytesMax: journal.capBytes)
  }
}

/// What one round heard, as the API says it.
struct ClusterView {
  let settings: NodeSettings
  let voters: [NodeID]
  /// In order of node.
  let heard: [NodeStatus]

  init(node: Node, heard: [NodeStatus]) {
    settings = node.settings
    voters = node.replica.raft.configuration.voters.map(\.node)
    self.heard = heard.sorted { $0.node < $1.node }
  }

  /// The leader that a majority of the voters agree on.
  private var leader: NodeID? {
    for status in heard {
      guard let replica = status.replicas.first, replica.role == "leader" else { continue }
      let followers = heard.filter { $0.replicas.first?.leader == status.node }.count
      if followers > voters.count / 2 { return status.node }
    }
    return nil
  }

  private var healthy: Int { heard.filter { $0.state == "up" && voters.contains($0.node) }.count }
  private var toleratedFailures: Int { leader == nil ? 0 : max(0, healthy - (voters.count / 2 + 1)) }

  private var health: String {
    if leader == nil { return "down" }
    return healthy == voters.count && limits.isEmpty ? "ok" : "degraded"
  }

  private var limits: [String] {
    var limits = heard.flatMap(\.limits)
    for (node, address) in settings.addresses where !heard.contains(where: { $0.node == node }) {
      limits.append("\(node) at \(address) does not answer")
    }
    if leader == nil { limits.append("no leader is followed by a majority of the nodes") }
    return limits
  }

  func clusterJSON() -> [UInt8] {
    var json = JSONObjectWriter()
    json.add("name", settings.clusterName)
    json.add("id", settings.clusterID)
    json.add("version", settings.version)
    json.add("health", health)
    json.add("failures_tolerated", UInt64(toleratedFailures))
    json.add("limits", limits)
    if let leader { json.add("leader", leader.description) }
    return json.finish()
  }

  func nodesJSON() -> [UInt8] {
    var json = JSONObjectWriter()
    json.add("nodes", settings.addresses.map { nodeJSON($0.node, $0.address) })
    return json.finish()
  }

  private func nodeJSON(_ node: NodeID, _ address: String) -> [UInt8] {
    var json = JSONObjectWriter()
    json.add("id", node.description)
    json.add("address", "\(settings.scheme)://\(address)")
    guard let status = heard.first(where: { $0.node == node }) else {
      json.add("version", nil)
      json.add("state", "down")
      json.add("replicas", [] as [[UInt8]])
      return json.finish()
    }
    json.add("version", status.version)
    json.add("state", status.state)
    json.add("replicas", status.replicas.map(replicaJSON))
    json.add("disk", json: diskJSON(status.disk))
    json.add("scrub", json: scrubJSON(status.scrub))
    json.add("memory", json: memoryJSON(status.memory))
    return json.finish()
  }

  private func scrubJSON(_ scrub: ScrubStatus) -> [UInt8] {
    var json = JSONObjectWriter()
    json.add("state", scrub.state.text)
    if scrub.state == .running { json.add("percent", scrub.percent) } else { json.add("percent", nil) }
    json.add("passes", scrub.passes)
    if let before = scrub.finishedBefore {
      json.add("finished_seconds_ago", before.rawValue / 1_000_000_000)
    } else {
      json.add("finished_seconds_ago", nil)
    }
    json.add("damage_found", scrub.damage)
    json.add("damage_rewritten", scrub.rewritten)
    return json.finish()
  }

  private func diskJSON(_ disk: DiskStatus) -> [UInt8] {
    var json = JSONObjectWriter()
    json.add("data_bytes", disk.data)
    json.add("garbage_bytes", disk.garbage)
    json.add("free_bytes", disk.free)
    json.add("log_bytes", disk.log)
    if disk.limit == 0 { json.add("limit_bytes", nil) } else { json.add("limit_bytes", disk.limit) }
    return json.finish()
  }

  private func memoryJSON(_ memory: MemoryStatus) -> [UInt8] {
    var json = JSONObjectWriter()
    json.add("resident_bytes", memory.resident)
    json.add("budget_bytes", memory.budget)
    return json.finish()
  }

  private func replicaJSON(_ replica: ReplicaStatus) -> [UInt8] {
    var json = JSONObjectWriter()
    json.add("shard", replica.shard.rawValue)
    json.add("role", replica.role)
    json.add("term", replica.term.rawValue)
    json.add("leader", replica.leader?.description)
    json.add("commit_index", replica.commitIndex.rawValue)
    json.add("applied_index", replica.appliedIndex.rawValue)
    json.add("last_index", replica.lastIndex.rawValue)
    json.add("held_by_all_index", replica.heldByAll.rawValue)
    json.add("state_hash", replica.stateHash.map(hex))
    json.add("rows", replica.rows)
    json.add("log_bytes", replica.logBytes)
    json.add("log_bytes_max", replica.logBytesMax)
    return json.finish()
  }

  private func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

/// Writes one JSON object, field by field. For answers about the cluster, not for rows.
package struct JSONObjectWriter {
  private var bytes: [UInt8] = [UInt8(ascii: "{")]

  package init() {}

  private mutating func name(_ name: String) {
    if bytes.count > 1 { bytes.append(UInt8(ascii: ",")) }
    appendJSONString(name, to: &bytes)
    bytes.append(UInt8(ascii: ":"))
  }

  package mutating func add(_ field: String, _ text: String?) {
    name(field)
    guard let text else { return bytes.append(contentsOf: Array("null".utf8)) }
    appendJSONString(text, to: &bytes)
  }

  package mutating func add(_ field: String, _ number: UInt64) {
    name(field)
    appendDecimalDigits(number, to: &bytes)
  }

  package mutating func add(_ field: String, _ texts: [String]) {
    add(
      field,
      texts.map { text in
        var item: [UInt8] = []
        appendJSONString(text, to: &item)
        return item
      })
  }

  /// Values that are JSON already.
  package mutating func add(_ field: String, _ values: [[UInt8]]) {
    name(field)
    bytes.append(UInt8(ascii: "["))
    for (index, value) in values.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      bytes.append(contentsOf: value)
    }
    bytes.append(UInt8(ascii: "]"))
  }

  package mutating func add(_ field: String, json: [UInt8]) {
    name(field)
    bytes.append(contentsOf: json)
  }

  package mutating func finish() -> [UInt8] {
    bytes.append(UInt8(ascii: "}"))
    return bytes
  }
}

extension ScrubStatus.State {
  var text: String {
    switch self {
    case .off: "off"
    case .waiting: "waiting"
    case .running: "running"
    }
  }
}

extension RaftGroup.Role {
  var text: String {
    switch self {
    case .follower: "follower"
    case .preCandidate, .candidate: "candidate"
    case .leader: "leader"
    }
  }
}
