import CNghttp2
import Primitives

/// A server's end of one HTTP/2 connection, on memory.
///
///     session.receive(plaintext, at: now)
///     while let event = session.nextEvent() { … session.respond(handle, head, body: bytes) … }
///     session.produce(into: output)                 // all frames of the turn
///
/// **How it works.** nghttp2 parses and makes frames; its callbacks fill slots of a slab (`StreamSlot`) and append events. A request is
/// announced when all of it has come; its parts are byte ranges in the slot, so no String, Dictionary or object is made for
/// it. A handle names the stream; it goes stale when the stream is closed, and every call with a stale one answers false.
///
/// **Invariants.** What was announced (`.request`, `.refused`) is either answered by the caller, or reported `.closed`, never both.
/// Events come in the order of the frames. Streams, header bytes, bodies, and frames that cost the sender nothing are limited
/// (`HTTP2Limits`); the connection of a flooder ends by GOAWAY with ENHANCE_YOUR_CALM (CVE-2023-44487 and its kin).
///
/// **What it does not do.** No paths, no deadlines of its own: see `expireIncomplete` for clients that never finish a request.
package final class HTTP2ServerSession {
  package enum Event: Equatable, Sendable {
    /// All of the request is here: `request(handle)`.
    case request(StreamHandle)
    /// The request cannot be taken; answer it (413, 429, 431). The rest of its body is thrown away.
    case refused(StreamHandle, Refusal)
    /// An announced stream has ended before its answer was finished: by the client (error code of RFC 9113, section 7), or
    /// with the connection. The handle is stale; drop the work if nobody else wants it.
    case closed(StreamHandle, error: UInt32)
    /// A streamed answer's buffer has become small again: write on.
    case drained(StreamHandle)
  }

  package enum Refusal: Equatable, Sendable {
    case headersTooLarge
    case bodyTooLarge
    /// The budget for bodies of all connections is used up.
    case overBudget
  }

  package struct Counters: Equatable, Sendable {
    package var requests: UInt64 = 0
    package var resetsReceived: UInt64 = 0
    package var refused: UInt64 = 0
  }

  package let limits: HTTP2Limits
  @exclusivity(unchecked) package internal(set) var counters = Counters()
  /// Why the connection must end, in words for the log; the output may still hold a GOAWAY.
  @exclusivity(unchecked) package internal(set) var failure: String?

  let budget: BodyBudget
  let slab: Slab<StreamSlot>
  let session: OpaquePointer
  @exclusivity(unchecked) var events: [Event] = []
  @exclusivity(unchecked) var eventsTaken = 0
  @exclusivity(unchecked) var flood: FloodGuard
  @exclusivity(unchecked) var now: Instant = .zero
  var isDraining = false
  @exclusivity(unchecked) var owesGoAway = false
  @exclusivity(unchecked) var hasEnded = false

  package init(limits: HTTP2Limits = HTTP2Limits(), budget: BodyBudget) {
    limits.check()
    self.limits = limits
    self.budget = budget
    slab = Slab(slotsMax: limits.streamsMax + 16)
    flood = FloodGuard(limits)
    session = makeServerSession(limits)
    setUserData()
    sendSettings()
  }

  deinit {
    nghttp2_session_del(session)
    slab.forEach { [budget] slot in budget.give(slot.pointee.body.count) }
  }

  /// Replaces the placeholder that nghttp2 was made with: `self` did not exist then.
  private func setUserData() {
    nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
  }

  private func sendSettings() {
    var entries = [
      setting(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streamsMax),
      setting(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindowBytes),
      setting(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headerBytesMax),
      setting(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
    ]
    let code = nghttp2_submit_settings(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), &entries, entries.count)
    let window = nghttp2_session_set_local_window_size(
      session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(limits.connectionWindowBytes))
    precondition(code == 0 && window == 0, "a new session takes its settings")
  }

  /// Free streams give back their memory.
  func releaseSpare() { slab.releaseSpare() }

  // MARK: input

  /// Takes all of the bytes. Afterwards take the events, then produce. `now` is the time of this turn.
  package func receive(_ bytes: UnsafeRawBufferPointer, at now: Instant) {
    guard failure == nil, bytes.count > 0 else { return }
    self.now = now
    flood.refill(at: now)
    let start = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
    let code = nghttp2_session_mem_recv(session, start, bytes.count)
    if code < 0, failure == nil { failure = "HTTP/2: " + String(cString: nghttp2_strerror(Int32(code))) }
  }

  /// The next event; nil when all have been taken. `produce` may make `.drained` and `.closed` ones too.
  package func nextEvent() -> Event? {
    while eventsTaken < events.count {
      let event = events[eventsTaken]
      eventsTaken += 1
      if isDeliverable(event) { return event }
    }
    events.removeAll(keepingCapacity: true)
    eventsTaken = 0
    return nil
  }

  /// A stream that has gone before anybody heard of it is not spoken of.
  private func isDeliverable(_ event: Event) -> Bool {
    switch event {
    case .request(let handle), .refused(let handle, _):
      guard let slot = slab.find(handle), !slot.pointee.flags.contains(.delivered) else { return false }
      slot.pointee.flags.insert(.delivered)
      return true
    case .drained(let handle): return slab.find(handle) != nil
    case .closed: return true
    }
  }

  /// Nil when the stream has gone.
  package func request(_ handle: StreamHandle) -> RequestView? {
    slab.find(handle).map { RequestView(slot: UnsafePointer($0)) }
  }

  package func isOpen(_ handle: StreamHandle) -> Bool { slab.find(handle) != nil }

  // MARK: output

  /// Appends the frames that are due, up to the limit of a turn. True: there is more; call again when this has been sent.
  @discardableResult package func produce(into output: OutputBuffer) -> Bool {
    if hasEnded { return false }
    var limit = output.count + limits.turnOutputBytes
    if owesGoAway {
      sayGoAway()
      limit = .max
    }
    while output.count < limit {
      var bytes: UnsafePointer<UInt8>?
      let count = nghttp2_session_mem_send(session, &bytes)
      if count == 0 { return false }
      guard count > 0, let bytes else {
        failure = failure ?? "HTTP/2: " + String(cString: nghttp2_strerror(Int32(count)))
        return false
      }
      output.append(bytes, count)
    }
    return true
  }

  package var wantsOutput: Bool { owesGoAway || nghttp2_session_want_write(session) != 0 }

  /// Nothing will come or go any more: close the connection once the output is sent.
  package var isFinished: Bool {
    hasEnded || nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
  }

  /// Streams that are open.
  package var openStreams: Int { slab.used }

  // MARK: ending

  /// GOAWAY, with the next `produce`: streams that came so far are served, later ones are not looked at, and clients know that
  /// they may repeat them elsewhere.
  package func drain() {
    guard !isDraining, failure == nil else { return }
    isDraining = true
    owesGoAway = true
  }

  /// Named and handed out in one go: a stream that came between the two would be served, and called unprocessed.
  private func sayGoAway() {
    owesGoAway = false
    let last = nghttp2_session_get_last_proc_stream_id(session)
    nghttp2_submit_goaway(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, NGHTTP2_NO_ERROR.rawValue, nil, 0)
  }

  /// Draining, and every stream has ended.
  package var isDrained: Bool { isDraining && !owesGoAway && slab.used == 0 && !wantsOutput }

  /// Ends the connection: GOAWAY, all streams closed.
  package func terminate(_ reason: String, error: nghttp2_error_code = NGHTTP2_ENHANCE_YOUR_CALM) {
    guard failure == nil else { return }
    failure = reason
    nghttp2_session_terminate_session(session, error.rawValue)
  }

  /// Resets streams whose request is not complete and began before `moment` (slow-loris). Returns how many.
  package func expireIncomplete(startedBefore moment: Instant) -> Int {
    var expired: [Int32] = []
    slab.forEach { slot in
      if !slot.pointee.flags.contains(.complete), slot.pointee.startedAt < moment {
        expired.append(slot.pointee.streamID)
      }
    }
    for id in expired {
      nghttp2_submit_rst_stream(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, NGHTTP2_CANCEL.rawValue)
    }
    return expired.count
  }

  /// The caller's connection has ended: reports each announced, unanswered stream by `.closed`.
  package func connectionEnded() {
    failure = failure ?? "the connection has ended"
    hasEnded = true
    var open: [UnsafeMutablePointer<StreamSlot>] = []
    slab.forEach { open.append($0) }
    for slot in open { close(slot, error: NGHTTP2_CANCEL.rawValue) }
  }
}

func setting(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
  nghttp2_settings_entry(settings_id: Int32(id.rawValue), value: UInt32(value))
}
