import Node
import Primitives
import Transport

/// The links that other nodes opened to this one: payloads come in on them, nothing but greetings and pongs goes out.
///
/// A node is believed by its certificate (cluster and node in its URI, checked by Transport against the node authority); its
/// hello must say the same. The newest link of a node counts: an older one is a leftover and is ended.
package final class PeerArrivals {
  private let hello: Hello
  private let clusterID: String
  private let peers: [NodeID]
  private let node: Node
  private let inbox: Inbox
  /// Number of the connection on which each node speaks.
  private var speaking: [NodeID: UInt64] = [:]
  private(set) var refused: UInt64 = 0
  private(set) var payloads: UInt64 = 0

  package init(hello: Hello, clusterID: String, peers: [NodeID], node: Node, inbox: Inbox) {
    self.hello = hello
    self.clusterID = clusterID
    self.peers = peers
    self.node = node
    self.inbox = inbox
  }

  var count: Int { speaking.count }

  /// The handshake is done: is this a node of ours?
  func opened(_ connection: Connection, _ clients: Clients) {
    guard connection.transport.isSecure else { return }
    guard case .node(let cluster, let id, let serial, _) = connection.transport.identity else {
      return refuse(connection, clients, "it has no node certificate")
    }
    guard cluster == clusterID else {
      return refuse(connection, clients, "its certificate is of the cluster \(cluster)")
    }
    guard peers.contains(id) else { return refuse(connection, clients, "\(id) is no peer of this node") }
    if node.isRevoked(.certificate, serial: serial) {
      return refuse(connection, clients, "the certificate of \(id) was revoked")
    }
  }

  func takeFrames(_ connection: Connection, _ clients: Clients) {
    while !connection.isEnding, let frame = connection.transport.nextFrame() {
      do throws(DecodeError) {
        guard let kind = LinkFrame.kind(of: frame) else { throw .invalid("a frame of an unknown kind") }
        try take(kind, LinkFrame.body(of: frame), connection, clients)
      } catch { refuse(connection, clients, error.message) }
    }
  }

  private func take(
    _ kind: LinkFrame.Kind, _ body: UnsafeRawBufferPointer, _ connection: Connection, _ clients: Clients
  ) throws(DecodeError) {
    guard let peer = connection.peer else {
      guard kind == .hello else { throw .invalid("its first frame is no hello") }
      return try greet(try Hello(decoding: body), connection, clients)
    }
    switch kind {
    case .ping: [LinkFrame.Kind.pong.rawValue].withUnsafeBytes { connection.transport.sendFrame($0) }
    case .hello, .pong: throw .invalid("a frame out of its place")
    case .payload, .part, .lastPart:
      guard let payload = try connection.peerReader.take(kind, body) else { return }
      payloads += 1
      inbox.put(.received(from: peer, payload: payload))
    }
  }

  private func greet(_ theirs: Hello, _ connection: Connection, _ clients: Clients) throws(DecodeError) {
    guard theirs.cluster == hello.cluster else { throw .invalid("it is of the cluster \(hexadecimal(theirs.cluster))") }
    guard theirs.to == hello.node else { throw .invalid("it looks for \(theirs.to), this is \(hello.node)") }
    guard peers.contains(theirs.node) else { throw .invalid("\(theirs.node) is no peer of this node") }
    if case .node(_, let id, _, _) = connection.transport.identity, id != theirs.node {
      throw .invalid("its certificate is that of \(id), its hello that of \(theirs.node)")
    }
    connection.isOpened = true
    connection.peer = theirs.node
    if let older = speaking.updateValue(connection.number, forKey: theirs.node) { clients.endConnection(older) }
    hello.encoded(to: theirs.node).withUnsafeBytes { connection.transport.sendFrame($0) }
    clients.log.info("a peer connected", metadata: ["peer": "\(theirs.node)", "boot": "\(theirs.boot)"])
  }

  func ended(_ peer: NodeID, _ connection: UInt64) {
    if speaking[peer] == connection { speaking[peer] = nil }
  }

  private func refuse(_ connection: Connection, _ clients: Clients, _ reason: String) {
    refused += 1
    clients.say(.warning, "a peer's connection was refused", ["reason": "\(reason)"])
    connection.transport.finish()
    clients.markDirty(connection)
  }
}

extension Clients {
  /// Ends the connection with this number, if it is still there.
  func endConnection(_ number: UInt64) {
    for case let connection? in connections where connection.number == number { end(connection) }
  }
}
