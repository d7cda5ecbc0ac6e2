import Journal
import Primitives
import Raft
import Store

/// Facts that the driver tells a node, one at a time. Times come beside them.
package enum NodeEvent {
  /// `nextDeadline` may have passed.
  case tick
  /// A payload came over the link from a node whose certificate and hello were checked.
  case received(from: NodeID, payload: [UInt8])
  /// The link to a node can take payloads.
  case linkOpened(NodeID)
  /// It cannot; payloads given to it since may be lost.
  case linkClosed(NodeID)
  case requested(Request)
  case journal(JournalEvent)
  case checkpoint(CheckpointEvent)
  /// A page read failed at the device; the page's bytes come by `pageLoaded` otherwise.
  case pageReadFailed(PageID, errno: Int32)
  /// The same of a scrubbing read; its bytes come by `scrubbed` otherwise.
  case scrubReadFailed(ScrubRead, errno: Int32)
  /// What the process uses of memory, now and then, for whoever asks how the node is.
  case memoryMeasured(MemoryStatus)
  /// Stop gracefully: hand over leadership, take no new requests.
  case drainRequested
  /// After draining: make everything durable and seal the log; `isClosed` tells when.
  case closeRequested
  /// All events of this turn of the loop were told: propose, flush, send.
  case turnEnded
}

/// Orders to the driver, filled by `step`, performed and cleared after `turnEnded`. Performing them never enters the
/// node again but by an event.
package struct NodeEffects {
  /// One payload is one frame of the link; never split, never merged.
  package var sends: [(to: NodeID, payload: [UInt8])] = []
  package var replies: [(id: RequestID, reply: Reply)] = []
  /// Writes, preparations and reads of the log.
  package var journal: [JournalEffect] = []
  package var checkpoint: [CheckpointEffect] = []
  package var pageReads: [PageRead] = []
  package var scrubReads: [ScrubRead] = []
  /// The node will acknowledge nothing more, and why. Told once.
  package var failed: NodeFault?
  /// Answer to `drainRequested`: nothing waits any more.
  package var drained = false
  /// Lines for the log: what people should know.
  package var notices: [Notice] = []

  package init() {}
}

/// Why a node stopped acknowledging.
package struct NodeFault: Equatable, Sendable {
  /// What failed, where, and what to do.
  package var text: String
  package init(_ text: String) { self.text = text }
}

/// Something worth a line in the log.
package enum Notice: Equatable, Sendable {
  case becameLeader(ShardID, Term)
  case leaderChanged(ShardID, NodeID?, Term)
  case steppedDown(ShardID, Term)
  case checkpointBegan
  case checkpointFinished(applied: LogIndex, pages: Int)
  case checkpointFailed(String)
  case undecodable(from: NodeID, String)
  /// This leader has no room, and offers the leadership to a node that has.
  case handsOver(ShardID, to: NodeID)
  /// Writes are refused, and why; nil: they are taken again.
  case shortage(Shortage?)
  /// Scrubbing has read everything once.
  case scrubFinished(bytes: UInt64)
  /// Scrubbing found damage, described with place; and what becomes of it.
  case scrubDamage(String, ScrubOutcome)
}
