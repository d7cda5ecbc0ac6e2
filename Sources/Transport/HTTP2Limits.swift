import Primitives

/// What one HTTP/2 connection may cost.
package struct HTTP2Limits: Sendable, Equatable {
  /// Requests at once (SETTINGS_MAX_CONCURRENT_STREAMS).
  package var streamsMax = 256
  /// Names and values of a request's headers, path included; beyond: `.headersTooLarge`.
  package var headerBytesMax = 16 << 10
  /// A request's body; beyond: `.bodyTooLarge`.
  package var bodyBytesMax = 16 << 20
  /// So much of a refused body is thrown away while its client may still be reading the answer; then the stream is reset.
  package var discardBytesMax = 32 << 20
  /// Flow control: what the other side may send unasked, for a stream and in all.
  package var streamWindowBytes = 256 << 10
  package var connectionWindowBytes = 1 << 20
  /// `produce` stops after this many bytes; the rest waits for the next turn.
  package var turnOutputBytes = 256 << 10
  /// Streaming answers: `.drained` comes when less than this waits.
  package var streamLowBytes = 64 << 10
  /// Streams reset by the other side, and frames that cost it nothing (PING, SETTINGS, PRIORITY, empty DATA, …): so many
  /// at once, so many a second for ever. Beyond: GOAWAY, ENHANCE_YOUR_CALM.
  package var resetsBurst = 500
  package var resetsPerSecond = 50
  package var idleFramesBurst = 2000
  package var idleFramesPerSecond = 200
  package var windowUpdatesBurst = 100_000
  package var windowUpdatesPerSecond = 50_000

  package init() {}

  func check() {
    precondition(streamsMax > 0 && streamsMax <= 4096, "between 1 and 4096 streams")
    precondition(headerBytesMax >= 1024 && headerBytesMax <= 1 << 20, "between 1 KiB and 1 MiB of headers")
    precondition(streamWindowBytes >= 65535 && streamWindowBytes < 1 << 31, "a window of HTTP/2")
    precondition(connectionWindowBytes >= streamWindowBytes, "the connection's window holds a stream's")
  }
}

/// Memory for bodies that are being received, shared by all connections of a thread.
package final class BodyBudget {
  package let limitBytes: Int
  @exclusivity(unchecked) package private(set) var usedBytes = 0

  package init(limitBytes: Int) { self.limitBytes = limitBytes }

  func take(_ bytes: Int) -> Bool {
    if usedBytes + bytes > limitBytes { return false }
    usedBytes += bytes
    return true
  }

  func give(_ bytes: Int) {
    precondition(bytes <= usedBytes, "no more is given back than was taken")
    usedBytes -= bytes
  }
}

/// Counts what the other side does at our cost: a bucket for each kind that refills with time.
struct FloodGuard {
  struct Bucket {
    var level: Int
    let burst: Int
    let perSecond: Int
    var filledAt: Instant = .zero

    init(_ burst: Int, _ perSecond: Int) {
      level = burst
      self.burst = burst
      self.perSecond = perSecond
    }

    /// False when the bucket is empty.
    mutating func take() -> Bool {
      level -= 1
      return level >= 0
    }

    mutating func refill(at now: Instant) {
      if level == burst || filledAt == .zero {
        filledAt = now
        return
      }
      let (drops, _) = (now - filledAt).rawValue.multipliedReportingOverflow(by: UInt64(perSecond))
      let whole = Int(clamping: drops / 1_000_000_000)
      if whole == 0 { return }
      level = min(burst, max(level, 0) + whole)
      filledAt = now
    }
  }

  var resets: Bucket
  var idle: Bucket
  var windowUpdates: Bucket

  init(_ limits: HTTP2Limits) {
    resets = Bucket(limits.resetsBurst, limits.resetsPerSecond)
    idle = Bucket(limits.idleFramesBurst, limits.idleFramesPerSecond)
    windowUpdates = Bucket(limits.windowUpdatesBurst, limits.windowUpdatesPerSecond)
  }

  mutating func refill(at now: Instant) {
    resets.refill(at: now)
    idle.refill(at: now)
    windowUpdates.refill(at: now)
  }
}
