import Primitives
import Testing

@testable import Raft

@Suite struct ProgressTests {
  private func entries(_ range: ClosedRange<UInt64>) -> [Entry] {
    range.map { Entry(index: LogIndex($0), term: Term(1), kind: .command, payload: []) }
  }

  private var replicating: Progress {
    var progress = Progress(member: member(2), match: .zero, next: LogIndex(1))
    progress.sent([])
    progress.accepted(match: LogIndex(4), received: LogIndex(4))
    progress.sent(entries(5...6))
    progress.sent(entries(7...9))
    return progress
  }

  @Test func aProbeIsOneMessage() {
    var progress = Progress(member: member(2), match: .zero, next: LogIndex(5))
    #expect(progress.maySend(RaftSettings()))
    progress.sent(entries(5...6))
    #expect(!progress.maySend(RaftSettings()))
    #expect(progress.next == LogIndex(5))
    progress.accepted(match: LogIndex(3), received: LogIndex(6))
    #expect(progress.next == LogIndex(7) && progress.match == LogIndex(3) && !progress.isProbing)
  }

  @Test func acknowledgementsFreeWhatTheyCover() {
    var progress = replicating
    #expect(progress.inflightCount == 2 && progress.next == LogIndex(10))
    progress.accepted(match: LogIndex(8), received: LogIndex(9))
    #expect(progress.inflightCount == 1 && progress.inflightBytes == 3 * 48)
    progress.accepted(match: LogIndex(5), received: LogIndex(5))
    #expect(progress.match == LogIndex(8) && progress.next == LogIndex(10))
  }

  @Test func staleRejectionsAreIgnored() {
    var progress = replicating
    progress.rejected(previousIndex: LogIndex(4), agreed: .zero)
    progress.rejected(previousIndex: LogIndex(10), agreed: .zero)
    #expect(!progress.isProbing && progress.next == LogIndex(10))
    progress.rejected(previousIndex: LogIndex(6), agreed: LogIndex(5))
    #expect(progress.isProbing && progress.next == LogIndex(6) && progress.inflightBytes == 0)
    progress.rejected(previousIndex: LogIndex(9), agreed: .zero)
    #expect(progress.next == LogIndex(6))
  }

  @Test func aRejectionNeverGoesBackBehindWhatMatches() {
    var progress = replicating
    progress.rejected(previousIndex: LogIndex(6), agreed: .zero)
    #expect(progress.next == LogIndex(5))
  }

  @Test func lateAnswersDoNotTakeBackTime() {
    var progress = replicating
    progress.heard(sentAt: Instant(nanoseconds: 9), readRound: 3, room: .ample)
    progress.heard(sentAt: Instant(nanoseconds: 7), readRound: 2, room: .ample)
    #expect(progress.answeredSentAt == Instant(nanoseconds: 9) && progress.answeredRound == 3)
  }
}
