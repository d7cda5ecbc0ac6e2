import Checkers
import Primitives

/// Raft as its specification has it: any replica may do any allowed thing at any moment. No messages: an action reads the
/// other replica directly, which allows more orders than a network would. Emits the facts of what it does, and can be told
/// to make one of the mistakes that real implementations made.
struct SpecRaft {
  enum Mistake: CaseIterable {
    case voteNotPersisted, staleLogElected, commitBeforeFlush, truncateOnStaleAppend, applyTwice,
      acknowledgeEarly
  }

  struct Replica {
    var term: UInt64 = 0
    var vote: Int?
    var durableVote: (term: UInt64, vote: Int?) = (0, nil)
    var log: [LogFact] = []
    var durableLog: [LogFact] = []
    var leads = false
    var committed = 0
    var applied = 0
    var checkpoint = 0
    var isUp = true
  }

  var random: SeededRandom
  var mistake: Mistake?
  var replicas: [Replica]
  var facts: [RaftFact] = []
  private var commands: UInt64 = 0

  init(seed: UInt64, voters: Int, mistake: Mistake? = nil) {
    random = SeededRandom(seed: seed)
    self.mistake = mistake
    replicas = [Replica](repeating: Replica(), count: voters)
  }

  static func node(_ place: Int) -> NodeID { NodeID(UInt32(place + 1)) }
  var nodes: [NodeID] { replicas.indices.map(Self.node) }

  /// The picture for the slow invariants. Replicas that are down are shown with what is on their disks.
  var observations: [ReplicaObservation] {
    replicas.indices.map { place in
      let replica = replicas[place]
      let log = replica.isUp ? replica.log : replica.durableLog
      let durable = zip(log, replica.durableLog).prefix { $0 == $1 }.count
      return ReplicaObservation(
        node: Self.node(place), term: Term(replica.term), role: replica.leads ? .leader : .follower, log: log,
        committed: LogIndex(UInt64(replica.isUp ? replica.committed : 0)),
        applied: LogIndex(UInt64(replica.isUp ? replica.applied : 0)), durable: LogIndex(UInt64(durable)))
    }
  }

  /// One action of one replica; its facts are appended to `facts`.
  mutating func act() {
    let place = Int(random.below(UInt64(replicas.count)))
    guard replicas[place].isUp else { return random.chance(1, outOf: 3) ? recover(place) : () }
    switch random.below(100) {
    case 0..<5: campaign(place)
    case 5..<15: propose(leader ?? place)
    case 15..<50: replicate(leader ?? place, to: place)
    case 50..<60: replicate(place, to: Int(random.below(UInt64(replicas.count))))
    case 60..<80: persist(place)
    case 80..<90: advance(leader ?? place)
    case 90..<99: apply(place)
    default: crash(place)
    }
  }

  /// The leader of the highest term, while it is up.
  private var leader: Int? {
    let leaders = replicas.indices.filter { replicas[$0].leads }
    return leaders.max { replicas[$0].term < replicas[$1].term }
  }

  private mutating func campaign(_ place: Int) {
    guard leader == nil || random.chance(1, outOf: 10) else { return }
    let term = replicas[place].term + 1
    var votes = 0
    for voter in replicas.indices where replicas[voter].isUp && (voter == place || random.chance(3, outOf: 4)) {
      guard replicas[voter].term < term, isUpToDate(replicas[place], than: replicas[voter]) else { continue }
      becomeFollower(voter, term, vote: place)
      votes += 1
    }
    guard votes > replicas.count / 2, replicas[place].vote == place, replicas[place].term == term else { return }
    replicas[place].leads = true
    facts.append(.becameLeader(Self.node(place), Term(term)))
    append(place, LogFact(term: Term(term), checksum: term &* 1_000_000))
  }

  private func isUpToDate(_ candidate: Replica, than voter: Replica) -> Bool {
    if mistake == .staleLogElected { return true }
    let (mine, its) = (candidate.log.last?.term ?? .zero, voter.log.last?.term ?? .zero)
    return (mine, candidate.log.count) >= (its, voter.log.count)
  }

  private mutating func becomeFollower(_ place: Int, _ term: UInt64, vote: Int?) {
    replicas[place].term = term
    replicas[place].vote = vote
    replicas[place].leads = false
    if mistake == .voteNotPersisted, random.chance(1, outOf: 2) { return }
    replicas[place].durableVote = (term, vote)
    facts.append(.votePersisted(Self.node(place), Term(term), vote: vote.map(Self.node)))
  }

  private mutating func append(_ place: Int, _ entry: LogFact) {
    replicas[place].log.append(entry)
    facts.append(.appended(Self.node(place), LogIndex(UInt64(replicas[place].log.count)), entry))
  }

  private mutating func propose(_ place: Int) {
    guard replicas[place].leads else { return }
    commands += 1
    append(place, LogFact(term: Term(replicas[place].term), checksum: commands))
  }

  private mutating func replicate(_ leader: Int, to follower: Int) {
    guard replicas[leader].leads, leader != follower, replicas[follower].isUp else { return }
    guard replicas[follower].term <= replicas[leader].term else { return }
    if replicas[follower].term < replicas[leader].term { becomeFollower(follower, replicas[leader].term, vote: nil) }
    let source = replicas[leader].log
    let end = Int(random.below(UInt64(source.count))) + 1
    let same = zip(source, replicas[follower].log).prefix { $0 == $1 }.count
    if mistake == .truncateOnStaleAppend, end < same {
      replicas[follower].log.removeSubrange(max(0, end - 1)...)
      append(follower, source[end - 1])
    }
    guard end > same else { return }
    replicas[follower].log.removeSubrange(same...)
    for entry in source[same..<end] { append(follower, entry) }
    commit(follower, through: min(end, replicas[leader].committed))
  }

  private mutating func persist(_ place: Int) {
    replicas[place].durableLog = replicas[place].log
    facts.append(.logPersisted(Self.node(place), through: LogIndex(UInt64(replicas[place].log.count))))
  }

  private mutating func advance(_ leader: Int) {
    let me = replicas[leader]
    guard me.leads, let last = me.log.indices.last(where: { isOnMajority($0, of: me) }), last >= me.committed else {
      return
    }
    guard me.log[last].term.rawValue == me.term else { return }
    commit(leader, through: last + 1)
  }

  private func isOnMajority(_ offset: Int, of leader: Replica) -> Bool {
    let holders = replicas.count { replica in
      let log = mistake == .commitBeforeFlush ? replica.log : replica.durableLog
      return log.indices.contains(offset) && log[offset] == leader.log[offset]
        && replica.term <= leader.term && zip(log, leader.log).prefix(offset + 1).allSatisfy { $0 == $1 }
    }
    return holders > replicas.count / 2
  }

  private mutating func commit(_ place: Int, through end: Int) {
    while replicas[place].committed < end {
      let entry = replicas[place].log[replicas[place].committed]
      if mistake == .acknowledgeEarly, end == replicas[place].log.count {
        facts.append(.acknowledged(LogIndex(UInt64(end + 1)), checksum: nil))
      }
      replicas[place].committed += 1
      let index = LogIndex(UInt64(replicas[place].committed))
      facts.append(.committed(Self.node(place), index, entry, in: Term(replicas[place].term)))
      if replicas[place].leads { facts.append(.acknowledged(index, checksum: entry.checksum)) }
    }
  }

  private mutating func apply(_ place: Int) {
    guard replicas[place].applied < replicas[place].committed else { return }
    let entry = replicas[place].log[replicas[place].applied]
    if mistake != .applyTwice || random.chance(9, outOf: 10) { replicas[place].applied += 1 }
    facts.append(
      .applied(Self.node(place), LogIndex(UInt64(replicas[place].applied)), checksum: entry.checksum))
    let isDurable = replicas[place].durableLog.starts(with: replicas[place].log.prefix(replicas[place].applied))
    if isDurable, random.chance(1, outOf: 5) { replicas[place].checkpoint = replicas[place].applied }
  }

  private mutating func crash(_ place: Int) {
    replicas[place].isUp = false
    replicas[place].leads = false
    facts.append(.crashed(Self.node(place)))
  }

  private mutating func recover(_ place: Int) {
    var replica = replicas[place]
    replica.isUp = true
    // The last flush may have reached the disk without having been reported.
    if random.chance(1, outOf: 3) { replica.durableLog = replica.log }
    (replica.term, replica.vote) = replica.durableVote
    replica.log = replica.durableLog
    (replica.committed, replica.applied) = (replica.checkpoint, replica.checkpoint)
    replicas[place] = replica
    let recovery = Recovery(
      term: Term(replica.term), vote: replica.vote.map(Self.node), applied: LogIndex(UInt64(replica.checkpoint)),
      log: Array(replica.log[replica.checkpoint...]))
    facts.append(.recovered(Self.node(place), recovery))
  }
}
