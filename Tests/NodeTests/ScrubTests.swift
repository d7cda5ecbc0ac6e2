import Primitives
import Store
import Testing

@testable import Node

/// Reading everything again in a given time, and what follows from damage.
@Suite struct ScrubTests {
  /// A node of some fifty pages, most of them leaves, after a checkpoint.
  private func makeWorld(
    every time: Nanoseconds = .seconds(10), change: (inout NodeLimits) -> Void = { _ in }
  ) throws -> (Harness, Harness.Machine) {
    var limits = NodeLimits()
    limits.checkpointLogBytes = 400_000
    limits.checkpointTimeMax = .milliseconds(10)
    change(&limits)
    var room = Harness.Room(frames: 512, segmentBytes: 1 << 20, logBytesMax: 32 << 20)
    room.scrubEvery = time
    let world = try Harness(1, limits: limits, room: room)
    let node = try world.elect()
    let table =
      #"{"name":"t","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"}],"primary_key":["k"]}"#
    world.request(node, .createTable(body: Array(table.utf8)))
    for row in 0..<200 { put(world, node, row) }
    world.pass(.milliseconds(50))
    try #require(node.checkpoints > 0 && node.node.storeStatistics.livePages > 40)
    return (world, node)
  }

  private func put(_ world: Harness, _ node: Harness.Machine, _ row: Int, _ count: Int = 3000) {
    let body = #"{"v":""# + String(repeating: "x", count: count) + #""}"#
    world.request(node, .put(RowPath(table: "t", key: Array("\(row)".utf8)), body: Array(body.utf8), .none))
  }

  private func damages(_ node: Harness.Machine) -> [ScrubOutcome] {
    node.notices.compactMap { if case .scrubDamage(_, let outcome) = $0 { outcome } else { nil } }
  }

  /// A page of the newest trees whose content is in memory, and as it is on the disk: one of the last read, so a leaf.
  private func leaf(_ node: Harness.Machine) throws -> PageID {
    let pages = node.scrubs.compactMap { if case .page(let read) = $0.read { read.page } else { nil } }
    return try #require(pages.last { node.node.store.isCleanInMemory($0) })
  }

  private func rot(_ node: Harness.Machine, _ page: PageID) { node.files.pages[Int(page.fileOffset) + 12_345] ^= 8 }

  // MARK: Pace

  @Test func aPassIsSpreadOverItsTimeAndTheNextOneFollows() throws {
    let (world, node) = try makeWorld(every: .seconds(100))
    world.pass(.seconds(90))
    #expect(node.node.statistics.scrubPasses == 0)
    let status = node.node.scrubStatus
    #expect(status.state == .running && (80...99).contains(status.percent), "\(status.percent)")
    // Pages that are dirty have their share of the time, too.
    let pages = node.scrubs.filter { if case .page = $0.read { true } else { false } }
    let gaps = zip(pages.dropFirst(), pages).map { ($0.at - $1.at).rawValue }
    let mean = gaps.reduce(0, +) / UInt64(gaps.count)
    #expect(gaps.count > 30 && gaps.allSatisfy { $0 < 5 * mean }, "\(mean): \(gaps)")
    world.pass(.seconds(16))
    #expect(node.node.statistics.scrubPasses == 1)
    let (bytes, reads) = (node.node.statistics.scrubbedBytes, node.scrubs.count)
    #expect(bytes >= UInt64(node.node.storeStatistics.livePages * Store.pageBytes))
    world.pass(.seconds(104))
    #expect(node.node.statistics.scrubPasses == 2 && node.scrubs.count >= 2 * reads - 2)
    #expect(node.node.statistics.scrubDamage == 0 && damages(node).isEmpty)
    #expect(node.node.scrubStatus.finishedBefore.map { $0 < .seconds(20) } == true)
  }

  @Test func aRestartBeginsAnew() throws {
    let (world, node) = try makeWorld(every: .seconds(100))
    world.pass(.seconds(60))
    let before = node.scrubs.count
    try world.restart(0)
    _ = try world.elect()
    world.pass(.seconds(101))
    #expect(node.node.statistics.scrubPasses == 1 && node.node.failure == nil)
    #expect(
      node.scrubs.dropFirst(before).contains {
        if case .page(let read) = $0.read { read.page == PageID(0) } else { false }
      })
  }

  @Test func offMeansNever() throws {
    let (world, node) = try makeWorld(every: .zero)
    world.pass(.seconds(30))
    #expect(node.scrubs.isEmpty && node.node.scrubStatus.state == .off)
  }

  @Test func itReadsNoFasterThanItMay() throws {
    let (world, node) = try makeWorld(every: .seconds(1)) { $0.scrubBytesPerSecondMax = 256 << 10 }
    let before = node.node.statistics.scrubbedBytes
    world.pass(.seconds(10))
    let read = node.node.statistics.scrubbedBytes - before
    #expect(read <= 10 * 256 << 10 + 512 << 10 && read > 5 * 256 << 10, "\(read)")
  }

  /// Here so many pages are always being loaded.
  @Test func whoWaitsForPagesComesFirst() throws {
    let (world, node) = try makeWorld(every: .seconds(1)) { $0.scrubYieldsAt = 0 }
    world.pass(.seconds(5))
    #expect(node.scrubs.isEmpty && node.node.scrubStatus.state == .running)
    #expect(node.node.nextDeadline <= world.now + .milliseconds(5), "it looks again soon")
  }

  @Test func thePaceMakesUpForWhatIsLateAtItsRate() {
    var pace = ScrubPace(begunAt: Instant(nanoseconds: 1_000), time: .seconds(10))
    #expect(pace.due(of: 1 << 20, rate: 1 << 20) == pace.begunAt)
    pace.note(ordered: 1 << 19, at: pace.begunAt)
    #expect(pace.due(of: 1 << 20, rate: 1 << 30) == pace.begunAt + .seconds(5))
    #expect(pace.due(of: 1 << 20, rate: 1 << 15) == pace.begunAt + .seconds(16))
    // A quarter more, when six seconds have passed: a half of the rest, for which there are four.
    pace.note(ordered: 1 << 18, at: pace.begunAt + .seconds(6))
    #expect(pace.due(of: 1 << 20, rate: 1 << 30) == pace.begunAt + .seconds(8))
    // There is less than there was, or more.
    #expect(pace.due(of: 0, rate: 1 << 30) == pace.begunAt + .seconds(10))
    #expect(pace.due(of: 3 << 19, rate: 1 << 30) == pace.begunAt + .seconds(7))
    pace.note(ordered: 1 << 18, at: pace.begunAt + .seconds(11))
    #expect(pace.due(of: 2 << 20, rate: 1 << 30) == pace.orderedAt + .microseconds(244) + Nanoseconds(140))
  }

  // MARK: Damage

  @Test func aPageInMemoryIsRewrittenAndTheNodeGoesOn() throws {
    let (world, node) = try makeWorld()
    world.pass(.seconds(11))
    let (page, checkpoints) = (try leaf(node), node.checkpoints)
    rot(node, page)
    world.pass(.seconds(22))
    #expect(damages(node) == [.mending, .rewritten])
    guard
      case .scrubDamage(let text, _)? = node.notices.first(where: { if case .scrubDamage = $0 { true } else { false } })
    else { return }
    #expect(
      text.hasPrefix("page \(page.rawValue) at offset \(page.fileOffset) is damaged: its checksum does not match ("))
    #expect(node.node.statistics.scrubDamage == 1 && node.node.statistics.scrubRewritten == 1)
    #expect(node.checkpoints >= checkpoints + 2, "no superblock leads to the damage")
    #expect(node.node.failure == nil && verify(node).isEmpty)
    try world.restart(0)
    _ = try world.elect()
    let id = world.request(node, .get(RowPath(table: "t", key: Array("100".utf8)), columns: nil))
    #expect(world.reply(id)?.status == 200)
  }

  private func verify(_ node: Harness.Machine) -> [VerifyFinding] {
    struct Pages: PageSource {
      let bytes: [UInt8]
      mutating func read(_ page: PageID, into buffer: UnsafeMutableRawBufferPointer) -> Bool {
        buffer.copyBytes(from: bytes[Int(page.fileOffset)..<Int(page.fileOffset) + buffer.count])
        return true
      }
    }
    var source = Pages(bytes: node.files.pages)
    var findings: [VerifyFinding] = []
    for slot in 0..<2 {
      let bytes = Array(node.files.pages[slot * Store.pageBytes..<(slot + 1) * Store.pageBytes])
      guard let superblock = bytes.withUnsafeBytes({ try? Superblock.decode($0) }) else {
        findings.append(.unreadable(PageID(UInt32(slot))))
        continue
      }
      findings += verifyStore(&source, superblock).findings
    }
    return findings
  }

  @Test func eachSuperblockIsWrittenAnew() throws {
    for slot in 0..<2 {
      let (world, node) = try makeWorld()
      world.pass(.seconds(11))
      node.files.pages[slot * Store.pageBytes + 3000] ^= 1
      world.pass(.seconds(22))
      #expect(damages(node) == [.mending, .rewritten] && node.node.failure == nil)
      #expect(verify(node).isEmpty)
    }
  }

  /// As when a load meets it.
  @Test func damageThatIsNotInMemoryEndsTheNode() throws {
    let (world, node) = try makeWorld()
    world.pass(.seconds(11))
    let page = try leaf(node)
    rot(node, page)
    node.node.store.evict(page)
    world.pass(.seconds(22))
    #expect(damages(node) == [.mending, .fatal])
    let failure = try #require(node.node.failure?.text)
    #expect(failure.contains("page \(page.rawValue) at offset \(page.fileOffset) is damaged"), "\(failure)")
    #expect(node.node.ownStatus().state == "failed" && node.node.statistics.scrubDamage == 1)
    let count = node.scrubs.count
    world.pass(.seconds(22))
    #expect(node.scrubs.count == count)
  }

  @Test func damageOfTheLogEndsTheNode() throws {
    let (world, node) = try makeWorld()
    world.pass(.seconds(11))
    let piece = try #require(
      node.scrubs.compactMap { if case .log(let read) = $0.read { read } else { nil } }.first)
    let place = try #require(node.files.segments.firstIndex { $0.number == piece.file })
    node.files.segments[place].bytes[Int(piece.offset) + 500] ^= 1
    world.pass(.seconds(22))
    #expect(damages(node) == [.fatal])
    #expect(node.node.failure?.text.contains("log segment \(piece.file) at offset") == true)
  }

  @Test func aReadThatFailsIsDamage() throws {
    let (world, node) = try makeWorld()
    world.pass(.seconds(11))
    try #require(node.node.statistics.scrubPasses >= 1)
    node.failsScrubs = true
    world.pass(.seconds(1))
    node.failsScrubs = false
    world.pass(.seconds(22))
    #expect(
      node.node.statistics.scrubDamage >= 1 && node.node.statistics.scrubDamage == node.node.statistics.scrubRewritten)
    #expect(node.node.failure == nil && verify(node).isEmpty)
  }

  /// Writers and checkpoints without end, and each page read again many times.
  @Test func underWritesNothingSoundIsDamage() throws {
    let (world, node) = try makeWorld(every: .seconds(1)) { $0.checkpointLogBytes = 100_000 }
    for round in 0..<400 {
      put(world, node, round * 37 % 230, round % 90 == 0 ? 50_000 : 2000)
      world.pass(.milliseconds(10))
    }
    #expect(node.node.statistics.scrubPasses >= 3 && node.checkpoints > 5)
    #expect(node.node.statistics.scrubDamage == 0 && node.node.failure == nil)
    #expect(node.node.statistics.scrubSkippedPages > 0)
  }
}
