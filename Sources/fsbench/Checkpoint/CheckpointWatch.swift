import Foundation
import Primitives
import Ring
import Synchronization

/// Asks a node for its metrics all the time, on a thread of its own, while another one loads it.
final class CheckpointWatch: Sendable {
  private struct State {
    var isStopping = false
    var timeline = CheckpointTimeline()
    var failure: BenchError?
  }

  /// No checkpoint and the next one end within this.
  private static let pauseMicroseconds: UInt32 = 20_000

  private let state = Mutex(State())
  private let hasBegun = DispatchSemaphore(value: 0)
  private let hasEnded = DispatchSemaphore(value: 0)

  /// Returns when the first page has come: the node counts nothing for the watch any more.
  init(_ address: FileStoreAddress) {
    Thread { [self] in
      do throws(BenchError) { try watch(address) } catch { state.withLock { $0.failure = error } }
      hasBegun.signal()
      hasEnded.signal()
    }.start()
    hasBegun.wait()
  }

  private func watch(_ address: FileStoreAddress) throws(BenchError) {
    let system = try address.open()
    while true {
      let isLast = state.withLock { $0.isStopping }
      let asked = bootTime()
      let page = try system.metrics()
      let answered = bootTime()
      state.withLock { $0.timeline.add(page, asked: asked, answered: answered) }
      hasBegun.signal()
      if isLast { return }
      usleep(Self.pauseMicroseconds)
    }
  }

  /// Asks once more and ends.
  func stop() throws(BenchError) -> CheckpointTimeline {
    state.withLock { $0.isStopping = true }
    hasEnded.wait()
    let (timeline, failure) = state.withLock { ($0.timeline, $0.failure) }
    if let failure { throw failure }
    return timeline
  }
}
