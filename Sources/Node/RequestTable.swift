import Primitives
import Store

/// Who waits for the answer.
enum Origin: Equatable, Sendable {
  /// A client of this node.
  case client(RequestID)
  /// Another node that forwarded its client's request.
  case peer(NodeID, id: UInt64)
}

/// Where a request that could not be answered at once stands.
enum RequestStage: Equatable {
  /// Nobody is known to lead, or whoever was asked did not. Nothing was executed.
  case waitingForLeader
  /// This node leads; a round confirms it, then the request runs (again).
  case waitingForRead
  /// Runs when the replica has applied through the index.
  case waitingForApply(LogIndex)
  /// Runs again when the page has come.
  case waitingForPage(PageID)
  /// Its command is in the entry that the end of the turn proposes, if the node does not fail before. Nothing was executed yet.
  case batched
  /// Its command is in the log of this leader: from here only its result says what became of it.
  case appended(LogIndex)
  /// Sent to the node that leads.
  case forwarded(NodeID)
  /// Raft hands the leadership over; the new leader answers.
  case transferring
  /// Other nodes were asked how they are.
  case waitingForStatus

  /// What a missed deadline means for the request.
  func mayHaveExecuted(write: Bool) -> Bool {
    switch self {
    case .appended: true
    case .forwarded: write
    default: false
    }
  }
}

struct PendingRequest {
  var origin: Origin
  var deadline: Instant
  var operation: Operation
  var stage: RequestStage
  /// A read that missed a page goes on from here.
  var partial: PartialRead?
}

/// Names one request for its life: 16 bits of the start's number, 28 bits of how often the slot was used, 20 bits of slot.
///
/// A name is not used again, by a later start of the node neither: a request that was forwarded may be answered when the process
/// that sent it is gone, and whoever waits there now has asked something else.
struct RequestHandle: Hashable, Sendable {
  static let slotBits: UInt64 = 20
  static let generationBits: UInt64 = 28

  var rawValue: UInt64
  init(_ rawValue: UInt64) { self.rawValue = rawValue }
  init(slot: Int, generation: UInt64, boot: UInt64) {
    let use = boot << Self.generationBits | generation & (1 << Self.generationBits - 1)
    rawValue = use << Self.slotBits | UInt64(slot)
  }
  var slot: Int { Int(rawValue & (1 << Self.slotBits - 1)) }
}

/// The requests that wait, in slots that are used again. Bounded in number and bytes.
struct RequestTable {
  private struct Slot {
    var generation: UInt64
    var request: PendingRequest?
  }

  private var slots: [Slot] = []
  private var free: [Int] = []
  private(set) var count = 0
  private(set) var bytes = 0
  /// Of answers that are printed in part.
  private(set) var partialBytes = 0
  private let countMax: Int
  private let bytesMax: Int
  private let boot: UInt64

  /// `boot` is the number of the node's start.
  init(countMax: Int, bytesMax: Int, boot: UInt64) {
    precondition(countMax <= 1 << RequestHandle.slotBits, "a handle names any slot")
    self.countMax = countMax
    self.bytesMax = bytesMax
    self.boot = boot
  }

  /// Nil when the table is full: the request is refused, nothing was done.
  mutating func insert(_ request: PendingRequest) -> RequestHandle? {
    let size = request.operation.byteCount
    guard count < countMax, bytes + size <= bytesMax else { return nil }
    let slot: Int
    if let reused = free.popLast() {
      slot = reused
    } else {
      slot = slots.count
      slots.append(Slot(generation: 1, request: nil))
    }
    slots[slot].request = request
    count += 1
    bytes += size
    return handle(slot)
  }

  private func handle(_ slot: Int) -> RequestHandle {
    RequestHandle(slot: slot, generation: slots[slot].generation, boot: boot)
  }

  /// The request, or nil when it was answered already.
  subscript(handle: RequestHandle) -> PendingRequest? { holds(handle) ? slots[handle.slot].request : nil }

  /// A slot has the handle's generation exactly while the request is in it.
  private func holds(_ handle: RequestHandle) -> Bool {
    handle.slot < slots.count && self.handle(handle.slot) == handle
  }

  mutating func setStage(_ stage: RequestStage, of handle: RequestHandle) {
    guard holds(handle) else { return }
    slots[handle.slot].request?.stage = stage
  }

  mutating func setPartial(_ partial: PartialRead, of handle: RequestHandle) {
    guard holds(handle) else { return }
    partialBytes += partial.body.count
    slots[handle.slot].request?.partial = partial
  }

  /// What a read has printed, and nobody else holds: it goes on in the same memory.
  mutating func takePartial(of handle: RequestHandle) -> PartialRead? {
    guard holds(handle), let partial = slots[handle.slot].request?.partial.take() else { return nil }
    partialBytes -= partial.body.count
    return partial
  }

  mutating func shorten(_ handle: RequestHandle, to deadline: Instant) {
    guard let request = self[handle], deadline < request.deadline else { return }
    slots[handle.slot].request?.deadline = deadline
  }

  mutating func remove(_ handle: RequestHandle) -> PendingRequest? {
    guard holds(handle), let request = slots[handle.slot].request.take() else { return nil }
    slots[handle.slot].generation &+= 1
    free.append(handle.slot)
    count -= 1
    bytes -= request.operation.byteCount
    partialBytes -= request.partial?.body.count ?? 0
    return request
  }

  /// The handles of all requests for which `matches` holds, in slot order. For rare events: looks at every slot.
  func handles(where matches: (PendingRequest) -> Bool) -> [RequestHandle] {
    var found: [RequestHandle] = []
    for (index, slot) in slots.enumerated() {
      if let request = slot.request, matches(request) {
        found.append(handle(index))
      }
    }
    return found
  }
}

/// Deadlines of requests in buckets of 20 ms, so that setting one costs nothing and most are never looked at again.
/// A deadline is met late by at most one bucket.
struct DeadlineWheel {
  static let bucket = Nanoseconds.milliseconds(20)
  /// 123 s: more than the longest deadline that the API allows.
  private static let bucketCount: UInt64 = 6144
  private var buckets: [[RequestHandle]]
  private var nextBucket: UInt64
  private(set) var count = 0

  init(now: Instant) {
    buckets = Array(repeating: [], count: Int(Self.bucketCount))
    nextBucket = now.nanoseconds / Self.bucket.rawValue
  }

  mutating func add(_ handle: RequestHandle, deadline: Instant) {
    // Rounded up, so that nothing is called late before it is.
    let wanted = deadline.nanoseconds / Self.bucket.rawValue + 1
    let number = min(max(wanted, nextBucket), nextBucket + Self.bucketCount - 1)
    buckets[Int(number % Self.bucketCount)].append(handle)
    count += 1
  }

  /// When to look again; never while nothing waits.
  var nextDeadline: Instant {
    count == 0 ? .never : Instant(nanoseconds: nextBucket * Self.bucket.rawValue)
  }

  /// Takes out all handles whose bucket has passed; most were answered long ago.
  mutating func expire(at now: Instant) -> [RequestHandle] {
    let current = now.nanoseconds / Self.bucket.rawValue
    var due: [RequestHandle] = []
    guard count > 0 else {
      nextBucket = max(nextBucket, current + 1)
      return due
    }
    while nextBucket <= current, count > 0 {
      let slot = Int(nextBucket % Self.bucketCount)
      if !buckets[slot].isEmpty {
        due.append(contentsOf: buckets[slot])
        count -= buckets[slot].count
        buckets[slot] = []
      }
      nextBucket += 1
    }
    nextBucket = max(nextBucket, current + 1)
    return due
  }
}
