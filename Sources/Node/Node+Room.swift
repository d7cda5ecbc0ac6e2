import Journal
import Primitives
import Raft
import Store
import Tables

// Full is a state: how much room there is, what is taken while there is little, and how the node leaves that by itself.
//
//     room of a node    what it takes
//     ample             everything
//     scarce            what is in the log already, deletes, and the cluster's own work; reads in any case
//     exhausted         heartbeats and votes: no entries, and the leader sends none until it hears otherwise
//
// A leader takes writes of clients while a majority, itself included, has ample room: so what it appends can be committed
// and applied. Is it alone that has none, it hands over. A node returns to ample when a reserve more is free than where it
// began to be scarce.

/// What the node remembers of it from turn to turn.
struct RoomState {
  /// Raft, the log or a checkpoint has taken a step since the last look. Turns that only read look at nothing.
  var mayHaveChanged = true
  /// When the leader looks again at the room of the others: at once when one
  /// of them says that it has little, otherwise not in each turn.
  var votersAt = Instant.zero
  /// The pages are short; kept until there is some more room than where that began.
  var pages: Shortage?
  /// At the leader: who has no ample room, and whether a majority has.
  var votersShort: [NodeID] = []
  var hasMajority = true
  /// When leadership may be offered again.
  var handOverAt = Instant.zero
}

extension Node {
  /// Why this node wants no more writes of clients.
  package var shortage: Shortage? { journal.shortage ?? room.pages }

  /// At the end of a turn: room is made ahead, and it is seen who has some.
  func lookAtRoom() {
    guard room.mayHaveChanged || applyStall != nil else { return }
    room.mayHaveChanged = false
    if !isClosing { resizeStore() }
    noteRoom()
    if now >= room.votersAt || shortage != nil || !room.votersShort.isEmpty { noteVotersRoom() }
  }

  private static let votersInterval = Nanoseconds.milliseconds(10)

  /// Looks again how much room there is, and tells Raft, which tells the leader.
  func noteRoom() {
    notePages()
    let level: RoomLevel = !journal.takesEntries ? .exhausted : shortage == nil ? .ample : .scarce
    if level != replica.raft.room { stepRaft(.roomChanged(level)) }
  }

  private func notePages() {
    let pages = store.room
    let left = pages.total - pagesUnapplied
    if left < pages.low { room.pages = pages.isRefusedByDisk ? .disk : .pages }
    if left >= pages.high { room.pages = nil }
  }

  /// What the log holds already will take about twice its bytes: pages are three quarters full, and rows have their overhead.
  private var pagesUnapplied: Int { 2 * replica.raft.unappliedBytes / Store.pageBytes }

  // MARK: The leader

  /// Who of the voters has room.
  private func noteVotersRoom() {
    room.votersAt = now + Self.votersInterval
    room.votersShort.removeAll(keepingCapacity: true)
    room.hasMajority = true
    guard replica.isLeader else { return }
    var ample = 0
    if shortage == nil { ample += 1 } else { room.votersShort.append(settings.me.node) }
    replica.raft.forEachVoterHeard { member, level in
      if level == .ample { ample += 1 } else { room.votersShort.append(member.node) }
    }
    let quorum = replica.raft.configuration.voters.count / 2 + 1
    room.hasMajority = ample >= quorum
    if shortage != nil, ample >= quorum { offerLeadership() }
  }

  /// The others go on without this node.
  private func offerLeadership() {
    guard now >= room.handOverAt, !replica.raft.isTransferring, !isDraining else { return }
    let others = replica.raft.followers.filter { $0.room == .ample && isLinkOpen($0.member.node) }
    guard let target = others.max(by: { $0.match < $1.match }) else { return }
    room.handOverAt = now + .seconds(1)
    effects.notices.append(.handsOver(replica.shard, to: target.member.node))
    stepRaft(.transferRequested(target.member))
  }

  // MARK: What is taken

  /// Why the command in `commands` is not proposed; nil when it is.
  func wantOfRoom() -> Problem? {
    let pages = store.room
    let left = pages.total - pagesUnapplied - 2 * replica.batch.byteCount / Store.pageBytes
    if commands.takesIn {
      if left < pages.low { room.pages = pages.isRefusedByDisk ? .disk : .pages }
      if let shortage { return .diskFull(shortage, on: [settings.me.node]) }
      if !room.hasMajority, !room.votersShort.isEmpty { return .diskFull(nil, on: room.votersShort) }
      return left - commands.pagesMax < pages.lowest ? .batchTooLarge(on: settings.me.node) : nil
    }
    guard journal.takesDeletes else { return .diskFull(journal.shortage ?? .disk, on: [settings.me.node]) }
    return left - commands.pagesMax < pages.lowest ? .batchTooLarge(on: settings.me.node) : nil
  }

  /// Commands of the cluster's own that make room go on as deletes do, in smaller steps.
  var hasRoomForOwnWork: Bool {
    let pages = store.room
    return journal.takesDeletes && applyStall == nil && pages.total >= pages.lowest + CommandWriter.pagesOfOwnMax
  }

  /// Of a dropped table so many are removed at a time.
  var purgeRows: Int { shortage == nil ? TableLimits.purgeRowsMax : 32 }
}

extension Problem {
  /// There is room, but not for what the store may need to prepare so many operations at once.
  static func batchTooLarge(on node: NodeID) -> Problem {
    Problem(
      .diskFull, "There is too little room on \(node) to prepare so many operations at once. Send smaller batches.")
  }

  /// `shortage` is known of this node; of others the cluster's status says more.
  static func diskFull(_ shortage: Shortage?, on nodes: [NodeID]) -> Problem {
    let names = nodes.map { "\($0)" }.joined(separator: " and ")
    return switch shortage {
    case .cap:
      Problem(
        .diskFull,
        "The log is full and is kept until every node has it: `fscluster status` shows which node lags. Bring it back.")
    case .disk:
      Problem(
        .diskFull, "The disk of \(names) has no room. Make room there, or delete rows: writes go on by themselves.")
    case .pages:
      Problem(
        .diskFull,
        "The data of \(names) fill what `disk-limit` leaves for them. Delete rows or drop tables, or raise the limit: writes go on by themselves."
      )
    case nil:
      Problem(
        .diskFull,
        "\(names) have no room, and the others are no majority: `fscluster status` says why. Delete rows, or make room there: writes go on by themselves."
      )
    }
  }
}
