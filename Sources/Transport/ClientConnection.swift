import Primitives

/// A connection that we opened to a node's HTTP/2: TLS or plain, and a client session on it.
///
///     connection.start(); loop: takeOutput → send → didSend; receive(bytes); nextEvent …
///
/// Requests may be submitted at once: they leave when the handshake is done.
package final class ClientConnection {
  package enum Event: Equatable, Sendable {
    /// The handshake is done (in plain text: at once).
    case opened
    case http2(HTTP2ClientSession.Event)
    /// Of no more use; every open request has failed before this.
    case failed(Failure)
    case ended
  }

  package enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    case tls(TLSFailure)
    case http2(String)

    package var description: String {
      switch self {
      case .tls(let failure): failure.text
      case .http2(let text): text
      }
    }
  }

  package let http2: HTTP2ClientSession
  private let channel: Channel
  private let scratch: TransportScratch
  private let output = OutputPair()
  @exclusivity(unchecked) private var events: [Event] = []
  @exclusivity(unchecked) private var eventsTaken = 0
  @exclusivity(unchecked) private var isOpen = false
  @exclusivity(unchecked) private var isOver = false

  /// `context` nil: plain text.
  package init(
    _ context: TLSContext?, expecting expectation: Channel.Expectation = .anyNode, scratch: TransportScratch,
    limits: HTTP2ClientLimits = HTTP2ClientLimits()
  ) {
    channel = context.map { Channel($0, expecting: expectation) } ?? Channel()
    self.scratch = scratch
    http2 = HTTP2ClientSession(limits: limits)
  }

  /// The server's certificate, once opened.
  package var identity: PeerIdentity { channel.identity }

  /// The socket is connected: the first flight is put out.
  package func start() {
    channel.start(output: output.filling)
    noteState()
  }

  package func receive(_ bytes: UnsafeRawBufferPointer) {
    if isOver { return }
    let plaintext = channel.receive(bytes, scratch: scratch.plaintext, output: output.filling)
    noteState()
    if plaintext.count > 0 { http2.receive(plaintext) }
    switch channel.state {
    case .failed(let failure): end(.failed(.tls(failure)), failure.text)
    case .ended: end(.ended, "the server has ended the connection")
    case .handshaking, .open: break
    }
  }

  /// The socket gave an end or an error.
  package func inputEnded(_ reason: String = "the connection has ended") { end(.ended, reason) }

  package func nextEvent() -> Event? {
    if let event = http2.nextEvent() { return .http2(event) }
    if eventsTaken < events.count {
      eventsTaken += 1
      return events[eventsTaken - 1]
    }
    events.removeAll(keepingCapacity: true)
    eventsTaken = 0
    if let failure = http2.failure, !isOver {
      isOver = true
      return .failed(.http2(failure))
    }
    return nil
  }

  /// The bytes to send now; nil when there are none or the last are on their way. Valid until `didSend`.
  package func takeOutput() -> UnsafeRawBufferPointer? {
    if output.isSending { return nil }
    if isOpen, channel.state == .open { produce() }
    return output.take()
  }

  package func didSend(_ count: Int) -> UnsafeRawBufferPointer? { output.didSend(count) }

  /// Says goodbye; close when the output has been sent.
  package func finish() {
    channel.finish(output: output.filling)
    end(.ended, "closed by us")
  }

  package var isFinished: Bool { output.isEmpty && (isOver || http2.isFinished) }

  private func produce() {
    guard channel.isSecure else {
      http2.produce(into: output.filling)
      return
    }
    scratch.frames.removeAll()
    http2.produce(into: scratch.frames)
    channel.send(scratch.frames.bytes, output: output.filling)
  }

  private func noteState() {
    guard !isOpen, channel.state == .open else { return }
    if channel.isSecure, channel.selectedProtocol != .http2 {
      let failure = TLSFailure(.noCommonProtocol, "the server does not speak HTTP/2")
      return end(.failed(.tls(failure)), failure.text)
    }
    isOpen = true
    events.append(.opened)
  }

  private func end(_ event: Event, _ reason: String) {
    if isOver { return }
    isOver = true
    http2.connectionEnded(reason)
    events.append(event)
  }
}
