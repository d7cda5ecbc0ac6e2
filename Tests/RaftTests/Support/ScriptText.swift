// How messages and effects read in a script.

import Primitives

@testable import Raft

extension RaftMessage {
  var line: String { "\(from)->\(to) \(term) \(body.text)" }
}

extension RaftMessage.Body {
  var kind: String {
    switch self {
    case .preVote: "prevote"
    case .preVoteReply: "prevote-reply"
    case .vote: "vote"
    case .voteReply: "vote-reply"
    case .append: "append"
    case .appendReply: "append-reply"
    case .timeoutNow: "timeout-now"
    }
  }

  var text: String {
    switch self {
    case .preVote(let request), .vote(let request):
      "\(kind) last=\(request.lastIndex)/\(request.lastTerm)\(request.transfer ? " transfer" : "")"
    case .preVoteReply(let granted), .voteReply(let granted): "\(kind) \(granted ? "granted" : "refused")"
    case .append(let append): append.text
    case .appendReply(let reply): reply.text
    case .timeoutNow(let target): "timeout-now \(target)"
    }
  }
}

extension Append {
  var text: String {
    let what = entries.isEmpty ? "heartbeat" : "append \(entries.map(\.text).joined(separator: ","))"
    let round = readRound == 0 ? "" : " round=\(readRound)"
    return "\(what) prev=\(previousIndex)/\(previousTerm) commit=\(commit) held=\(heldByAll)\(round)"
  }
}

extension AppendReply {
  var text: String {
    let round = (readRound == 0 ? "" : " round=\(readRound)") + (room == .ample ? "" : " room=\(room)")
    switch outcome {
    case .accepted(let match, let received): return "accepted match=\(match) received=\(received)\(round)"
    case .rejected(let previous, let index, let term):
      return "rejected prev=\(previous) hint=\(index)/\(term)\(round)"
    }
  }
}

extension Entry {
  var text: String {
    switch kind {
    case .noop: "\(index)/\(term):noop"
    case .configuration: "\(index)/\(term):members"
    case .command: "\(index)/\(term):\(String(decoding: payload.prefix(12), as: UTF8.self))"
    }
  }
}

extension PersistOrder {
  var text: String {
    var parts = ["#\(id)"]
    if let hardState {
      parts.append("\(hardState.term)\(hardState.vote.map { " vote=\($0)" } ?? "")")
    }
    if !entries.isEmpty { parts.append(entries.map(\.text).joined(separator: ",")) }
    return parts.joined(separator: " ")
  }
}

extension RaftEffects {
  /// One line an effect, of replica `i`.
  func lines(of i: Int) -> [String] {
    var lines = changes.map { "  n\(i) \($0.text)" }
    lines += persist.map { "  n\(i) persists \($0.text)" }
    if !committed.isEmpty { lines.append("  n\(i) commits \(committed.map(\.text).joined(separator: ","))") }
    lines += readsReady.map { "  n\(i) read \($0.id) ready at \($0.index)" }
    lines += readsRefused.map { "  n\(i) read \($0) refused" }
    lines += loads.map { "  n\(i) loads \($0.from)...\($0.through)" }
    lines += messages.map { "  n\(i) sends to \($0.to): \($0.term) \($0.body.text)" }
    return lines
  }
}

extension RaftEffects.Change {
  var text: String {
    switch self {
    case .becameLeader(let term): "leads \(term)"
    case .leaderKnown(let leader, let term): leader.map { "follows \($0) in \(term)" } ?? "knows no leader in \(term)"
    case .steppedDown(let term): "steps down from \(term)"
    case .transferAbandoned(let target): "abandons the transfer to \(target)"
    }
  }
}
