import Primitives

/// A node's checkpoints by the clock of this machine, put together from pages of its metrics.
///
/// A node tells in time since its start when its newest checkpoint began and ended, and how long it is up. Of the page
/// that took least to come we know best when that was true: in the middle between question and answer.
struct CheckpointTimeline {
  struct Span: Equatable {
    var begun: Instant
    /// `never` while it goes on.
    var finished: Instant
  }

  /// Seconds of the node's uptime.
  private var checkpoints: [(begun: Double, finished: Double?)] = []
  /// When the node's uptime was zero, in seconds of this machine's clock.
  private var origin = 0.0
  private var quickest = Double.infinity

  mutating func add(_ page: MetricsPage, asked: Instant, answered: Instant) {
    let (from, to) = (Double(asked.nanoseconds) / 1e9, Double(answered.nanoseconds) / 1e9)
    if to - from < quickest {
      quickest = to - from
      origin = (from + to) / 2 - page.total("filestore_uptime_seconds")
    }
    let begun = page.total("filestore_checkpoint_begun_uptime_seconds")
    let finished = page.total("filestore_checkpoint_finished_uptime_seconds")
    if begun > 0, checkpoints.last?.begun != begun { checkpoints.append((begun, nil)) }
    if let ended = checkpoints.lastIndex(where: { $0.begun < finished }) { checkpoints[ended].finished = finished }
  }

  var spans: [Span] {
    checkpoints.map { Span(begun: moment($0.begun), finished: $0.finished.map(moment) ?? .never) }
  }

  /// Of each checkpoint, to within half of this.
  var uncertainty: Double { quickest }

  private func moment(_ uptime: Double) -> Instant {
    Instant(nanoseconds: UInt64((max(0, origin + uptime) * 1e9).rounded()))
  }
}
