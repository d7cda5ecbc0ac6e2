// Node: the composition. One lane's journal and store, the replicas placed on it, the requests that wait, and the
// links to other nodes, behind one door:
//
//     node.step(event, at: now, into: &effects)
//
// Events are facts (a payload came, a log write is durable, a request arrived), effects are orders (send, write,
// reply). Production and the simulator run exactly this; what differs is who performs the effects.
//
// # The life of a write
//
//     requested ──► plan (parse against the catalog, encode a command) ──► batch of this turn
//     turnEnded ──► one entry ──► Raft ──► persist order ──► Journal ──► one durable write ─┐
//                                  └─────► appends to the followers ──► their journals ─────┤
//     committed ◄───────────────────────────────────────── a majority has it ◄──────────────┘
//         └──► apply, command by command ──► replies, in the same turn
//
// A node that does not lead forwards the request as it came; the leader parses, decides and answers, and the answer goes
// back the same way. So every decision about a schema is taken by the one replica that has applied everything.
//
// # Reads
//
// The leader answers at once from its applied state while its lease holds and everything committed is applied.
// Otherwise Raft confirms the leadership by a round (read-index), and the read waits until the replica has applied so
// far.
//
// # Invariants
//
// 1. A write is answered with success only when its entry was applied here or where it was forwarded to; an entry is
//    applied only when committed, committed only when a majority has it durably.
// 2. A request is answered exactly once, by its deadline (plus one bucket of the wheel).
// 3. After `.appended` (or `.forwarded`, for writes) the only refusals are ones that say `unknown`.
// 4. A command is applied whole or waits for a page; nothing is read or frozen in the middle of one.
// 5. After a fault of the disk the node sends, acknowledges and answers nothing that could depend on it.
// 6. A checkpoint names an applied index only after the log through it is durable here.
//
// # What it does not do (yet)
//
// One shard, its voters fixed; no snapshots, so the log is kept until every voter has it, and a full log refuses writes.

import DequeModule
import Journal
import Primitives
import Raft
import Store
import Tables

package final class Node {
  package let settings: NodeSettings
  /// The number of this start.
  let boot: UInt64
  let store: Store
  let journal: Journal
  /// The one shard of this lane; the seam where a list of replicas comes.
  let replica: Replica
  var requests: RequestTable
  var wheel: DeadlineWheel
  var peers: [Peer]
  var pages = PageWaits()
  var checkpoint: CheckpointState
  var statusRounds: [StatusRound] = []
  var statusSequence: UInt64 = 0
  var fault: NodeFault?
  /// The log's start block is durable: this start of the node is on record.
  package internal(set) var isOpen = false
  /// After `.closeRequested`: everything is durable and sealed.
  package internal(set) var isClosed = false
  /// Asked to close: nothing new goes into the log, so Raft hears nothing more.
  var isClosing = false
  var isDraining = false
  var drainReported = false
  /// The store cannot take the next command now.
  var applyStall: ApplyStall?
  var room = RoomState()
  var reclaim = ReclaimState.goesOn
  var scrub: ScrubState
  /// How much of `NodeLimits.applyBytesMax` this turn has left.
  var applyRoom: Int
  var memory = MemoryStatus()
  /// Of the answers of this turn.
  var answerBytes = 0
  /// What the journal was last told to be held by every voter.
  var heldTold = LogIndex.zero
  /// What the journal was last told to be committed.
  var committedTold = LogIndex.zero
  /// The last shortage that was written to the log.
  var shortageTold: Shortage?
  package internal(set) var statistics = NodeStatistics()

  /// Time never goes back inside the node, whatever the driver says.
  var now: Instant
  /// Reused from step to step.
  var raftEffects = RaftEffects()
  var spareRaftEffects = RaftEffects()
  var commands = CommandWriter()
  var reads = ReadWriter()
  var journalEffects = JournalEffects()
  var spareJournalEffects = JournalEffects()
  var effects = NodeEffects()

  init(
    settings: NodeSettings, boot: UInt64, store: Store, journal: Journal, replica: Replica, record: ReplicaRecord,
    now: Instant
  ) {
    self.settings = settings
    self.boot = boot
    self.store = store
    self.journal = journal
    self.replica = replica
    checkpoint = CheckpointState(durable: record, now: now)
    scrub = ScrubState(every: settings.scrubEvery, now: now)
    self.now = now
    applyRoom = settings.limits.applyBytesMax
    requests = RequestTable(
      countMax: settings.limits.requestsMax, bytesMax: settings.limits.requestBytesMax, boot: boot)
    wheel = DeadlineWheel(now: now)
    peers = settings.addresses.map { Peer(node: $0.node) }.filter { $0.node != settings.me.node }
      .sorted { $0.node < $1.node }
  }

  /// Takes one event. Effects are appended to `output`; performing them is the driver's, after `.turnEnded`.
  package func step(_ event: NodeEvent, at time: Instant, into output: inout NodeEffects) {
    now = max(now, time)
    swap(&effects, &output)
    dispatch(event)
    swap(&effects, &output)
  }

  private func dispatch(_ event: NodeEvent) {
    switch event {
    case .tick: tick()
    case .received(let node, let payload): received(payload, from: node)
    case .linkOpened(let node): linkOpened(node)
    case .linkClosed(let node): linkClosed(node)
    case .requested(let request): accept(request)
    case .journal(let event): journalStep(event)
    case .checkpoint(let event): checkpointStep(event)
    case .pageReadFailed(let page, let errno): pageReadFailed(page, errno)
    case .scrubReadFailed(let read, let errno): scrubReadFailed(read, errno)
    case .drainRequested: drain()
    case .closeRequested: close()
    case .memoryMeasured(let status): memory = status
    case .turnEnded: endTurn()
    }
  }

  /// The earliest moment at which a `.tick` has something to do.
  package var nextDeadline: Instant {
    if fault != nil { return wheel.nextDeadline }
    var earliest = min(journal.nextDeadline, wheel.nextDeadline, checkpoint.growAgainAt)
    if isOpen, !isClosing {
      earliest = min(earliest, replica.raft.nextDeadline, checkpoint.paceAt, scrub.nextAt)
      if replica.isLeader, isHistoryAging { earliest = min(earliest, replica.advanceAt) }
    }
    if hasMoreToApply || hasMoreToReclaim { earliest = min(earliest, now) }
    for round in statusRounds { earliest = min(earliest, round.deadline) }
    return earliest
  }

  /// Whether `/readyz` says yes: there is a leader, and nothing failed.
  package var isReady: Bool { fault == nil && !isDraining && replica.raft.leader != nil }
  package var failure: NodeFault? { fault }

  private func tick() {
    expireRequests()
    expireStatusRounds()
    guard fault == nil else { return }
    if now >= journal.nextDeadline { journalStep(.tick) }
    growWhenDue()
    scrubWhenDue()
    if hasMoreToApply { applyCommitted() }
    if isOpen, !isClosing, now >= replica.raft.nextDeadline { stepRaft(.tick) }
  }

  private func endTurn() {
    if fault == nil {
      if !isClosing {
        proposeBatch()
        proposePurge()
        proposeAdvance()
        reclaimPages()
        beginCheckpointWhenDue()
        paceCheckpoint()
      }
      tellCommitted()
      journal.flush(at: now, into: &journalEffects)
      takeJournalResults()
      lookAtRoom()
      tellShortage()
    }
    applyRoom = settings.limits.applyBytesMax
    answerBytes = 0
    reportDrained()
    sendOutboxes()
  }

  /// The node can no longer know what its disk holds: it stops speaking, and every request learns what may have
  /// happened to it.
  func fail(_ text: String) {
    guard fault == nil else { return }
    fault = NodeFault(text)
    effects.failed = fault
    for handle in requests.handles(where: { _ in true }) { finishAfterFault(handle, text) }
    for index in peers.indices { peers[index].outbox.clear() }
  }

  private func finishAfterFault(_ handle: RequestHandle, _ text: String) {
    guard let request = requests[handle] else { return }
    let executed = request.stage.mayHaveExecuted(write: request.operation.isWrite)
    finish(handle, Reply(executed ? .outcomeUnknown("The node failed: \(text).") : .failed(text)))
  }

  /// Cheap enough for every turn, except for the walk through the log.
  package func checkInvariants(walkingLog: Bool = true) {
    replica.raft.checkInvariants(walkingLog: walkingLog)
    precondition(replica.appliedIndex <= replica.raft.commitIndex, "only committed entries are applied")
    precondition(replica.batch.count == replica.batchHandles.count, "every command of the batch has its handle")
  }
}

/// Counters that only grow, for `/metrics`.
package struct NodeStatistics: Sendable {
  package var requests: UInt64 = 0
  package var replies: UInt64 = 0
  package var forwarded: UInt64 = 0
  /// Commands of clients, and those that the leader itself proposes in the background.
  package var commandsApplied: UInt64 = 0
  package var ownCommandsApplied: UInt64 = 0
  package var entriesApplied: UInt64 = 0
  package var reads: UInt64 = 0
  package var readRounds: UInt64 = 0
  package var overloaded: UInt64 = 0
  package var deadlinesMissed: UInt64 = 0
  package var leaderChanges: UInt64 = 0
  package var checkpoints: UInt64 = 0
  package var pageMisses: UInt64 = 0
  package var payloadsUndecodable: UInt64 = 0
  package var scrubbedPages: UInt64 = 0
  /// Of pages and of the log.
  package var scrubbedBytes: UInt64 = 0
  /// Pages that need not be read, as they are to be written anew.
  package var scrubSkippedPages: UInt64 = 0
  package var scrubPasses: UInt64 = 0
  package var scrubDamage: UInt64 = 0
  package var scrubRewritten: UInt64 = 0
}
