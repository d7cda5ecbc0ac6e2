// What the leader knows about one follower.
//
//     1 … match | match+1 … next-1 | next … lastIndex
//     durable   |   on the way     |  to be sent
//     there     |   (inflight)     |
//
//            ┌── accepted ──────────────► replicate   pipelined, `next` runs ahead
//     probe ─┤                                │
//        ▲   └── rejected: `next` back        │ rejected, or the link broke
//        └────────────────────────────────────┘       one message at a time

import DequeModule
import Primitives

struct Progress: Sendable {
  enum State: Equatable, Sendable {
    /// Looking for the place where the logs part. `waiting`: the one message that may be out is out.
    case probe(waiting: Bool)
    case replicate
  }

  private struct Sent: Sendable {
    var last: LogIndex
    var bytes: Int
  }

  let member: Member
  private(set) var state = State.probe(waiting: false)
  /// The follower's log is durable and equal to ours through here.
  private(set) var match: LogIndex
  /// The first entry to be sent next.
  private(set) var next: LogIndex
  private var inflight: Deque<Sent> = []
  private(set) var inflightBytes = 0
  /// The newest of our times of sending that it answered in this term; zero before the first.
  private(set) var answeredSentAt = Instant.zero
  /// The newest round of read confirmations that it answered.
  private(set) var answeredRound: UInt64 = 0
  /// What it last said of its room.
  private(set) var room = RoomLevel.ample
  /// Entries for it are being read from disk.
  var load: LoadOrder?
  /// The term of an entry that is no longer in memory, known from the last load.
  var loadedPrevious: (index: LogIndex, term: Term)?

  /// - Parameter match: what it surely has from earlier terms: the index that all voters hold, if it is a voter.
  init(member: Member, match: LogIndex, next: LogIndex) {
    precondition(match < next, "the next entry is not there yet")
    self.member = member
    self.match = match
    self.next = next
  }

  var inflightCount: Int { inflight.count }
  var isProbing: Bool { state != .replicate }

  func maySend(_ settings: RaftSettings) -> Bool {
    if room == .exhausted { return false }
    return switch state {
    case .probe(let waiting): !waiting
    case .replicate: inflight.count < settings.inflightMessagesMax && inflightBytes < settings.inflightBytesMax
    }
  }

  /// An append with `entries` has left; it is the probe, or one more in the pipeline.
  mutating func sent(_ entries: [Entry]) {
    if isProbing { state = .probe(waiting: true) }
    guard !isProbing, let last = entries.last else { return }
    let bytes = entries.reduce(0) { $0 + $1.cost }
    inflight.append(Sent(last: last.index, bytes: bytes))
    inflightBytes += bytes
    next = last.index.next
  }

  /// It answered something that was sent at `sentAt`; late and repeated answers move nothing back.
  mutating func heard(sentAt: Instant, readRound: UInt64, room newRoom: RoomLevel) {
    if sentAt >= answeredSentAt { room = newRoom }
    answeredSentAt = max(answeredSentAt, sentAt)
    answeredRound = max(answeredRound, readRound)
  }

  /// Its log equals ours through `received`, durably through `match`.
  mutating func accepted(match newMatch: LogIndex, received: LogIndex) {
    match = max(match, newMatch)
    while let first = inflight.first, first.last <= match {
      inflightBytes -= first.bytes
      inflight.removeFirst()
    }
    if isProbing {
      state = .replicate
      next = max(match, received).next
    } else {
      next = max(next, match.next)
    }
  }

  /// It has not what stood before a message. Old news changes nothing.
  ///
  /// - Parameter agreed: the last index at which the logs may agree, by its hint and our log.
  mutating func rejected(previousIndex: LogIndex, agreed: LogIndex) {
    switch state {
    case .probe: guard previousIndex == next.previous, previousIndex > match else { return }
    case .replicate: guard previousIndex > match, previousIndex < next else { return }
    }
    probe(from: max(match, min(agreed, previousIndex.previous)).next)
  }

  /// The link broke: begin again behind what is surely there.
  mutating func unreachable() { probe(from: match.next) }

  private mutating func probe(from index: LogIndex) {
    state = .probe(waiting: false)
    next = index
    inflight.removeAll()
    inflightBytes = 0
  }
}
