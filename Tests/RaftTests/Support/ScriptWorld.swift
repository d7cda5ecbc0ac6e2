// The world of a script: replicas that do nothing unasked, one clock, messages and orders that wait to be named.

import Primitives

@testable import Raft

final class ScriptWorld {
  struct Replica {
    var group: RaftGroup?
    var disk = TestDisk()
    var applied = LogIndex.zero
    var loads: [LoadOrder] = []
  }

  var settings = RaftSettings()
  var configuration = Configuration(voters: [])
  var replicas: [Int: Replica] = [:]
  var count = 0
  var now = Instant(nanoseconds: 1_000_000_000)
  /// Sent and neither delivered nor dropped, in order.
  var inFlight: [RaftMessage] = []
  /// Applied as soon as committed, unless a script says otherwise.
  var appliesAtOnce = true
  let checker = RunChecker()
  var output: [String] = []
  private var effects = RaftEffects()

  func found(_ n: Int) {
    count = n
    configuration = Configuration(voters: (1...n).map(member))
    for i in 1...n {
      replicas[i] = Replica()
      boot(i)
    }
  }

  func boot(_ i: Int) {
    guard var replica = replicas[i] else { return }
    let restored = replica.disk.restored(
      configuration: configuration, applied: replica.applied, logStart: LogIndex(1))
    replica.group = RaftGroup(
      shard: ShardID(1), me: member(i), settings: settings, restored: restored, random: SeededRandom(seed: UInt64(i)),
      now: now)
    replicas[i] = replica
  }

  // MARK: Stepping

  func step(_ i: Int, _ event: RaftEvent) {
    guard replicas[i]?.group != nil else { return output.append("n\(i) is down") }
    effects.removeAll()
    replicas[i]?.group?.step(event, at: now, into: &effects)
    settle(i)
  }

  func propose(_ i: Int, _ kind: EntryKind, _ payload: [UInt8]) {
    effects.removeAll()
    do throws(ProposeRefusal) {
      _ = try replicas[i]?.group?.propose(kind: kind, payload: payload, at: now, into: &effects)
    } catch {
      output.append("n\(i) refuses: \(error)")
    }
    settle(i)
  }

  private func settle(_ i: Int) {
    guard let group = replicas[i]?.group, let disk = replicas[i]?.disk else { return }
    group.checkInvariants()
    for change in effects.changes {
      if case .becameLeader(let term) = change { checker.becameLeader(member(i), term, group, disk) }
    }
    for message in effects.messages { checker.sent(message, disk) }
    for order in effects.persist {
      guard let first = order.entries.first else { continue }
      checker.appended(order.entries, previousTerm: group.term(at: first.index.previous) ?? .zero, at: member(i))
    }
    let disks = replicas.keys.sorted().compactMap { replicas[$0]?.disk }
    if !effects.committed.isEmpty { checker.committed(effects.committed, by: group, disks) }
    carryOut(i, effects)
    output += checker.violations.map { "VIOLATION: \($0)" }
  }

  private func carryOut(_ i: Int, _ done: RaftEffects) {
    output += done.lines(of: i)
    for order in done.persist { replicas[i]?.disk.accept(order) }
    inFlight += done.messages
    replicas[i]?.loads += done.loads
    guard appliesAtOnce, let last = done.committed.last else { return }
    apply(i, last.index)
  }

  func apply(_ i: Int, _ index: LogIndex) {
    replicas[i]?.applied = index
    step(i, .applied(index))
  }

  // MARK: What scripts do to disks and links

  func persist(_ i: Int, through id: PersistID? = nil) {
    guard let last = id ?? replicas[i]?.disk.queue.last?.id else { return }
    replicas[i]?.disk.perform(through: last)
    step(i, .persisted(last))
  }

  func deliver(_ message: RaftMessage) {
    output.append(message.line)
    let i = Int(message.to.node.rawValue)
    if replicas[i]?.group != nil { step(i, .received(message)) }
  }

  /// Orders performed and messages delivered in turn until nothing is left. Says only what changes.
  func stabilize(quiet: Bool, among members: Set<Int>, isElection: Bool = false) {
    let before = output.count
    for _ in 0..<1000 {
      var isIdle = true
      for i in members.sorted() where replicas[i]?.group != nil && replicas[i]?.disk.queue.isEmpty == false {
        if isElection, replicas[i]?.group?.isLeader == true { continue }
        persist(i)
        isIdle = false
      }
      let chosen = { (message: RaftMessage) in
        members.contains(message.toNode) && members.contains(message.fromNode)
          && (!isElection || message.body.kind.contains("vote"))
      }
      let batch = inFlight.filter(chosen)
      inFlight.removeAll(where: chosen)
      for message in batch { deliver(message) }
      if isIdle, batch.isEmpty { break }
    }
    if quiet { output = output[..<before] + output[before...].filter { $0.isNews } }
  }

  func crash(_ i: Int, keeping whole: Int) {
    replicas[i]?.disk.crash(keeping: whole)
    replicas[i]?.group = nil
    replicas[i]?.loads = []
    guard let replica = replicas[i] else { return }
    replicas[i]?.applied = min(replica.applied, replica.disk.lastIndex)
  }
}

extension String {
  /// In quiet output only roles, commits, reads and violations are shown.
  fileprivate var isNews: Bool {
    ["leads", "steps down", "commits", "read", "abandons", "VIOLATION", "refuses"].contains { contains($0) }
  }
}

extension RaftMessage {
  var toNode: Int { Int(to.node.rawValue) }
  var fromNode: Int { Int(from.node.rawValue) }
}
