// What must hold over a whole run of a group, seen from outside all replicas at once.

import Primitives

@testable import Raft

/// Collects violations instead of trapping, so that a test can print the seed.
final class RunChecker {
  private struct Position: Hashable {
    var index: LogIndex
    var term: Term
  }
  private struct Ballot: Hashable {
    var voter: Member
    var term: Term
  }
  private struct Link: Equatable {
    var previousTerm: Term
    var payload: [UInt8]
  }

  private(set) var violations: [String] = []
  /// The first committed entry of each index, from 1 on.
  private(set) var committed: [Entry] = []
  /// The term of the leader that committed it.
  private var committedIn: [Term] = []
  private(set) var leaders: [Term: Member] = [:]
  private var ballots: [Ballot: Member] = [:]
  private var links: [Position: Link] = [:]

  var committedIndex: LogIndex { LogIndex(UInt64(committed.count)) }

  func fail(_ what: String) { violations.append(what) }

  private func check(_ condition: Bool, _ what: @autoclosure () -> String) {
    if !condition { fail(what()) }
  }

  // MARK: Elections

  /// Election safety over the run; leader completeness.
  func becameLeader(_ me: Member, _ term: Term, _ group: RaftGroup, _ disk: TestDisk) {
    check(leaders[term] == nil || leaders[term] == me, "two leaders in \(term): \(me) and \(leaders[term]!)")
    leaders[term] = me
    for (entry, committedIn) in zip(committed, committedIn) where committedIn < term {
      let held = group.term(at: entry.index) ?? disk.entry(at: entry.index)?.term
      check(held == entry.term, "leader \(me) of \(term) lacks committed \(entry.index)")
    }
  }

  // MARK: Messages: what leaves speaks only of what is durable

  func sent(_ message: RaftMessage, _ disk: TestDisk) {
    switch message.body {
    case .preVote: break
    case .preVoteReply(granted: true): break
    default:
      check(message.term <= disk.hardState.term, "\(message.from) speaks of \(message.term) before it is durable")
    }
    switch message.body {
    case .vote(let request): sentVoteRequest(message, request, disk)
    case .voteReply(granted: true): voted(message.from, for: message.to, message.term, disk)
    case .appendReply(let reply): sentReply(message, reply, disk)
    default: break
    }
  }

  private func sentVoteRequest(_ message: RaftMessage, _ request: VoteRequest, _ disk: TestDisk) {
    voted(message.from, for: message.from, message.term, disk)
    check(
      disk.holds(request.lastIndex, request.lastTerm),
      "\(message.from) campaigns with \(request.lastIndex), not durable")
  }

  private func voted(_ voter: Member, for candidate: Member, _ term: Term, _ disk: TestDisk) {
    let ballot = Ballot(voter: voter, term: term)
    check(ballots[ballot] == nil || ballots[ballot] == candidate, "\(voter) votes twice in \(term)")
    ballots[ballot] = candidate
    check(
      disk.hardState == HardState(term: term, vote: candidate) || disk.hardState.term > term,
      "\(voter)'s vote in \(term) is not durable")
  }

  private func sentReply(_ message: RaftMessage, _ reply: AppendReply, _ disk: TestDisk) {
    guard case .accepted(let match, _) = reply.outcome, match > .zero else { return }
    guard let entry = disk.entry(at: match) else { return fail("\(message.from) acknowledges \(match), not durable") }
    check(links[Position(index: match, term: entry.term)] != nil, "an acknowledged entry is known")
  }

  // MARK: Logs

  /// Log matching: an entry's term and index determine its payload and, link by link, all before it. Election safety of
  /// logs: an entry's first place is its leader's log.
  func appended(_ entries: [Entry], previousTerm: Term, at me: Member) {
    var previousTerm = previousTerm
    for entry in entries {
      let position = Position(index: entry.index, term: entry.term)
      let link = Link(previousTerm: previousTerm, payload: entry.payload)
      if let known = links[position] {
        check(known == link, "two logs differ at \(entry.index) \(entry.term)")
      } else {
        check(leaders[entry.term] == me, "\(me) invents \(entry.index) \(entry.term)")
        links[position] = link
      }
      previousTerm = entry.term
    }
  }

  /// State machine safety; a first commit is by a leader and durable on a quorum.
  func committed(_ entries: [Entry], by group: borrowing RaftGroup, _ disks: [TestDisk]) {
    let (me, isLeader, term) = (group.me, group.isLeader, group.term)
    for entry in entries {
      let position = Int(entry.index.rawValue) - 1
      if position < committed.count {
        check(committed[position] == entry, "two entries committed at \(entry.index)")
      } else if position == committed.count {
        check(isLeader, "\(me) commits \(entry.index) first and does not lead")
        committed.append(entry)
        committedIn.append(term)
      } else {
        fail("\(me) commits \(entry.index) with a gap")
      }
    }
    checkQuorum(disks)
  }

  /// What is committed is durable on a quorum, always.
  func checkQuorum(_ disks: [TestDisk]) {
    guard let last = committed.last else { return }
    let holders = disks.count { $0.holds(last.index, last.term) }
    check(holders > disks.count / 2, "committed \(last.index) is durable on \(holders) only")
  }

  // MARK: Reads and retention

  func checkRead(_ index: LogIndex, notBefore: LogIndex, at me: Member) {
    check(index >= notBefore, "\(me) serves a read at \(index), \(notBefore) was committed before")
  }

  /// Everybody has durably what anybody believes to be held by all.
  func checkHeld(_ index: LogIndex, at me: Member, _ disks: [TestDisk]) {
    guard index > .zero else { return }
    guard index <= committedIndex else { return fail("held by all, not committed: \(index)") }
    let term = committed[Int(index.rawValue) - 1].term
    for disk in disks { check(disk.holds(index, term), "\(me) believes \(index) is held by all") }
  }
}
