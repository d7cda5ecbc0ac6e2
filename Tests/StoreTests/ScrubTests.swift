import Primitives
import Testing

@testable import Store

@Suite struct ScrubTests {
  /// What a pass came to.
  private struct Pass {
    var reads: [PageScrubRead] = []
    var skipped = 0
    var damages: [PageScrubDamage] = []
    /// Found by loading a page that pointers stand in.
    var loadDamages: [PageDamage] = []

    var pages: [PageID] { reads.map(\.page) }
    var isSound: Bool { damages.isEmpty && loadDamages.isEmpty }
  }

  /// One pass from its beginning to its end; ends where a load finds damage.
  private func pass(_ harness: Harness, each: (PageScrubRead) throws -> Void = { _ in }) throws -> Pass {
    var scrub = PageScrub()
    var pass = Pass()
    while true {
      do throws(PageMissing) {
        guard case .next(let read, let skipped) = try scrub.next(harness.store) else { return pass }
        pass.skipped += skipped
        guard let read else { continue }
        pass.reads.append(read)
        let verdict = harness.disk.page(read.page).withUnsafeBytes { scrub.completed(read, $0, harness.store) }
        if case .damaged(let damage) = verdict { pass.damages.append(damage) }
      } catch {
        do throws(PageDamage) { try harness.load(error) } catch {
          pass.loadDamages.append(error)
          return pass
        }
      }
      if let read = pass.reads.last { try each(read) }
    }
  }

  /// Two shards, long values, levels of which the highest has several children.
  private func file(rows: Int = 3000, limits: StoreLimits = defaultLimits()) throws -> Harness {
    let harness = try Harness(limits: limits)
    try harness.create()
    try harness.create(ShardID(8))
    for i in 0..<rows { try harness.put(numbered(i), filled(100 + i % 50, i)) }
    for i in stride(from: 0, to: rows, by: 500) { try harness.put(numbered(i), filled(60_000 + i, i)) }
    try harness.put(bytes("other"), filled(20_000, 1), in: ShardID(8))
    try harness.checkpoint()
    try harness.put(numbered(1), filled(50, 1))
    try harness.checkpoint()
    return harness
  }

  private func livePages(_ harness: Harness) -> [PageID] {
    let space = harness.store.space
    return (0..<space.pointee.pageCount).filter { space.pointee.isLive($0) }.map { PageID($0) }
  }

  private func rewrite(_ harness: Harness, _ damage: PageScrubDamage) throws -> PageRewrite {
    while true {
      do throws(PrepareFailure) { return try harness.store.rewrite(damage) } catch {
        guard case .missing(let missing) = error else { throw error }
        try harness.load(missing)
      }
    }
  }

  @Test func aPassReadsEveryPageOfTheNewestTreesOnce() throws {
    let harness = try file()
    let live = livePages(harness)
    #expect(live.count > 60 && live.count == harness.store.pagesToScrub)
    let inMemory = try pass(harness)
    #expect(inMemory.pages.sorted() == live && inMemory.skipped == 0 && inMemory.isSound)
    try harness.reopen()
    let fromDisk = try pass(harness)
    #expect(fromDisk.pages.sorted() == live && fromDisk.isSound)
    #expect(harness.verify().pages == live.count)
  }

  @Test func onlyPagesWithPointersAreTakenIntoMemory() throws {
    let harness = try file()
    let inMemory = harness.store.statistics.residentPages
    _ = try pass(harness)
    #expect(harness.store.statistics.residentPages == inMemory && harness.loads == 0)
    try harness.reopen()
    harness.loads = 0
    let read = try pass(harness)
    // The directory's page, and the two inner pages of a tree of some sixty leaves, or one.
    #expect(harness.loads <= 3 && read.reads.count > 60)
    #expect(harness.store.statistics.residentPages == harness.loads)
  }

  @Test func rotOfAnyPageIsFoundAndNamed() throws {
    let harness = try file(rows: 300)
    let (clean, live) = (harness.disk, livePages(harness))
    for isInMemory in [true, false] {
      for page in live {
        harness.disk = clean
        harness.disk.flip(Int(page.fileOffset) + 9_000, mask: 4)
        if !isInMemory { try harness.reopen() }
        let found = try pass(harness)
        if !isInMemory, page.rawValue < 2 {
          // It was seen when the file was opened.
          #expect(found.damages.isEmpty && harness.store.damagedSuperblock != nil)
          continue
        }
        // A page with pointers is read, and then loaded.
        #expect(found.damages.map(\.page) == [page], "in memory: \(isInMemory)")
        #expect(found.loadDamages.allSatisfy { $0.page == page } && (found.loadDamages.isEmpty || !isInMemory))
        let what = page.rawValue < 2 ? "superblock" : "page"
        let text = "\(what) \(page.rawValue) at offset \(page.fileOffset) is damaged: its checksum does not match"
        #expect(found.damages.first?.description.hasPrefix(text) == true, "\(found.damages)")
      }
    }
  }

  @Test func aLostAndAMisdirectedWriteAreFound() throws {
    let harness = try file(rows: 300)
    func leaves() throws -> [PageScrubRead] {
      try pass(harness).reads.filter {
        $0.expected.kind == .tree && $0.expected.level == 0 && $0.expected.page.rawValue > 1
      }
    }
    // Until some place is used for the second time.
    let before = harness.disk
    var lost: PageScrubRead?
    for round in 0..<12 where lost == nil {
      try harness.put(numbered(3), filled(70, round))
      try harness.checkpoint()
      lost = try leaves().first {
        before.pageCount > Int($0.page.rawValue) && before.page($0.page) != harness.disk.page($0.page)
          && before.page($0.page).contains { $0 != 0 }
      }
    }
    let leaf = try #require(lost)
    harness.disk.write(before.page(leaf.page), at: Int(leaf.fileOffset))
    guard case .page(let damage)? = try pass(harness).damages.first?.found, case .otherEpoch = damage.reason else {
      Issue.record("the page as it was before is told from damage of other kinds")
      return
    }
    let other = try #require(try leaves().first { $0.page != leaf.page }).page
    harness.disk.write(harness.disk.page(other), at: Int(leaf.fileOffset))
    let expected = PageDamage(page: leaf.page, reason: .misdirected(found: other))
    #expect(try pass(harness).damages.map(\.found) == [.page(expected)])
  }

  @Test func dirtyPagesArePassedOverAndWhatTheirLeavesPointToIsNot() throws {
    let harness = try file(rows: 300)
    let clean = try pass(harness)
    // The leaf of a long value changes, the pages of the value do not.
    try harness.put(numbered(1), filled(50, 2))
    let found = try pass(harness)
    #expect(found.skipped >= 3 && found.damages.isEmpty)
    #expect(found.reads.count + found.skipped == clean.reads.count)
    func values(_ pass: Pass) -> [PageID] { pass.reads.filter { $0.expected.kind == .overflow }.map(\.page) }
    #expect(values(found).count > 3 && values(found) == values(clean))
  }

  /// While a page was read it was freed, its place was taken, and written.
  @Test func aPageThatGotANewLifeIsNoDamage() throws {
    let harness = try file(rows: 300)
    var scrub = PageScrub()
    var order: PageScrubRead?
    while order == nil {
      guard case .next(let read?, _) = try scrub.next(harness.store) else { break }
      if read.expected.kind == .tree, read.expected.level == 0, case .tree(shard, _) = read.target { order = read }
    }
    let read = try #require(order)
    let old = harness.disk.page(read.page)
    for round in 0..<12 where harness.disk.page(read.page) == old {
      try harness.put(numbered(1), filled(50, round))
      try harness.put(numbered(290), filled(50, round))
      try harness.checkpoint()
    }
    try #require(harness.disk.page(read.page) != old)
    let verdict = harness.disk.page(read.page).withUnsafeBytes { scrub.completed(read, $0, harness.store) }
    #expect(verdict == .outdated)
    #expect(scrub.failed(read, errno: 5, harness.store) == .outdated)
  }

  @Test func aSuperblockThatIsWrittenMeanwhileIsNoDamage() throws {
    let harness = try file(rows: 300)
    var scrub = PageScrub()
    var orders: [PageScrubRead] = []
    for _ in 0..<2 {
      guard case .next(let read?, _) = try scrub.next(harness.store) else { break }
      orders.append(read)
    }
    #expect(orders.map(\.page) == [PageID(0), PageID(1)])
    let torn = [UInt8](repeating: 7, count: pageBytes)
    func verdicts() -> [PageScrubVerdict] {
      orders.map { order in torn.withUnsafeBytes { scrub.completed(order, $0, harness.store) } }
    }
    try harness.put(numbered(1), filled(50, 3))
    var underWay: [PageScrubVerdict] = []
    try harness.checkpoint { order in
      if case .writeSuperblock(let page, _) = order {
        underWay = verdicts()
        #expect(underWay[Int(page.rawValue)] == .outdated)
        guard case .damaged = underWay[1 - Int(page.rawValue)] else {
          Issue.record("the other one is not being written")
          return true
        }
      }
      return true
    }
    #expect(underWay.count == 2 && verdicts() == [.outdated, .outdated])
  }

  /// Writers, checkpoints and slow reads in any order: nothing sound is taken for damage.
  @Test(arguments: 1...6) func writersAreNoDamage(seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    var limits = defaultLimits()
    limits.missChance = seed % 2 == 0 ? 50 : 0
    limits.framesMax = 400
    let harness = try Harness(limits: limits)
    try harness.create()
    for i in 0..<2000 { try harness.put(numbered(i), filled(100, i)) }
    var scrub = PageScrub()
    var held: [(read: PageScrubRead, bytes: [UInt8]?)] = []
    var (outdated, sound, passes) = (0, 0, 0)
    func scrubSome() throws {
      for _ in 0..<Int(random.below(4)) {
        do throws(PageMissing) {
          switch try scrub.next(harness.store) {
          case .next(let read?, _): held.append((read, random.chance(1, outOf: 3) ? harness.disk.page(read.page) : nil))
          case .next(nil, _): break
          case .done where held.isEmpty:
            passes += 1
            scrub.restart()
          case .done: break
          }
        } catch { try harness.load(error) }
      }
      while held.count > 12 || !held.isEmpty && random.chance(1, outOf: 4) {
        let (read, bytes) = held.remove(at: Int(random.below(UInt64(held.count))))
        let verdict = (bytes ?? harness.disk.page(read.page)).withUnsafeBytes {
          scrub.completed(read, $0, harness.store)
        }
        switch verdict {
        case .sound: sound += 1
        case .outdated: outdated += 1
        case .damaged(let damage): Issue.record("\(damage)")
        }
      }
    }
    for round in 0..<400 {
      let place = Int(random.below(2000))
      switch random.below(4) {
      case 0: try harness.delete(numbered(place))
      case 1 where round % 5 == 0: try harness.put(numbered(place), filled(40_000, round))
      default: try harness.put(numbered(place), filled(120, round))
      }
      try scrubSome()
      if round % 8 == 0 {
        try harness.checkpoint { _ in
          try scrubSome()
          return true
        }
      }
      if round % 100 == 50 { harness.store.evictAll() }
    }
    harness.store.checkInvariants()
    #expect(outdated > 0 && sound > 200 && passes > 0, "\(outdated) outdated, \(sound) sound, \(passes) passes")
  }

  // MARK: Rewriting

  @Test func anyDamagedPageIsRewrittenFromMemory() throws {
    let harness = try file(rows: 300)
    let rows = try harness.rows()
    let pages = livePages(harness).count
    for number in 0..<pages {
      let page = livePages(harness)[number]
      harness.disk.flip(Int(page.fileOffset) + 9_000, mask: 1)
      let damage = try #require(try pass(harness).damages.first, "\(page)")
      #expect(damage.page == page)
      #expect(try rewrite(harness, damage) == .rewritten, "\(damage.read)")
      harness.store.checkInvariants()
      // Of a superblock the node sees to it that there is something to write.
      try harness.setMetadata([UInt8(number % 256)])
      try harness.checkpoint()
      try harness.setMetadata([UInt8(number % 256), 1])
      try harness.checkpoint()
      #expect(harness.verify().findings.isEmpty, "\(damage.read)")
      #expect(try pass(harness).damages.isEmpty)
      if page.rawValue > 1 { #expect(try rewrite(harness, damage) == .notNeeded) }
    }
    #expect(try harness.rows() == rows)
    try harness.reopen()
    #expect(try harness.rows() == rows)
  }

  @Test func whatIsNotInMemoryOrDamagedThereIsNotRewritten() throws {
    let harness = try file(rows: 300)
    let leaf = try #require(
      try pass(harness).reads.first {
        $0.expected.kind == .tree && $0.expected.level == 0 && $0.target != .tree(nil, key: [])
      })
    harness.disk.flip(Int(leaf.fileOffset) + 500, mask: 1)
    let damage = try #require(try pass(harness).damages.first)
    let frame = try #require(harness.store.entry(leaf.page).pointee.frame)
    frame.storeBytes(of: ~frame.load(fromByteOffset: 500, as: UInt8.self), toByteOffset: 500, as: UInt8.self)
    #expect(try rewrite(harness, damage) == .impossible)
    harness.store.evict(leaf.page)
    #expect(try rewrite(harness, damage) == .impossible)
    #expect(!harness.store.isBatchOpen)
  }

  /// The row is overwritten, and what it was is kept under another key, after its damage was found and before it is mended.
  @Test func aLongValueThatHasMovedIsRewrittenByTheNextPass() throws {
    let harness = try file(rows: 300)
    let value = try #require(
      try pass(harness).reads.first { if case .overflow(shard, numbered(0)) = $0.target { true } else { false } })
    harness.disk.flip(Int(value.fileOffset) + 500, mask: 1)
    let damage = try #require(try pass(harness).damages.first)
    let old = try #require(try harness.get(numbered(0)))
    try harness.replace(numbered(0), by: bytes("new"), keepingOldAs: bytes("kept"))
    #expect(try rewrite(harness, damage) == .elsewhere)
    let again = try #require(try pass(harness).damages.first)
    #expect(again.page == value.page)
    #expect(try rewrite(harness, again) == .rewritten)
    try harness.checkpoint()
    #expect(try harness.verify().findings.isEmpty && pass(harness).damages.isEmpty)
    #expect(try harness.get(bytes("kept")) == old)
  }

  @Test func withoutRoomNothingIsRewrittenYet() throws {
    var limits = defaultLimits()
    limits.framesMax = 256
    let harness = try file(rows: 300, limits: limits)
    let leaf = try #require(
      try pass(harness).reads.last { $0.expected.kind == .tree && $0.expected.level == 0 })
    harness.disk.flip(Int(leaf.fileOffset) + 500, mask: 1)
    let damage = try #require(try pass(harness).damages.first)
    var i = 1000
    while true {
      do { try harness.put(numbered(i), filled(4000, i)) } catch PrepareFailure.outOfMemory { break }
      i += 1
    }
    harness.store.endWrite()
    #expect(throws: PrepareFailure.outOfMemory) { try rewrite(harness, damage) }
    #expect(!harness.store.isBatchOpen)
  }
}
