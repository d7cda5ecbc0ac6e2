// Quorum arithmetic: a leaf that knows configurations and numbers, nothing of terms or logs.
//
// Every decision of a group is "a majority of the voters, and while the configuration is joint also a majority of the
// outgoing voters". Groups are small, so the n-squared selection without allocation beats sorting.

/// What a count of votes says so far.
package enum VoteOutcome: Equatable, Sendable {
  case won
  case lost
  case pending
}

extension Configuration {
  /// The largest value that a quorum has reached: a majority of each list has this value or a larger one.
  ///
  /// With match indexes it is the index that may be committed; with times of sending it is the time since when a quorum
  /// is known to follow.
  package func quorumValue(_ value: (Member) -> UInt64) -> UInt64 {
    let incoming = Configuration.majorityValue(of: voters, value)
    return outgoing.isEmpty ? incoming : min(incoming, Configuration.majorityValue(of: outgoing, value))
  }

  /// The smallest value of any voter.
  package func allVotersValue(_ value: (Member) -> UInt64) -> UInt64 {
    var smallest = UInt64.max
    for member in voters { smallest = min(smallest, value(member)) }
    for member in outgoing { smallest = min(smallest, value(member)) }
    return smallest
  }

  /// Won when a quorum granted, lost when the rest of some majority can no longer be had.
  package func outcome(granted: [Member], refused: [Member]) -> VoteOutcome {
    let incoming = Configuration.majorityOutcome(of: voters, granted, refused)
    guard !outgoing.isEmpty else { return incoming }
    let leaving = Configuration.majorityOutcome(of: outgoing, granted, refused)
    if incoming == .lost || leaving == .lost { return .lost }
    return incoming == .won && leaving == .won ? .won : .pending
  }

  private static func majorityValue(of list: [Member], _ value: (Member) -> UInt64) -> UInt64 {
    let majority = list.count / 2 + 1
    var best: UInt64 = 0
    for member in list {
      let candidate = value(member)
      guard candidate > best else { continue }
      var reached = 0
      for other in list where value(other) >= candidate { reached += 1 }
      if reached >= majority { best = candidate }
    }
    return best
  }

  private static func majorityOutcome(of list: [Member], _ granted: [Member], _ refused: [Member]) -> VoteOutcome {
    let majority = list.count / 2 + 1
    var (yes, no) = (0, 0)
    for member in list {
      if granted.contains(member) { yes += 1 } else if refused.contains(member) { no += 1 }
    }
    if yes >= majority { return .won }
    return list.count - no < majority ? .lost : .pending
  }
}
