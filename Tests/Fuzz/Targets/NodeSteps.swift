import Primitives

@testable import Node
@testable import Raft

extension FuzzTarget {
  /// What clients and other nodes ask of a running node, and how they may mislead it: requests and status messages of
  /// any bytes, Raft's messages with any numbers. (A peer that appends what contradicts itself is not among them: that
  /// Raft takes for a bug and stops.)
  static let node = FuzzTarget(
    "node", inputBytesMax: 1024, memory: MemoryBound(base: 16 << 20, perInputByte: 4096), seeds: { nodeSeeds() }
  ) { input in
    var input = input
    var driver = NodeDriver()
    for _ in 0..<32 where !input.isAtEnd { driver.step(&input) }
    driver.finish()
  }

  private static func nodeSeeds() -> [[UInt8]] {
    let elect: [UInt8] = [0, 200]
    let seeds = peerMessages.compactMap { message -> [UInt8]? in
      var writer = ByteWriter()
      message.encode(into: &writer)
      let body = Array(writer.bytes.dropFirst(5))
      guard body.count < 256 else { return nil }
      switch message {
      case .raft(let raft):
        if case .append = raft.body { return nil }
        return elect + [1, UInt8(body.count)] + body
      case .forward:
        return elect + [2, UInt8(body.count)] + body + [3, UInt8(body.count - 16)] + body.dropFirst(16)
      default: return elect + [4, writer.bytes[0], UInt8(body.count)] + body
      }
    }
    return seeds + [elect + [5, 1, 3, 1, 1, 0, 0], elect + [5, 0, 11, 1, 1, 0, 0, 0, 2, 0, 0, 0, 1, 9, 6, 0]]
  }
}

/// Reads what happens from an input, a step a time.
private struct NodeDriver {
  private let solo = SoloNode()
  private var requests: UInt64 = 0

  mutating func step(_ input: inout Input) {
    switch input.byte() % 7 {
    case 0: solo.pass(.milliseconds(10 * UInt64(input.byte())))
    case 1: mislead(input.sized())
    case 2: solo.receive(framed(2, input.sized()), from: 2)
    case 3: request(input.sized())
    case 4: solo.receive(framed(max(2, input.byte()), input.sized()), from: 3)
    case 5: append(kind: input.byte(), input.sized())
    default: solo.tell(input.byte() % 2 == 0 ? .linkClosed(NodeID(2)) : .linkOpened(NodeID(2)))
    }
  }

  private func framed(_ kind: UInt8, _ body: [UInt8]) -> [UInt8] {
    var writer = ByteWriter()
    writer.write(kind)
    writer.write(UInt32(body.count))
    writer.writeBytes(body)
    return writer.bytes
  }

  /// A message of Raft, but for appends.
  private func mislead(_ body: [UInt8]) {
    do throws(DecodeError) {
      let message = try decode(body) { reader throws(DecodeError) in try RaftMessage(from: &reader) }
      if case .append = message.body { return }
      solo.receive(.raft(message), from: message.from.node.rawValue)
    } catch {}
  }

  private mutating func request(_ operation: [UInt8]) {
    do throws(DecodeError) {
      let operation = try decode(operation) { reader throws(DecodeError) in try Operation(from: &reader) }
      requests += 1
      solo.tell(.requested(Request(id: RequestID(requests), deadline: solo.now + .seconds(10), operation: operation)))
    } catch {}
  }

  /// Node 2 leads the next term and appends one entry to what this node has.
  private mutating func append(kind: UInt8, _ payload: [UInt8]) {
    let raft = solo.node.raft
    guard raft.term.rawValue < 1 << 40 else { return }
    let last = raft.lastIndex
    let entry = Entry(
      index: last.next, term: raft.term.next, kind: kind % 2 == 0 ? .command : .noop, payload: payload)
    let append = Append(
      previousIndex: last, previousTerm: raft.log.lastTerm, entries: [entry], commit: last.next, heldByAll: .zero,
      sentAt: Instant(nanoseconds: 1), readRound: 0)
    let message = RaftMessage(
      shard: Node.onlyShard, from: SoloNode.member(2), to: SoloNode.member(1), term: raft.term.next,
      body: .append(append))
    solo.receive(.raft(message), from: 2)
  }

  /// Every request is answered once, by its deadline.
  func finish() {
    if solo.answered.count < requests { solo.pass(.seconds(11)) }
    for id in 0..<requests {
      require(solo.answered[id + 1] == 1, "request \(id + 1) is answered once, not \(solo.answered[id + 1] ?? 0) times")
    }
  }
}
