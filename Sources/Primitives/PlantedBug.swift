#if PLANTED_BUGS
  // Bugs planted on purpose, to show that the simulator finds such bugs. A build of its own has them (`-DPLANTED_BUGS`,
  // see Docs/Testing.md and Tests/run); without the flag neither this file nor a place that asks it is compiled.

  /// One way to be wrong. The raw value is what `simulate --bug` takes.
  package enum PlantedBug: String, CaseIterable, Sendable {
    /// The journal reports an order as durable when its write is ordered, not when it has completed.
    case ackBeforeFlush = "ack-before-flush"
    /// The vote is left out of what is written, and taken for durable.
    case voteNotPersisted = "vote-not-persisted"
    /// A leader serves reads without looking at its lease.
    case staleRead = "stale-read"
    /// The lease counts from the receipt of an answer instead of the sending of what it answers.
    case leaseFromReceipt = "lease-from-receipt"
    /// A leader counts its own copy of an entry before its disk has it.
    case leaderCountsUnflushed = "leader-counts-unflushed"
    /// A forwarded write that the network delivers twice is executed twice.
    case forwardTwice = "forward-twice"
    /// A checkpoint's superblock is written without waiting for the sync of its pages.
    case checkpointNotSynced = "checkpoint-not-synced"

    /// The bug of this process. Set once, before anything runs.
    nonisolated(unsafe) package static var planted: PlantedBug?

    /// Whether this is the bug that was planted.
    package var isPlanted: Bool { PlantedBug.planted == self }
  }
#endif
