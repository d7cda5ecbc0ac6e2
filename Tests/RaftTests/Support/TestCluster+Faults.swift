// What clients do to the cluster, and what the world does.

import Primitives

@testable import Raft

extension TestCluster {
  // MARK: Clients

  func client() {
    schedule(1 + random.below(random.chance(1, outOf: 4) ? 200_000_000 : 8_000_000), .client)
    for i in replicas.indices where replicas[i].pausedUntil <= time {
      guard let group = replicas[i].group, group.isLeader else { continue }
      if random.chance(1, outOf: 3) { read(i) } else { propose(i) }
    }
  }

  func propose(_ i: Int) {
    counts.proposals += 1
    effects.removeAll()
    let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: counts.proposals), count: Int(random.below(200)))
    do throws(ProposeRefusal) {
      _ = try replicas[i].group!.propose(kind: .command, payload: payload, at: localTime(i), into: &effects)
    } catch {
      if error == .overloaded { counts.overloads += 1 }
    }
    settle(i)
  }

  private func read(_ i: Int) {
    lastRead += 1
    reads[lastRead] = checker.committedIndex
    step(i, .readRequested(lastRead))
  }

  // MARK: Faults

  func fault() {
    guard !isHealed else { return }
    schedule(1 + random.below(weather.faultEvery * 2), .fault)
    let i = Int(random.below(3))
    switch random.below(10) {
    case 0, 1, 2: if weather.hasCrashes { crash(i) }
    case 3, 4: cut = []
    case 5: cut = [i * 3 + (i + 1) % 3, ((i + 1) % 3) * 3 + i]
    case 6: isolate(replicas.firstIndex { $0.group?.isLeader == true } ?? i)
    case 7: cut.insert(Int(random.below(9)))
    case 8: pause(random.chance(1, outOf: 2) ? i : replicas.firstIndex { $0.group?.isLeader == true } ?? i)
    default: transfer(to: i)
    }
  }

  private func isolate(_ i: Int) {
    cut = []
    for other in 0..<3 where other != i { cut.formUnion([i * 3 + other, other * 3 + i]) }
    for other in 0..<3
    where replicas[other].group != nil && replicas[other].pausedUntil <= time && random.chance(1, outOf: 2) {
      step(other, .unreachable(replicas[i].member))
    }
  }

  private func pause(_ i: Int) {
    guard replicas[i].group != nil else { return }
    replicas[i].pausedUntil = time + random.below(random.chance(1, outOf: 3) ? 3_000_000_000 : 600_000_000)
  }

  private func transfer(to i: Int) {
    for leader in replicas.indices where replicas[leader].group?.isLeader == true && leader != i {
      guard replicas[leader].pausedUntil <= time else { continue }
      counts.transfers += 1
      step(leader, .transferRequested(replicas[i].member))
    }
  }

  /// Power is lost: of the orders under way an arbitrary front part has reached the disk.
  func crash(_ i: Int) {
    guard let group = replicas[i].group else { return }
    counts.crashes += 1
    let waiting = replicas[i].disk.queue.count
    let whole = Int(random.below(UInt64(waiting + 1)))
    replicas[i].disk.crash(keeping: whole, part: random.chance(1, outOf: 2) ? Int(random.below(4)) : nil)
    let applied = min(group.appliedIndex, replicas[i].disk.lastIndex)
    replicas[i].applied = LogIndex(random.below(applied.rawValue + 1))
    replicas[i].applied = max(replicas[i].applied, min(applied, group.retainedFrom.previous))
    replicas[i].logStart = min(group.retainedFrom, replicas[i].applied.next)
    replicas[i].group = nil
    replicas[i].boot += 1
    replicas[i].pausedUntil = 0
    replicas[i].tickAt = .max
    schedule(isHealed ? 1 : random.below(2_000_000_000), .start(i))
    checker.checkQuorum(replicas.map(\.disk))
  }

  func start(_ i: Int) {
    guard replicas[i].group == nil else { return }
    let restored = replicas[i].disk.restored(
      configuration: configuration, applied: replicas[i].applied, logStart: replicas[i].logStart)
    replicas[i].group = RaftGroup(
      shard: ShardID(1), me: replicas[i].member, settings: settings, restored: restored, random: random.fork(),
      now: localTime(i))
    effects.removeAll()
    settle(i)
  }

  /// No more faults, all links and disks good, everybody running.
  func heal() {
    isHealed = true
    cut = []
    for i in replicas.indices { replicas[i].pausedUntil = min(replicas[i].pausedUntil, time) }
  }
}
