import Primitives

/// What a load sends, and how much of it.
struct LoadPlan {
  enum Amount: Equatable {
    case requests(Int)
    case seconds(Double)
  }

  var shape: Shape
  var amount: Amount
  /// Requests that arrive each second, whatever the answers do. Nil: a stream asks again as soon as it was answered.
  var perSecond: Double?
  /// A load that lasts longer has failed, and one that gets no answer for so long.
  var secondsMax = 120.0
  var silenceSecondsMax = 15.0
}

/// When the next request leaves. Pure: moments come in.
///
/// Without a rate a request leaves whenever a stream is free, until so many have left or the time is over; its time
/// counts from then. With a rate, request i is due i / rate after the start, whether earlier ones were answered or not:
/// one that finds no free stream leaves later, and its time counts from when it was due. So a server that stands still
/// for a second is charged with all that arrived in that second (what is called coordinated omission elsewhere).
struct Schedule {
  private let start: Instant
  private let end: Instant
  private let count: Int
  /// Nanoseconds between two arrivals.
  private let interval: Double?
  private(set) var begun = 0

  init(_ plan: LoadPlan, start: Instant) {
    self.start = start
    interval = plan.perSecond.map { 1e9 / $0 }
    switch (plan.amount, plan.perSecond) {
    case (.requests(let count), _): (self.count, end) = (count, .never)
    case (.seconds(let seconds), let rate?): (count, end) = (max(1, Int(seconds * rate)), .never)
    case (.seconds(let seconds), nil): (count, end) = (.max, start + Nanoseconds(seconds: seconds))
    }
  }

  /// When the next request arrives; nil: it is there.
  var nextArrival: Instant? { interval.map { start + Nanoseconds(UInt64(Double(begun) * $0)) } }

  /// No further request will leave.
  func isOver(at now: Instant) -> Bool { begun >= count || now >= end }

  /// Lets a request leave, if one is there: the moment from which its time counts.
  mutating func begin(at now: Instant) -> Instant? {
    let arrival = nextArrival ?? now
    guard arrival <= now, !isOver(at: now) else { return nil }
    begun += 1
    return arrival
  }
}

extension Nanoseconds {
  init(seconds: Double) { self.init(UInt64(seconds * 1e9)) }
}
