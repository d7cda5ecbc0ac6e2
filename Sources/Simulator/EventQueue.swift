import Node
import Primitives
import Store

/// Things that will happen, by time; what was scheduled first happens first among equals. A binary heap.
struct EventQueue {
  struct Item {
    var time: Instant
    var sequence: UInt64
    var event: WorldEvent
  }

  private var heap: [Item] = []
  private var sequence: UInt64 = 0

  var nextTime: Instant? { heap.first?.time }
  var count: Int { heap.count }

  mutating func add(_ event: WorldEvent, at time: Instant) {
    sequence += 1
    heap.append(Item(time: time, sequence: sequence, event: event))
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard isEarlier(heap[child], heap[parent]) else { break }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  mutating func popFirst() -> Item? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      siftDown()
    }
    return first
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && isEarlier(heap[child], heap[least]) {
        least = child
      }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private func isEarlier(_ a: Item, _ b: Item) -> Bool {
    a.time == b.time ? a.sequence < b.sequence : a.time < b.time
  }
}

/// What can happen in the world. Events of a machine carry the life they belong to: what a crashed process had ordered
/// does not reach its successor.
enum WorldEvent {
  case tick(Int, life: UInt64)
  case turnEnd(Int, life: UInt64)
  case deliver(to: Int, from: Int, payload: [UInt8])
  case arrived(at: Int, life: UInt64, from: Int, payload: [UInt8])
  case linkOpened(at: Int, to: Int)
  case linkClosed(at: Int, to: Int)
  case disk(Int, life: UInt64, DiskCompletion)
  case clientActs(Int)
  case requestArrives(ClientRequest)
  case replyArrives(ClientReply)
  case connectionLost(request: UInt64)
  case fault(Fault)
  case restart(Int)
  case resume(Int)
}

/// The end of a disk operation that a machine ordered.
enum DiskCompletion {
  case logWritten(id: UInt64, file: UInt32, offset: UInt64, bytes: [UInt8])
  case segmentPrepared(file: UInt32, bytes: UInt64, isFresh: Bool)
  case logRead(id: UInt64, file: UInt32, offset: UInt64, count: Int)
  case pageRead(PageRead)
  case scrubRead(ScrubRead)
  case checkpointWrite(CheckpointWrite)
}
