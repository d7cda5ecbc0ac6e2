import Journal
import Primitives
import Store

// Scrubbing: everything that this node holds on its disk is read again in the time that the setting gives to a pass, and compared
// with what it has to be. Store and Journal say what is next and judge it; here stands when, and what follows.
//
//     waiting ─► pages ─► log ─► waiting …           a pass begins when the one before has had its time
//
//     damage ─┬─ a page whose content is in memory, a superblock ──► written anew by the next checkpoints
//             └─ any other page, the log ──────────────────────────► the node serves no more, as when a load meets it
//
// A node with damage that it cannot mend has vouched for what it does not hold: it must not go on to acknowledge.

/// What scrubbing is at.
struct ScrubState {
  enum Phase: Equatable {
    case off
    case waiting
    case pages
    case log
  }

  var phase: Phase
  var pages = PageScrub()
  var log = LogScrub()
  var pace: ScrubPace
  var readsInFlight = 0
  /// When the next step is due.
  var nextAt: Instant
  /// Damaged pages that get another place as soon as memory and disk have room for that.
  var rewrites: [PageScrubDamage] = []
  /// Checkpoints that have to begin before no superblock leads to damage any more.
  var checkpointsToBegin = 0
  var finishedAt: Instant?

  init(every time: Nanoseconds, now: Instant) {
    phase = time == .zero ? .off : .pages
    pace = ScrubPace(begunAt: now, time: time)
    nextAt = time == .zero ? .never : now
  }
}

/// When the next read of a pass is due.
struct ScrubPace: Equatable {
  var begunAt: Instant
  /// What a pass may take.
  var time: Nanoseconds
  var doneBytes: UInt64 = 0
  /// The last order, and the bytes that it was about.
  var orderedAt = Instant.zero
  var orderedBytes: UInt64 = 0

  init(begunAt: Instant, time: Nanoseconds) {
    self.begunAt = begunAt
    self.time = time
  }

  /// What is left of `total` bytes is spread evenly over what is left of the time; never faster than `rate` bytes a second.
  func due(of total: UInt64, rate: UInt64) -> Instant {
    guard doneBytes > 0 else { return begunAt }
    let left = (begunAt + time) - orderedAt
    let part = Double(orderedBytes) / Double(max(total, doneBytes) - doneBytes + max(1, orderedBytes))
    let byTime = orderedAt + Nanoseconds(UInt64(Double(left.rawValue) * part))
    let byRate = orderedAt + Nanoseconds(orderedBytes * 1_000_000_000 / rate)
    return max(byTime, byRate)
  }

  /// So long nobody sleeps: how much there is to read may change.
  var waitMax: Nanoseconds { Nanoseconds(time.rawValue / 64) }

  mutating func note(ordered bytes: UInt64, at now: Instant) {
    doneBytes += bytes
    (orderedAt, orderedBytes) = (now, bytes)
  }
}

/// An order to read from the disk, past all memory. Hand it back with the bytes, decrypted (`Node.scrubbed`).
package enum ScrubRead: Hashable, Sendable {
  case page(PageScrubRead)
  case log(LogScrubRead)
}

/// What became of damage.
package enum ScrubOutcome: Equatable, Sendable {
  /// Its content is in memory and will be written to another place.
  case mending
  /// A checkpoint writes it anew; after the second one nothing leads to the damage.
  case rewritten
  /// Nothing leads there any more.
  case gone
  /// It has moved in its tree: the next pass meets it again.
  case later
  /// The node serves no more.
  case fatal
}

/// For status answers.
package struct ScrubStatus: Equatable, Sendable {
  package enum State: UInt8, Sendable { case off, waiting, running }

  package var state = State.off
  /// Of the pass under way.
  package var percent: UInt64 = 0
  package var passes: UInt64 = 0
  /// Since the last finished pass; nil: none has finished since the start.
  package var finishedBefore: Nanoseconds?
  package var damage: UInt64 = 0
  package var rewritten: UInt64 = 0

  package init() {}
}

// MARK: Steps

extension Node {
  /// Whoever waits for pages comes first; then scrubbing looks again.
  private static let scrubYieldTime = Nanoseconds.milliseconds(5)

  func scrubWhenDue() {
    guard now >= scrub.nextAt, isOpen, !isClosing else { return }
    scrub.nextAt = .never
    if scrub.phase == .waiting { beginWhenDue() }
    mendDamage()
    guard fault == nil else { return }
    let isBusy = pages.count >= settings.limits.scrubYieldsAt || applyStall != nil
    if isBusy { return lookAgainSoon() }
    guard now >= scrubDue else { return scheduleScrub() }
    switch scrub.phase {
    case .pages: scrubPages()
    case .log: scrubLog()
    case .off, .waiting: break
    }
  }

  private func lookAgainSoon() { scrub.nextAt = min(scrub.nextAt, now + Self.scrubYieldTime) }

  private func beginWhenDue() {
    let begin = scrub.pace.begunAt + settings.scrubEvery
    guard now >= begin else { return scrub.nextAt = begin }
    scrub.phase = .pages
    scrub.pages.restart()
    scrub.log = LogScrub()
    scrub.pace = ScrubPace(begunAt: now, time: settings.scrubEvery)
  }

  private func scrubPages() {
    guard scrub.readsInFlight < settings.limits.scrubReadsMax else { return }
    do throws(PageMissing) {
      switch try scrub.pages.next(store) {
      case .next(let read, let skipped):
        statistics.scrubSkippedPages += UInt64(skipped)
        if let read { order(.page(read)) }
        let count = skipped + (read == nil ? 0 : 1)
        scrub.pace.note(ordered: UInt64(count * Store.pageBytes), at: now)
      case .done:
        // What is on its way may show more.
        guard scrub.readsInFlight == 0 else { return }
        scrub.phase = .log
      }
    } catch {
      load(error)
      return lookAgainSoon()
    }
    scheduleScrub()
  }

  private func scrubLog() {
    guard scrub.readsInFlight == 0 else { return }
    guard let read = scrub.log.next(journal) else { return finishScrubbing() }
    order(.log(read))
    scrub.pace.note(ordered: UInt64(read.count), at: now)
  }

  private func order(_ read: ScrubRead) {
    scrub.readsInFlight += 1
    effects.scrubReads.append(read)
  }

  private var bytesToScrub: UInt64 { UInt64(store.pagesToScrub * Store.pageBytes) + journal.bytesToScrub }

  private var scrubDue: Instant {
    scrub.phase == .waiting || scrub.phase == .off
      ? .zero : scrub.pace.due(of: bytesToScrub, rate: settings.limits.scrubBytesPerSecondMax)
  }

  private func scheduleScrub() {
    scrub.nextAt = min(scrub.nextAt, max(scrubDue, now), now + scrub.pace.waitMax)
  }

  private func finishScrubbing() {
    statistics.scrubPasses += 1
    scrub.finishedAt = now
    scrub.phase = .waiting
    scrub.nextAt = max(now, scrub.pace.begunAt + settings.scrubEvery)
    effects.notices.append(.scrubFinished(bytes: scrub.pace.doneBytes))
  }
}

// MARK: What comes

extension Node {
  /// The bytes of a scrubbing read have come.
  package func scrubbed(
    _ read: ScrubRead, bytes: UnsafeRawBufferPointer, at time: Instant, into output: inout NodeEffects
  ) {
    now = max(now, time)
    swap(&effects, &output)
    defer { swap(&effects, &output) }
    scrub.readsInFlight -= 1
    guard fault == nil else { return }
    statistics.scrubbedBytes += UInt64(bytes.count)
    switch read {
    case .page(let read):
      statistics.scrubbedPages += 1
      take(scrub.pages.completed(read, bytes, store))
    case .log(let read): take(scrub.log.completed(read, bytes, journal), of: read)
    }
    if fault == nil { scheduleScrub() }
  }

  func scrubReadFailed(_ read: ScrubRead, _ errno: Int32) {
    scrub.readsInFlight -= 1
    guard fault == nil else { return }
    switch read {
    case .page(let read): take(scrub.pages.failed(read, errno: errno, store))
    case .log(let read): take(scrub.log.failed(read, errno: errno, journal), of: read)
    }
    if fault == nil { scheduleScrub() }
  }

  private func take(_ verdict: PageScrubVerdict) {
    guard case .damaged(let damage) = verdict else { return }
    statistics.scrubDamage += 1
    effects.notices.append(.scrubDamage(damage.description, .mending))
    scrub.rewrites.append(damage)
    mendDamage()
  }

  private func take(_ verdict: LogScrubVerdict, of read: LogScrubRead) {
    switch verdict {
    // The block that goes on behind the piece is read again.
    case .sound(let bytes): scrub.pace.doneBytes -= UInt64(read.count - bytes)
    case .outdated: break
    case .damaged(let damage):
      statistics.scrubDamage += 1
      stopForDamage(damage.text)
    }
  }

  private func stopForDamage(_ text: String) {
    effects.notices.append(.scrubDamage(text, .fatal))
    fail("scrubbing found that \(text)")
  }

  /// Gives damaged pages another place, or gives up.
  private func mendDamage() {
    guard !scrub.rewrites.isEmpty, !store.isBatchOpen else { return }
    let damages = scrub.rewrites
    scrub.rewrites = []
    for damage in damages where fault == nil {
      do throws(PrepareFailure) { mended(damage, try store.rewrite(damage)) } catch {
        if case .missing(let missing) = error { load(missing) }
        scrub.rewrites.append(damage)
        lookAgainSoon()
      }
    }
  }

  private func mended(_ damage: PageScrubDamage, _ result: PageRewrite) {
    switch result {
    case .rewritten:
      statistics.scrubRewritten += 1
      scrub.checkpointsToBegin = 2
      room.mayHaveChanged = true
      effects.notices.append(.scrubDamage(damage.description, .rewritten))
    case .notNeeded: effects.notices.append(.scrubDamage(damage.description, .gone))
    case .elsewhere: effects.notices.append(.scrubDamage(damage.description, .later))
    case .impossible: stopForDamage(damage.description)
    }
  }

  package var scrubFinishedAt: Instant? { scrub.finishedAt }

  package var scrubStatus: ScrubStatus {
    var status = ScrubStatus()
    switch scrub.phase {
    case .off: status.state = .off
    case .waiting: status.state = .waiting
    case .pages, .log:
      status.state = .running
      status.percent = min(99, scrub.pace.doneBytes * 100 / max(1, bytesToScrub))
    }
    status.passes = statistics.scrubPasses
    status.finishedBefore = scrub.finishedAt.map { now - $0 }
    status.damage = statistics.scrubDamage
    status.rewritten = statistics.scrubRewritten
    return status
  }
}
