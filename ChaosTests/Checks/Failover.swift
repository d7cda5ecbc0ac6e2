import Primitives

/// How long writers waited after each kill.
///
/// The time runs from the signal to the answer of the first acknowledged write *that was begun after it*: an answer that
/// the dead leader had already sent must not count.
struct Failover {
  let times: [Nanoseconds?]

  init(kills: [Instant], acknowledged: [Span]) {
    times = kills.map { kill in
      var first = Instant.never
      for span in acknowledged where span.begun > kill && span.ended < first { first = span.ended }
      return first == .never ? nil : first - kill
    }
  }

  /// Kills after which no write was ever acknowledged again.
  var unanswered: Int { times.count { $0 == nil } }
  var max: Double { times.compactMap { $0?.seconds }.max() ?? 0 }

  /// The lower one of two in the middle counts half, the upper one too.
  var median: Double {
    let sorted = times.compactMap { $0?.seconds }.sorted()
    guard !sorted.isEmpty else { return 0 }
    return (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
  }

  /// Times without any acknowledged write, in order, that lasted at least `length`.
  static func pauses(_ acknowledged: [Span], of length: Nanoseconds) -> [Span] {
    let ends = acknowledged.map(\.ended).sorted()
    return zip(ends, ends.dropFirst()).filter { $1 - $0 >= length }.map { Span(begun: $0, ended: $1) }
  }
}
