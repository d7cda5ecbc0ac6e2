import CNghttp2
import Primitives

/// What a client's HTTP/2 connection may cost.
package struct HTTP2ClientLimits: Sendable, Equatable {
  /// Requests that are open or wait for the server's leave (its SETTINGS_MAX_CONCURRENT_STREAMS), in all.
  package var requestsMax = 4096
  package var headerBytesMax = 64 << 10
  /// Body of an answer that is not streamed; beyond, the request fails.
  package var bodyBytesMax = 64 << 20
  package var streamWindowBytes = 1 << 20
  package var connectionWindowBytes = 16 << 20
  package var turnOutputBytes = 256 << 10

  package init() {}
}

/// A client's end of one HTTP/2 connection, on memory: many requests at once.
///
///     head.request(.put, authority: "127.0.0.1:7101", path: "/v1/tables/t/rows/1")
///     let handle = session.submit(head, body: bytes)
///     session.produce(into: output)
///     session.receive(plaintext)
///     while let event = session.nextEvent() { … session.response(handle) … session.release(handle) }
///
/// **Invariants.** Each submitted request ends in exactly one of `.response` and `.failed`. Its handle is valid until `release`.
/// Requests beyond the server's limit wait inside nghttp2, in order. A failure says whether the server can have seen the
/// request: only what it certainly has not may be repeated blindly.
package final class HTTP2ClientSession {
  package enum Event: Equatable, Sendable {
    /// The answer is here, all of it (trailers too).
    case response(StreamHandle)
    /// Of a streamed request: the head of the answer.
    case head(StreamHandle)
    /// Of a streamed request: more body, in `response(handle).body`; give it back by `consume`.
    case body(StreamHandle)
    case failed(StreamHandle, Failure)
    /// The server accepts no further request on this connection; open ones go on.
    case draining
  }

  package struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    /// RFC 9113, section 7.
    package let code: UInt32
    /// The server has certainly not processed it (REFUSED_STREAM, behind its GOAWAY, never sent).
    package let isUnprocessed: Bool

    package var description: String {
      "HTTP/2 stream: \(String(cString: nghttp2_http2_strerror(code)))\(isUnprocessed ? ", not processed" : "")"
    }
  }

  package let limits: HTTP2ClientLimits
  /// Why the connection is of no more use.
  @exclusivity(unchecked) package internal(set) var failure: String?
  @exclusivity(unchecked) package internal(set) var isDraining = false

  let slab: Slab<ExchangeSlot>
  let session: OpaquePointer
  @exclusivity(unchecked) var events: [Event] = []
  @exclusivity(unchecked) var eventsTaken = 0

  package init(limits: HTTP2ClientLimits = HTTP2ClientLimits()) {
    self.limits = limits
    slab = Slab(slotsMax: limits.requestsMax)
    session = makeClientSession()
    nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
    var entries = [
      setting(NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
      setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindowBytes),
      setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headerBytesMax),
      setting(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
    ]
    let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
    let code = nghttp2_submit_settings(session, none, &entries, entries.count)
    let window = nghttp2_session_set_local_window_size(session, none, 0, Int32(limits.connectionWindowBytes))
    precondition(code == 0 && window == 0, "a new session takes its settings")
  }

  deinit { nghttp2_session_del(session) }

  // MARK: requests

  /// Sends a request (with the next `produce`); `head` was begun by `request`. The body is copied. Nil when there are
  /// `requestsMax` already, or the connection takes no more. `streamed`: the answer is told as it comes.
  package func submit(
    _ head: HeaderBlock, body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    streamed: Bool = false
  ) -> StreamHandle? {
    guard failure == nil, !isDraining, let slot = slab.take() else { return nil }
    slot.pointee.begin(streamed: streamed)
    if body.count > 0, let base = body.baseAddress {
      head.add("content-length", UInt64(body.count))
      slot.pointee.out.append(base, body.count)
    }
    var provider = nghttp2_data_provider()
    provider.source.ptr = UnsafeMutableRawPointer(slot)
    provider.read_callback = readRequestBody
    let id =
      body.count > 0
      ? nghttp2_submit_request(session, nil, head.resolved(), head.count, &provider, slot)
      : nghttp2_submit_request(session, nil, head.resolved(), head.count, nil, slot)
    guard id > 0 else {
      isDraining = true  // the numbers of streams are used up
      slab.give(slot)
      return nil
    }
    slot.pointee.streamID = id
    return slot.pointee.handle
  }

  /// Nil when it was released.
  package func response(_ handle: StreamHandle) -> ResponseView? {
    slab.find(handle).map { ResponseView(slot: UnsafePointer($0)) }
  }

  /// Of a streamed answer: the first `count` bytes of the body have been used.
  package func consume(_ handle: StreamHandle, _ count: Int) {
    guard let slot = slab.find(handle) else { return }
    precondition(count <= slot.pointee.body.count, "no more is consumed than is there")
    slot.pointee.body.dropFirst(count)
  }

  /// Forgets a request; one that is still open is cancelled. The handle becomes stale, no event follows.
  package func release(_ handle: StreamHandle) {
    guard let slot = slab.find(handle) else { return }
    if !slot.pointee.flags.contains(.closed) {
      let id = slot.pointee.streamID
      slot.pointee.flags.insert(.released)
      nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, NGHTTP2_CANCEL.rawValue)
      return
    }
    slab.give(slot)
  }

  /// Requests that are open, and answers that were not released.
  package var openRequests: Int { slab.used }

  // MARK: input and output

  package func receive(_ bytes: UnsafeRawBufferPointer) {
    guard failure == nil, bytes.count > 0 else { return }
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let code = nghttp2_session_mem_recv(session, start, bytes.count)
    if code < 0 { connectionEnded("HTTP/2: " + String(cString: nghttp2_strerror(Int32(code)))) }
  }

  package func nextEvent() -> Event? {
    while eventsTaken < events.count {
      let event = events[eventsTaken]
      eventsTaken += 1
      switch event {
      case .draining: return event
      case .response(let handle), .head(let handle), .body(let handle), .failed(let handle, _):
        if let slot = slab.find(handle), !slot.pointee.flags.contains(.released) { return event }
      }
    }
    events.removeAll(keepingCapacity: true)
    eventsTaken = 0
    return nil
  }

  /// Appends the frames that are due. True: there is more.
  @discardableResult package func produce(into output: OutputBuffer) -> Bool {
    guard failure == nil else { return false }
    let limit = output.count + limits.turnOutputBytes
    while output.count < limit {
      var bytes: UnsafePointer<UInt8>?
      let count = nghttp2_session_mem_send(session, &bytes)
      if count == 0 { return false }
      guard count > 0, let bytes else {
        connectionEnded("HTTP/2: " + String(cString: nghttp2_strerror(Int32(count))))
        return false
      }
      output.append(bytes, count)
    }
    return true
  }

  package var wantsOutput: Bool { failure == nil && nghttp2_session_want_write(session) != 0 }

  package var isFinished: Bool {
    failure != nil || nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
  }

  /// The connection is gone: every open request fails. Those whose HEADERS never left are unprocessed.
  package func connectionEnded(_ reason: String = "the connection has ended") {
    guard failure == nil else { return }
    failure = reason
    let next = nghttp2_session_get_next_stream_id(session)
    var open: [UnsafeMutablePointer<ExchangeSlot>] = []
    slab.forEach { if !$0.pointee.flags.contains(.closed) { open.append($0) } }
    for slot in open {
      let isUnsent = !slot.pointee.flags.contains(.sent) || UInt32(slot.pointee.streamID) >= next
      close(slot, code: NGHTTP2_CANCEL.rawValue, isUnprocessed: isUnsent)
    }
  }
}
