import Primitives

/// One node at a time dies by signal 9 while writers write: the leader in four cases of five, otherwise a follower. It is
/// started again after a while; the next one dies when it has caught up, so that there is always a majority.
struct KillScenario {
  static let name = "failover/kill"
  static let medianMax = 0.7
  static let slowestMax = 1.5
  /// Pauses without a kill are told from here.
  static let pauseTold = Nanoseconds.milliseconds(250)
  static let rejoinMax = 10.0
  static let rejoinWithin = Nanoseconds.seconds(30)

  let cluster: LocalCluster
  let report: Report
  let leaderKills: Int
  let secondsMin: Double
  let seed: UInt64

  /// One kill and what followed.
  struct Kill {
    var node: String
    var wasLeader: Bool
    var at: Instant
    var down = Nanoseconds.zero
    /// From the start command to an applied index that the cluster had at that moment.
    var rejoin = Nanoseconds.zero
  }

  func run() throws(ChaosError) {
    guard leaderKills > 0 else { return }
    let view = try ClusterView(cluster)
    try ChaosTable.create(cluster.client())
    let flushes = FlushCounter(directory: cluster.directory)
    let (flushed, begun) = (flushes?.read(), Clock.now())
    let crew = Crew.start(cluster, scenario: "kill", seed: seed)
    let kills: [Kill]
    do throws(ChaosError) { kills = try killAll(crew, view, begun) } catch {
      report.tellTroubles(crew.finish())
      throw error
    }
    let log = crew.finish()
    report.addFlushes(flushes, before: flushed, log: log, scenario: Self.name)
    tell(kills, log, begun)
    addTimes(kills, log)
    report.add(try Examination(cluster, scenario: "kill", log: log, view: view), scenario: Self.name)
    report.tellTroubles(log)
  }

  // MARK: harm

  private func killAll(_ crew: Crew, _ view: ClusterView, _ begun: Instant) throws(ChaosError) -> [Kill] {
    var random = SeededRandom(seed: seed)
    var kills: [Kill] = []
    guard crew.awaitProgress(200, limit: .seconds(15)) else { throw ChaosError(message: "no load before the kills") }
    while kills.count(where: \.wasLeader) < leaderKills || (Clock.now() - begun).seconds < secondsMin {
      Clock.sleep(random.milliseconds(200...1500))
      kills.append(try killOne(&random, view))
      guard crew.awaitProgress(50, limit: .seconds(15)) else { throw ChaosError(message: "no write for 15 s") }
    }
    return kills
  }

  private func killOne(_ random: inout SeededRandom, _ view: ClusterView) throws(ChaosError) -> Kill {
    let down = random.milliseconds(200...3000)
    let takesLeader = random.chance(4, outOf: 5)
    let draw = random.below(2)
    let leader = try view.leader()
    let others = LocalCluster.nodes.filter { $0 != leader }
    let victim = takesLeader ? leader : others[Int(draw)]
    var kill = Kill(node: victim, wasLeader: victim == leader, at: try cluster.kill([victim]), down: down)
    say("killed \(victim)\(kill.wasLeader ? ", the leader" : "")")
    Clock.sleep(down)
    kill.rejoin = try restart(victim, view)
    return kill
  }

  private func restart(_ node: String, _ view: ClusterView) throws(ChaosError) -> Nanoseconds {
    let goal = view.look()?.leader?.replica.commitIndex ?? 0
    let begun = Clock.now()
    try cluster.start([node])
    let caughtUp = view.wait(Self.rejoinWithin) { ($0.applied(node) ?? 0) >= goal }
    guard caughtUp != nil else {
      throw ChaosError(message: "\(node) did not catch up within \(Self.rejoinWithin.seconds) s of its restart")
    }
    return Clock.now() - begun
  }

  // MARK: figures

  /// The timeline: each kill, and each pause that no kill explains.
  private func tell(_ kills: [Kill], _ log: Log, _ begun: Instant) {
    let gaps = Failover(kills: kills.map(\.at), acknowledged: log.acknowledged).times
    var lines: [(at: Instant, text: String)] = []
    for (kill, gap) in zip(kills, gaps) {
      let role = kill.wasLeader ? "leader  " : "follower"
      let text =
        "\(kill.node) \(role)     \(gap.map(Self.milliseconds) ?? "   never")          "
        + "\(Self.padded(kill.down.seconds, 6)) s   \(Self.padded(kill.rejoin.seconds, 6)) s"
      lines.append((kill.at, text))
    }
    for pause in unexplained(kills, log) {
      lines.append((pause.begun, "nobody          \(Self.milliseconds(pause.ended - pause.begun))"))
    }
    report.tell("    moment  killed          next acknowledged write   down for   caught up after")
    for line in lines.sorted(by: { $0.at < $1.at }) {
      report.tell("\(Self.padded((line.at - begun).seconds, 8)) s  \(line.text)")
    }
  }

  /// Long pauses that contain no kill. Worth a look: a leader that lives should not pause.
  private func unexplained(_ kills: [Kill], _ log: Log) -> [Span] {
    Failover.pauses(log.acknowledged, of: Self.pauseTold).filter { pause in
      !kills.contains { $0.at + .milliseconds(50) >= pause.begun && $0.at <= pause.ended }
    }
  }

  private func addTimes(_ kills: [Kill], _ log: Log) {
    let failover = Failover(kills: kills.filter(\.wasLeader).map(\.at), acknowledged: log.acknowledged)
    let others = Failover(kills: kills.filter { !$0.wasLeader }.map(\.at), acknowledged: log.acknowledged)
    report.add("\(Self.name)/leaders", Double(failover.times.count), "kills")
    report.add("\(Self.name)/followers", Double(others.times.count), "kills")
    report.add("\(Self.name)/p50", failover.median, "s", .atMost(Self.medianMax))
    report.add("\(Self.name)/max", failover.max, "s", .atMost(Self.slowestMax))
    report.add("\(Self.name)/unanswered", Double(failover.unanswered + others.unanswered), "kills", .atMost(0))
    report.add("\(Self.name)/follower-max", others.max, "s")
    let pauses = unexplained(kills, log).map { ($0.ended - $0.begun).seconds }
    report.add("\(Self.name)/pause-without-kill", pauses.max() ?? 0, "s")
    report.add("\(Self.name)/rejoin-max", kills.map(\.rejoin.seconds).max() ?? 0, "s", .atMost(Self.rejoinMax))
    report.add("\(Self.name)/log-max", Double(cluster.samples().values.map(\.logBytes).max() ?? 0) / 1_048_576, "MiB")
  }

  private static func milliseconds(_ time: Nanoseconds) -> String {
    let text = String(time.rawValue / 1_000_000)
    return String(repeating: " ", count: max(0, 5 - text.count)) + text + " ms"
  }

  /// With two digits behind the point, to the right of `width` columns.
  private static func padded(_ value: Double, _ width: Int) -> String {
    let hundredths = Int((value * 100).rounded())
    let text = "\(hundredths / 100).\(String(hundredths % 100 + 100).dropFirst())"
    return String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
