import Node
import Primitives
import Transport

/// One accepted connection: a client's, a probe's, or another node's.
final class Connection {
  let slot: Int
  /// Never used again in this process: a reply that comes too late finds another number here.
  let number: UInt64
  let transport: ServerConnection
  let socket: SocketPump
  let acceptedAt: Instant
  var isOpened = false
  var lastReceived: Instant
  /// When the last send was submitted; only while one is in flight.
  var sendingSince: Instant = .zero
  var remembered = Authenticator.Remembered()
  /// Bytes of answers that wait here, as counted in the sum of all.
  var waitingBytes = 0
  var isDirty = false
  /// Not read from until answers have left.
  var isPaused = false
  var isEnding = false
  /// It rests, and has given back what it does not need meanwhile.
  var isSpare = false
  /// Streams of rows by their stream's handle. Few.
  var streams: [UInt64: RowStream] = [:]

  // Another node's.
  var peer: NodeID?
  var peerReader = LinkReader()

  init(slot: Int, number: UInt64, transport: ServerConnection, socket: SocketPump, now: Instant) {
    self.slot = slot
    self.number = number
    self.transport = transport
    self.socket = socket
    acceptedAt = now
    lastReceived = now
  }

  var openStreams: Int { transport.http2?.openStreams ?? 0 }
}

/// A scan whose pages are fetched as its client takes them.
struct RowStream {
  var query: ScanQuery
  /// Rows still to send; nil: all.
  var rowsLeft: UInt64?
  var timeout: Nanoseconds
  var hasBegun = false
  /// A page was asked of the node.
  var isFetching = false
  /// Since when the client has had enough to read.
  var fullSince: Instant = .zero

  static let pageRows: UInt64 = 1000

  /// Nil: each page shows its own present.
  var snapshot: Timestamp?

  /// The read of the next page.
  var nextRead: Operation {
    let read = Operation.scan(nextPage)
    return snapshot.map { .snapshot($0, read) } ?? read
  }

  private var nextPage: ScanQuery {
    var page = query
    page.lines = true
    page.limit = Array(String(min(Self.pageRows, rowsLeft ?? Self.pageRows)).utf8)
    return page
  }
}

/// A request that the node has and that somebody waits for.
struct PendingRequest {
  var connection: UInt64
  var slot: Int32
  var kind: RequestKind
  var isStream: Bool
  var stream: StreamHandle
  var startedAt: Instant
}

/// What latencies are kept apart by.
enum RequestKind: UInt8, CaseIterable {
  case read, write, scan, batch, other

  var name: String {
    switch self {
    case .read: "read"
    case .write: "write"
    case .scan: "scan"
    case .batch: "batch"
    case .other: "other"
    }
  }

  /// Its answer may be large.
  var isLarge: Bool { self == .scan }

  init(_ operation: Operation) {
    switch operation {
    case .get: self = .read
    case .put, .patch, .delete: self = .write
    case .scan, .lookup: self = .scan
    case .snapshot(_, let read): self = RequestKind(read)
    case .batch: self = .batch
    default: self = .other
    }
  }
}

/// The requests of all connections that wait for the node; a request's id names its slot and how often that was used.
struct PendingTable {
  private var slots: ContiguousArray<PendingRequest> = []
  private var generations: ContiguousArray<UInt32> = []
  private var free: ContiguousArray<UInt32> = []

  var count: Int { slots.count - free.count }

  mutating func insert(_ request: PendingRequest) -> RequestID {
    let index: Int
    if let reused = free.popLast() {
      index = Int(reused)
      slots[index] = request
    } else {
      index = slots.count
      slots.append(request)
      generations.append(1)
    }
    return RequestID(UInt64(generations[index]) << 32 | UInt64(index))
  }

  mutating func remove(_ id: RequestID) -> PendingRequest? {
    let index = Int(id.rawValue & 0xFFFF_FFFF)
    guard index < slots.count, generations[index] == UInt32(id.rawValue >> 32) else { return nil }
    generations[index] &+= 1
    free.append(UInt32(index))
    return slots[index]
  }
}
