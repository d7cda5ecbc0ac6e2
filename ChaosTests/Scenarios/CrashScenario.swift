import Primitives

/// All three nodes die by signal 9 at once, under load, and are started again. The clients keep asking throughout.
struct CrashScenario {
  static let name = "failover/crash"
  static let answerWithin = Nanoseconds.seconds(20)

  let cluster: LocalCluster
  let report: Report
  let crashes: Int
  let seed: UInt64

  func run() throws(ChaosError) {
    guard crashes > 0 else { return }
    let view = try ClusterView(cluster)
    try ChaosTable.create(cluster.client())
    let flushes = FlushCounter(directory: cluster.directory)
    let flushed = flushes?.read()
    let crew = Crew.start(cluster, scenario: "crash", seed: seed &+ 1)
    let pauses: [Double]
    do throws(ChaosError) { pauses = try crashAll(crew) } catch {
      report.tellTroubles(crew.finish())
      throw error
    }
    let log = crew.finish()
    report.addFlushes(flushes, before: flushed, log: log, scenario: Self.name)
    report.add("\(Self.name)/count", Double(crashes), "crashes")
    report.add("\(Self.name)/restart-max", pauses.max() ?? 0, "s")
    report.add(try Examination(cluster, scenario: "crash", log: log, view: view), scenario: Self.name)
    report.tellTroubles(log)
  }

  /// The times from each start command to the next acknowledged write.
  private func crashAll(_ crew: Crew) throws(ChaosError) -> [Double] {
    var random = SeededRandom(seed: seed &+ 1)
    var pauses: [Double] = []
    for crash in 1...crashes {
      guard crew.awaitProgress(500, limit: Self.answerWithin) else {
        throw ChaosError(message: "no load before a crash")
      }
      Clock.sleep(random.milliseconds(200...2500))
      _ = try cluster.kill(LocalCluster.nodes)
      let before = crew.acknowledged
      Clock.sleep(random.milliseconds(200...1000))
      let begun = Clock.now()
      try cluster.start(LocalCluster.nodes)
      guard crew.awaitProgress(1, limit: Self.answerWithin) else {
        throw ChaosError(message: "no write within \(Self.answerWithin.seconds) s of the restart of all nodes")
      }
      pauses.append((Clock.now() - begun).seconds)
      let time = Int((pauses.last ?? 0) * 1000)
      report.tell("crash \(crash) of all nodes after \(before) writes; started again, written again after \(time) ms")
    }
    guard crew.awaitProgress(500, limit: Self.answerWithin) else { throw ChaosError(message: "no load after a crash") }
    return pauses
  }
}
