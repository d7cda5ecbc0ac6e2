// The commands of a script. A line is a name, then words and key=value options.
//
//     cluster N [leases=off] [apply=manual] [cache= append= unapplied= inflight=]     advance MS     tick N
//     timeout N (clock to its deadline, then tick)      elect N, win N [among=1,2]     stabilize [loud] [among=1,2]
//     propose N TEXT   propose-large N BYTES   read N ID   lease N   transfer N TO   unreachable N TO   apply N INDEX
//     room N LEVEL (ample, scarce, exhausted)
//     persist N [through=ORDER]   load N [failing]   crash N [keeping=ORDERS]   start N   status [N]
//     deliver, drop, duplicate [1->2] [KIND] [nth=]     send 1->2 KIND term= … (a message out of nowhere)

import Primitives

@testable import Raft

struct ScriptLine {
  let name: String
  let words: [String]
  let options: [String: String]

  init?(_ text: String) {
    let parts = text.split(separator: " ").map(String.init)
    guard let first = parts.first, !first.hasPrefix("#") else { return nil }
    name = first
    words = parts.dropFirst().filter { !$0.contains("=") }
    var options: [String: String] = [:]
    for part in parts.dropFirst() where part.contains("=") {
      let pair = part.split(separator: "=", maxSplits: 1)
      options[String(pair[0])] = pair.count > 1 ? String(pair[1]) : ""
    }
    self.options = options
  }

  /// Word `at` as a replica's number.
  func replica(_ at: Int) -> Int { at < words.count ? Int(words[at]) ?? 0 : 0 }
  func number(_ key: String) -> UInt64? { options[key].flatMap { UInt64($0) } }

  /// A position written as index/term.
  func position(_ key: String) -> (LogIndex, Term) {
    let parts = (options[key] ?? "0/0").split(separator: "/").map { UInt64($0) ?? 0 }
    return (LogIndex(parts[0]), Term(parts[1]))
  }
}

extension ScriptWorld {
  func run(_ line: ScriptLine) {
    switch line.name {
    case "cluster": runCluster(line)
    case "timeout": runTimeout(line)
    case "advance": now = now + .milliseconds(UInt64(line.words[0]) ?? 0)
    case "tick": step(line.replica(0), .tick)
    case "elect", "win": runElect(line)
    case "propose": propose(line.replica(0), .command, Array(line.words[1].utf8))
    case "propose-large": propose(line.replica(0), .command, [UInt8](repeating: 120, count: Int(line.words[1]) ?? 0))
    case "persist": persist(line.replica(0), through: line.number("through"))
    case "deliver": runDeliver(line)
    case "drop": runDrop(line)
    case "duplicate": inFlight = inFlight.flatMap { matches($0, line) ? [$0, $0] : [$0] }
    case "send": runSend(line)
    case "stabilize": runStabilize(line)
    case "read": step(line.replica(0), .readRequested(UInt64(line.words[1]) ?? 0))
    case "lease": runLease(line)
    case "transfer": step(line.replica(0), .transferRequested(member(line.replica(1))))
    case "unreachable": step(line.replica(0), .unreachable(member(line.replica(1))))
    case "room":
      step(line.replica(0), .roomChanged(["scarce": .scarce, "exhausted": .exhausted][line.words[1]] ?? .ample))
    case "load": runLoad(line)
    case "apply": apply(line.replica(0), LogIndex(UInt64(line.words[1]) ?? 0))
    case "crash": crash(line.replica(0), keeping: Int(line.number("keeping") ?? 0))
    case "start":
      boot(line.replica(0))
    case "status": runStatus(line)
    default: output.append("unknown command \(line.name)")
    }
  }

  private func runCluster(_ line: ScriptLine) {
    settings.leases = line.options["leases"] != "off"
    if let bytes = line.number("cache") { settings.cacheBytesMax = Int(bytes) }
    if let bytes = line.number("append") { (settings.appendBytesMax, settings.entryBytesMax) = (Int(bytes), 48) }
    if let bytes = line.number("unapplied") { settings.unappliedBytesMax = Int(bytes) }
    if let messages = line.number("inflight") { settings.inflightMessagesMax = Int(messages) }
    settings.entryBytesMax = min(settings.entryBytesMax, settings.unappliedBytesMax)
    appliesAtOnce = line.options["apply"] != "manual"
    found(Int(line.words[0]) ?? 3)
  }

  /// Moves the clock to a replica's deadline and ticks it.
  private func runTimeout(_ line: ScriptLine) {
    guard let deadline = replicas[line.replica(0)]?.group?.nextDeadline else { return }
    now = max(now, deadline)
    step(line.replica(0), .tick)
  }

  /// Past everybody's promises, the replica campaigns and wins (a leader notices that it lost its quorum); after `elect` its first entry is replicated too, after
  /// `win` that is still on the way. Only the news is told.
  private func runElect(_ line: ScriptLine) {
    let before = output.count
    now = now + settings.electionTimeoutMax + .milliseconds(1)
    for i in among(line).sorted() where replicas[i]?.group?.isLeader == true { step(i, .tick) }
    step(line.replica(0), .tick)
    output.removeLast(output.count - before)
    if line.name == "win" { return stabilize(quiet: true, among: among(line), isElection: true) }
    runStabilize(line)
  }

  private func among(_ line: ScriptLine) -> Set<Int> {
    guard let list = line.options["among"] else { return Set(1...count) }
    return Set(list.split(separator: ",").compactMap { Int($0) })
  }

  private func runStabilize(_ line: ScriptLine) {
    stabilize(quiet: !line.words.contains("loud"), among: among(line))
  }

  // MARK: Messages

  /// `1->2` and a kind select messages in flight; `nth=` one of them.
  private func matches(_ message: RaftMessage, _ line: ScriptLine) -> Bool {
    line.words.allSatisfy { word in
      if word == "all" { return true }
      if word.contains("->") {
        let ends = word.split(separator: "->", omittingEmptySubsequences: false).map(String.init)
        return (ends[0] == "*" || ends[0] == "\(message.fromNode)")
          && (ends[1] == "*" || ends[1] == "\(message.toNode)")
      }
      return word == message.body.kind
    }
  }

  private func take(_ line: ScriptLine) -> [RaftMessage] {
    var taken = inFlight.indices.filter { matches(inFlight[$0], line) }
    if let nth = line.number("nth") { taken = taken.indices.contains(Int(nth) - 1) ? [taken[Int(nth) - 1]] : [] }
    let messages = taken.map { inFlight[$0] }
    for i in taken.reversed() { inFlight.remove(at: i) }
    return messages
  }

  private func runDeliver(_ line: ScriptLine) {
    let messages = take(line)
    if messages.isEmpty { output.append("nothing to deliver") }
    for message in messages { deliver(message) }
  }

  private func runDrop(_ line: ScriptLine) {
    for message in take(line) { output.append("lost: \(message.line)") }
  }

  /// A message out of nowhere, as a late or repeated one would be: `send 3->1 vote term=9 last=1/1`.
  private func runSend(_ line: ScriptLine) {
    let ends = line.words[0].split(separator: "->").compactMap { Int($0) }
    let last = line.position("last")
    let request = VoteRequest(
      lastIndex: last.0, lastTerm: last.1, transfer: line.words.contains("transfer"))
    var from = member(ends[0])
    if let other = line.number("incarnation") { from.incarnation = Incarnation(other) }
    let body: RaftMessage.Body
    switch line.words[1] {
    case "prevote": body = .preVote(request)
    case "vote": body = .vote(request)
    case "timeout-now": body = .timeoutNow(target: member(Int(line.number("target") ?? 0)))
    case "append-reply":
      body = .appendReply(
        AppendReply(
          outcome: .rejected(
            previousIndex: line.position("prev").0, hintIndex: line.position("hint").0,
            hintTerm: line.position("hint").1),
          sentAt: .zero, readRound: 0))
    default: return output.append("cannot make \(line.words[1])")
    }
    deliver(
      RaftMessage(
        shard: ShardID(1), from: from, to: member(ends[1]), term: Term(line.number("term") ?? 0), body: body))
  }

  // MARK: Looking

  private func runLease(_ line: ScriptLine) {
    let has = replicas[line.replica(0)]?.group?.canServeRead(at: now) == true
    output.append("n\(line.replica(0)) \(has ? "may" : "may not") serve reads under its lease")
  }

  private func runLoad(_ line: ScriptLine) {
    let i = line.replica(0)
    guard let replica = replicas[i], let order = replica.loads.first else { return output.append("nothing to load") }
    replicas[i]?.loads.removeFirst()
    step(i, .entriesLoaded(order, line.words.contains("failing") ? [] : replica.disk.load(order)))
  }

  private func runStatus(_ line: ScriptLine) {
    for i in line.words.isEmpty ? Array(1...count) : [line.replica(0)] {
      guard let group = replicas[i]?.group else {
        output.append("n\(i) down")
        continue
      }
      output.append(
        "n\(i) \(group.role) \(group.term) vote=\(group.vote.map(\.description) ?? "-")"
          + " last=\(group.lastIndex)/\(group.lastTerm) durable=\(group.durableIndex) commit=\(group.commitIndex)"
          + " memory>\(group.cacheFloor) held=\(group.heldByAll)")
      for follower in group.followers {
        output.append(
          "   \(follower.member) \(follower.isProbing ? "probe" : "replicate") match=\(follower.match)"
            + " next=\(follower.next) inflight=\(follower.inflightBytes)")
      }
    }
  }
}
