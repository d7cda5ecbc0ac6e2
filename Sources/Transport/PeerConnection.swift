import Primitives

/// A connection that we opened to another node: `filestore-peer/1` over mutual TLS, or plain.
package final class PeerConnection {
  package enum Event: Equatable, Sendable {
    case opened
    /// Take frames by `nextFrame` until it gives nil, before anything else.
    case frames
    case failed(Failure)
    case ended
  }

  package enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    case tls(TLSFailure)
    case frame(PeerFrameError)

    package var description: String {
      switch self {
      case .tls(let failure): failure.text
      case .frame(let error): error.description
      }
    }
  }

  private let channel: Channel
  private let scratch: TransportScratch
  private let output = OutputPair()
  private let reader = PeerFrameReader()
  private let writer = PeerFrameWriter()
  @exclusivity(unchecked) private var events: [Event] = []
  @exclusivity(unchecked) private var eventsTaken = 0
  @exclusivity(unchecked) private var isOpen = false
  @exclusivity(unchecked) private var isOver = false

  /// `context` (speaks `.peer`) nil: plain text.
  package init(_ context: TLSContext?, expecting expectation: Channel.Expectation, scratch: TransportScratch) {
    channel = context.map { Channel($0, expecting: expectation) } ?? Channel()
    self.scratch = scratch
  }

  package var identity: PeerIdentity { channel.identity }

  package func start() {
    channel.start(output: output.filling)
    if !channel.isSecure { output.filling.append(PeerProtocol.preface) }
    noteState()
  }

  package func receive(_ bytes: UnsafeRawBufferPointer) {
    if isOver { return }
    let plaintext = channel.receive(bytes, scratch: scratch.plaintext, output: output.filling)
    noteState()
    if plaintext.count > 0 {
      reader.receive(plaintext)
      events.append(.frames)
    }
    switch channel.state {
    case .failed(let failure): end(.failed(.tls(failure)))
    case .ended: end(.ended)
    case .handshaking, .open: break
    }
  }

  package func inputEnded() { end(.ended) }

  package func nextEvent() -> Event? {
    if eventsTaken < events.count {
      eventsTaken += 1
      return events[eventsTaken - 1]
    }
    events.removeAll(keepingCapacity: true)
    eventsTaken = 0
    return nil
  }

  package func nextFrame() -> UnsafeRawBufferPointer? {
    do throws(PeerFrameError) { return try reader.next() } catch {
      end(.failed(.frame(error)))
      return nil
    }
  }

  /// Sends a frame; it leaves with the next `takeOutput`. Dropped before `.opened` and after the end.
  package func sendFrame(_ payload: UnsafeRawBufferPointer) {
    guard isOpen, !isOver else { return }
    writer.append(payload)
  }

  package func takeOutput() -> UnsafeRawBufferPointer? {
    if output.isSending { return nil }
    writer.flush(channel, output: output.filling)
    return output.take()
  }

  package func didSend(_ count: Int) -> UnsafeRawBufferPointer? { output.didSend(count) }
  /// Bytes that wait to be sent: a slow peer shows here.
  package var outputBytes: Int { output.count + writer.count }

  package func finish() {
    writer.flush(channel, output: output.filling)
    channel.finish(output: output.filling)
    end(.ended)
  }

  package var isFinished: Bool { output.isEmpty && isOver }

  private func noteState() {
    guard !isOpen, channel.state == .open else { return }
    if channel.isSecure, channel.selectedProtocol != .peer {
      return end(.failed(.tls(TLSFailure(.noCommonProtocol, "the server does not speak filestore-peer/1"))))
    }
    isOpen = true
    events.append(.opened)
  }

  private func end(_ event: Event) {
    if isOver { return }
    isOver = true
    events.append(event)
  }
}
