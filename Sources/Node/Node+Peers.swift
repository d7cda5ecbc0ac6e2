import Primitives
import Raft

/// Another node, as this one sends to it.
struct Peer {
  let node: NodeID
  var isOpen = false
  var outbox = Outbox()
  /// How often the link opened in this life, and how many payloads went out since.
  var opened: UInt64 = 0
  var sent: UInt64 = 0
  var received = ReplayWindow()

  init(node: NodeID) { self.node = node }

  mutating func takePayloads(boot: UInt64, _ use: ([UInt8]) -> Void) {
    outbox.take(session: boot << 24 | opened, sent: &sent, use)
  }
}

/// The messages of one turn for one peer, packed into payloads. A payload begins with room for its envelope.
struct Outbox {
  private var writer = ByteWriter()
  private var payloads: [ByteWriter] = []
  /// Of the messages that wait.
  private(set) var bytes = 0

  var isEmpty: Bool { bytes == 0 }

  mutating func append(_ message: PeerMessage, payloadBytes: Int) {
    if writer.count == 0 { begin(message) }
    let before = writer.count
    message.encode(into: &writer)
    bytes += writer.count - before
    if writer.count - PayloadEnvelope.byteCount >= payloadBytes { seal() }
  }

  private mutating func begin(_ message: PeerMessage) {
    writer = ByteWriter(capacity: PayloadEnvelope.byteCount + message.byteCountGuess)
    PayloadEnvelope.reserve(in: &writer)
  }

  private mutating func seal() {
    guard writer.count > 0 else { return }
    payloads.append(writer)
    writer = ByteWriter()
  }

  /// Hands out all payloads in order, numbered on from `sent`; the outbox is empty again.
  mutating func take(session: UInt64, sent: inout UInt64, _ use: ([UInt8]) -> Void) {
    seal()
    for index in payloads.indices {
      sent += 1
      PayloadEnvelope(session: session, sequence: sent).patch(into: &payloads[index])
      use(payloads[index].bytes)
    }
    clear()
  }

  mutating func clear() {
    payloads.removeAll(keepingCapacity: true)
    bytes = 0
    writer = ByteWriter()
  }
}

extension Node {
  private func peerIndex(_ node: NodeID) -> Int? { peers.firstIndex { $0.node == node } }

  func isLinkOpen(_ node: NodeID) -> Bool { peerIndex(node).map { peers[$0].isOpen } ?? false }

  /// Puts a message into the peer's outbox; without an open link it is dropped, as the network may do at any time.
  func send(_ message: PeerMessage, to node: NodeID) {
    guard let index = peerIndex(node), peers[index].isOpen else { return }
    guard peers[index].outbox.bytes < settings.limits.outboxBytesMax else { return }
    peers[index].outbox.append(message, payloadBytes: settings.limits.payloadBytes)
  }

  func sendOutboxes() {
    for index in peers.indices where !peers[index].outbox.isEmpty {
      let node = peers[index].node
      peers[index].takePayloads(boot: boot) { effects.sends.append((node, $0)) }
    }
  }

  func linkOpened(_ node: NodeID) {
    guard let index = peerIndex(node) else { return }
    peers[index].isOpen = true
    peers[index].opened += 1
    peers[index].sent = 0
    routeWaiting()
  }

  func linkClosed(_ node: NodeID) {
    guard let index = peerIndex(node) else { return }
    peers[index].isOpen = false
    peers[index].outbox.clear()
    abandonForwards(to: node)
    statusPeerLost(node)
    guard fault == nil else { return }
    for member in replica.raft.configuration.peers(of: settings.me) where member.node == node {
      stepRaft(.unreachable(member))
    }
  }

  func received(_ payload: [UInt8], from node: NodeID) {
    guard isOpen, let index = peerIndex(node) else { return }
    do throws(DecodeError) {
      let envelope = try PayloadEnvelope(payload)
      let isNew = peers[index].received.accept(envelope)
      for message in try PeerMessage.decodeAll(payload, from: PayloadEnvelope.byteCount) {
        // Raft's messages may come twice; a client's request must not.
        if isNew || message.mayRepeat { handle(message, from: node) }
        #if PLANTED_BUGS
          if PlantedBug.forwardTwice.isPlanted, !isNew, !message.mayRepeat { handle(message, from: node) }
        #endif
      }
    } catch {
      statistics.payloadsUndecodable += 1
      effects.notices.append(.undecodable(from: node, error.message))
    }
  }

  private func handle(_ message: PeerMessage, from node: NodeID) {
    if fault != nil {
      // A node that failed still says so to whoever asks; it does nothing else.
      if case .statusRequest(let id) = message { send(.statusReply(id: id, ownStatus()), to: node) }
      return
    }
    switch message {
    case .raft(let raft):
      // The link says who speaks; a message in another's name is not that node's.
      guard raft.from.node == node, raft.to == settings.me, raft.shard == replica.shard else { return }
      if raft.carriesEntries { noteRoom() }
      if raft.tellsOfLittleRoom { room.votersAt = .zero }
      stepRaft(.received(raft))
    case .forward(let id, let remaining, let operation):
      receivedForward(id: id, remaining: remaining, operation, from: node)
    case .forwardReply(let id, let outcome): receivedForwardReply(id: id, outcome, from: node)
    case .statusRequest(let id): send(.statusReply(id: id, ownStatus()), to: node)
    case .statusReply(let id, let status): receivedStatus(id: id, status, from: node)
    }
  }
}
