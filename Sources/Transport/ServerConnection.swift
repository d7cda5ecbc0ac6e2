import Primitives

/// Buffers that all connections of a thread share: each holds something only during one call.
package final class TransportScratch {
  package let plaintext = OutputBuffer(capacity: 64 << 10)
  package let frames = OutputBuffer(capacity: 64 << 10)
  package init() {}
}

/// An accepted connection, from its first byte: TLS or plain, then HTTP/2, a probe's HTTP/1.1, or another node.
///
///     connection.receive(bytes, at: now)
///     while let event = connection.nextEvent() { … }
///     if let bytes = connection.takeOutput() { ring.send(…) }     // later: connection.didSend(count) → the rest, or nil
///     if connection.isFinished { shut down sending; read and drop until the other side ends, a second at most; close }
///
/// What it is turns out by ALPN; without, and in plain text, by the first bytes. HTTP on the TLS port gets its 400 in plain text.
package final class ServerConnection {
  package enum Event: Equatable, Sendable {
    /// It is known what this connection speaks, and `identity` is valid.
    case opened(ApplicationProtocol)
    /// HTTP/2: `http2` is there to ask and answer.
    case http2(HTTP2ServerSession.Event)
    /// HTTP/1.1: answer by `answerProbe`.
    case http1(HTTP1Probe.Request)
    /// Frames of another node may have come: take them by `nextFrame` until it gives nil, before anything else.
    case frames
    /// The connection is of no more use. Send what is there (an alert, a GOAWAY, a line of text), then close.
    case failed(Failure)
    /// The other side has ended it, cleanly.
    case ended
  }

  package enum Failure: Error, Equatable, Sendable, CustomStringConvertible {
    case tls(TLSFailure)
    case http2(String)
    case frame(PeerFrameError)
    /// A plain connection that speaks none of our protocols.
    case unknownProtocol

    package var description: String {
      switch self {
      case .tls(let failure): failure.text
      case .http2(let text): text
      case .frame(let error): error.description
      case .unknownProtocol: "the connection speaks neither HTTP nor filestore-peer/1"
      }
    }
  }

  enum Kind {
    case undecided
    case http2(HTTP2ServerSession)
    case http1(HTTP1Probe)
    case peer(PeerFrameReader, PeerFrameWriter)
    case over
  }

  let channel: Channel
  let output = OutputPair()
  private let scratch: TransportScratch
  private let limits: HTTP2Limits
  private let budget: BodyBudget
  @exclusivity(unchecked) private var kind = Kind.undecided
  /// The first bytes, while they could still be more than one thing.
  private var opening: [UInt8] = []
  @exclusivity(unchecked) private var events: [Event] = []
  @exclusivity(unchecked) private var eventsTaken = 0
  @exclusivity(unchecked) private var closesAfterOutput = false

  /// `context` nil: plain text.
  package init(
    _ context: TLSContext?, scratch: TransportScratch, limits: HTTP2Limits = HTTP2Limits(), budget: BodyBudget
  ) {
    channel = context.map { Channel($0) } ?? Channel()
    self.scratch = scratch
    self.limits = limits
    self.budget = budget
  }

  /// Who is at the other end; `.none` before `.opened`, and in plain text.
  package var identity: PeerIdentity { channel.identity }
  package var isSecure: Bool { channel.isSecure }

  /// The session, when it is HTTP/2.
  package var http2: HTTP2ServerSession? {
    if case .http2(let session) = kind { return session }
    return nil
  }

  // MARK: input

  /// Takes all of the bytes; then take the events and frames, before the bytes go.
  package func receive(_ bytes: UnsafeRawBufferPointer, at now: Instant) {
    if closesAfterOutput { return }
    let plaintext = channel.receive(bytes, scratch: scratch.plaintext, output: output.filling)
    if case .undecided = kind, channel.state == .open { decideByProtocol() }
    if plaintext.count > 0 { route(plaintext, at: now) }
    switch channel.state {
    case .failed(let failure):
      if failure.cause == .notTLS { explainTLS() }
      fail(.tls(failure))
    case .ended: end(.ended)
    case .handshaking, .open: break
    }
  }

  /// The socket gave an end (0 bytes) or an error. HTTP/2's announced streams are reported closed.
  package func inputEnded() {
    http2?.connectionEnded()
    if !closesAfterOutput { end(.ended) }
  }

  package func nextEvent() -> Event? {
    if eventsTaken < events.count {
      eventsTaken += 1
      return events[eventsTaken - 1]
    }
    events.removeAll(keepingCapacity: true)
    eventsTaken = 0
    guard case .http2(let session) = kind else { return nil }
    if let event = session.nextEvent() { return .http2(event) }
    guard let failure = session.failure, !closesAfterOutput else { return nil }
    produce(session)
    end(.failed(.http2(failure)))
    return nextEvent()
  }

  /// The next frame of another node; valid until the next call or `receive`.
  package func nextFrame() -> UnsafeRawBufferPointer? {
    guard case .peer(let reader, _) = kind else { return nil }
    do throws(PeerFrameError) { return try reader.next() } catch {
      fail(.frame(error))
      return nil
    }
  }

  private func decideByProtocol() {
    switch channel.selectedProtocol {
    case .http2: become(.http2(HTTP2ServerSession(limits: limits, budget: budget)), .http2)
    case .http1: become(.http1(HTTP1Probe()), .http1)
    case .peer: become(.peer(PeerFrameReader(), PeerFrameWriter()), .peer)
    case nil: break
    }
  }

  private func become(_ kind: Kind, _ name: ApplicationProtocol) {
    self.kind = kind
    events.append(.opened(name))
  }

  private func route(_ plaintext: UnsafeRawBufferPointer, at now: Instant) {
    switch kind {
    case .undecided: decideByBytes(plaintext, at: now)
    case .http2(let session): session.receive(plaintext, at: now)
    case .http1(let probe):
      if let request = probe.receive(plaintext) { events.append(.http1(request)) }
    case .peer(let reader, _):
      reader.receive(plaintext)
      events.append(.frames)
    case .over: break
    }
  }

  /// Compares the first bytes with the prefaces; goes on collecting as long as one of them may still come.
  private func decideByBytes(_ plaintext: UnsafeRawBufferPointer, at now: Instant) {
    opening.append(contentsOf: plaintext.prefix(64))
    let rest = plaintext.dropFirst(min(64, plaintext.count))
    if let extra = match(http2Preface) {
      if extra == nil { return }
      become(.http2(HTTP2ServerSession(limits: limits, budget: budget)), .http2)
      feedOpening(from: 0, rest, at: now)
    } else if !channel.isSecure, let extra = match(PeerProtocol.preface) {
      guard let extra else { return }
      become(.peer(PeerFrameReader(), PeerFrameWriter()), .peer)
      feedOpening(from: extra, rest, at: now)
    } else {
      become(.http1(HTTP1Probe()), .http1)
      feedOpening(from: 0, rest, at: now)
    }
  }

  /// nil: something else. .some(nil): maybe, more bytes will tell. Otherwise: the offset behind the preface.
  private func match(_ preface: StaticString) -> Int?? {
    let count = min(opening.count, preface.utf8CodeUnitCount)
    for i in 0..<count where opening[i] != preface.utf8Start[i] { return nil }
    return .some(count == preface.utf8CodeUnitCount ? count : nil)
  }

  private func feedOpening(from offset: Int, _ rest: Slice<UnsafeRawBufferPointer>, at now: Instant) {
    // One block, since a frame reader keeps pointing at what it was given until it is drained. A buffer that nobody
    // changes meanwhile: `rest` lies in the other one under TLS, and in neither otherwise.
    let block = channel.isSecure ? scratch.frames : scratch.plaintext
    block.removeAll()
    opening.withUnsafeBytes { block.append(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
    block.append(UnsafeRawBufferPointer(rebasing: rest))
    opening = []
    if !block.isEmpty { route(block.bytes, at: now) }
  }

  // MARK: output

  /// Sends a frame to another node. It leaves with the next `takeOutput`.
  package func sendFrame(_ payload: UnsafeRawBufferPointer) {
    guard case .peer(_, let writer) = kind, !closesAfterOutput else { return }
    writer.append(payload)
  }

  /// Answers a request of HTTP/1.1; the connection ends with it.
  package func answerProbe(
    status: Int, reason: StaticString, contentType: StaticString = "text/plain; charset=utf-8", body: [UInt8],
    withBody: Bool = true
  ) {
    guard case .http1 = kind else { return }
    scratch.frames.removeAll()
    body.withUnsafeBytes {
      HTTP1Probe.answer(
        status: status, reason: reason, contentType: contentType, body: $0, withBody: withBody, into: scratch.frames)
    }
    channel.send(scratch.frames.bytes, output: output.filling)
    finish()
  }

  /// The bytes to send now, nil when there are none or when the last are still on their way. Valid until `didSend`.
  package func takeOutput() -> UnsafeRawBufferPointer? {
    if output.isSending { return nil }
    flush()
    return output.take()
  }

  private func flush() {
    switch kind {
    case .http2(let session): produce(session)
    case .peer(_, let writer): writer.flush(channel, output: output.filling)
    case .undecided, .http1, .over: break
    }
  }

  /// All frames of the turn become one TLS record, or as many as it takes.
  private func produce(_ session: HTTP2ServerSession) {
    guard channel.isSecure else {
      session.produce(into: output.filling)
      return
    }
    scratch.frames.removeAll()
    session.produce(into: scratch.frames)
    channel.send(scratch.frames.bytes, output: output.filling)
  }

  /// Tells that bytes have been sent; returns the rest of them if the kernel took fewer.
  package func didSend(_ count: Int) -> UnsafeRawBufferPointer? { output.didSend(count) }

  /// Bytes that wait to be sent: a slow reader shows here.
  package var outputBytes: Int {
    if case .peer(_, let writer) = kind { return output.count + writer.count }
    return output.count
  }

  /// Gives back what a connection at rest does not need.
  package func releaseSpare() {
    output.releaseSpare()
    http2?.releaseSpare()
  }

  /// Of memory, in buffers of its own.
  package var heldBytes: Int { output.heldBytes }

  // MARK: the end

  /// Ends it in order: close_notify behind what is there.
  package func finish() {
    flush()
    channel.finish(output: output.filling)
    closesAfterOutput = true
  }

  /// Nothing is left to be sent. Shut down sending and read on for a moment before closing: a socket closed with bytes unread
  /// sends a reset, and that may overtake the alert or the GOAWAY that tells the client what was wrong.
  package var isFinished: Bool {
    if !output.isEmpty { return false }
    if case .http2(let session) = kind { return session.isFinished || closesAfterOutput && !session.wantsOutput }
    return closesAfterOutput
  }

  private func fail(_ failure: Failure) { end(.failed(failure)) }

  private func end(_ event: Event) {
    if closesAfterOutput { return }
    closesAfterOutput = true
    events.append(event)
    http2?.connectionEnded()
  }

  private func explainTLS() {
    let text: StaticString = "This port speaks TLS: use https://\n"
    let body = UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
    HTTP1Probe.answer(status: 400, reason: "Bad Request", body: body, into: output.filling)
  }
}

let http2Preface: StaticString = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
