import CNghttp2
import Glibc
import Primitives

// What nghttp2 tells: it fills slots and appends events. The callbacks are installed once for the process, in nonisolated code
// (a callback made in isolated code would check its executor at each call).

nonisolated(unsafe) private let callbacks: OpaquePointer = makeCallbacks()

func makeServerSession(_ limits: HTTP2Limits) -> OpaquePointer {
  var option: OpaquePointer?
  nghttp2_option_new(&option)
  defer { nghttp2_option_del(option) }
  nghttp2_option_set_max_outbound_ack(option, 200)
  nghttp2_option_set_max_settings(option, 16)
  nghttp2_option_set_no_closed_streams(option, 1)
  nghttp2_option_set_peer_max_concurrent_streams(option, 0)
  nghttp2_option_set_max_deflate_dynamic_table_size(option, 4096)
  var session: OpaquePointer?
  guard nghttp2_session_server_new2(&session, callbacks, nil, option) == 0, let session else {
    preconditionFailure("there is memory for an HTTP/2 session")
  }
  return session
}

private func makeCallbacks() -> OpaquePointer {
  var made: OpaquePointer?
  guard nghttp2_session_callbacks_new(&made) == 0, let made else {
    preconditionFailure("there is memory for callbacks")
  }
  nghttp2_session_callbacks_set_on_begin_frame_callback(made) { _, header, user in
    // nghttp2 skips PRIORITY without a word. (Kinds that it does not know are skipped before this; they cost nothing.)
    guard let header, header.pointee.type == NGHTTP2_PRIORITY.rawValue else { return 0 }
    return with(user) { $0.skipped() }
  }
  nghttp2_session_callbacks_set_on_begin_headers_callback(made) { _, frame, user in
    guard let frame, frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST else { return 0 }
    return with(user) { $0.began(frame.pointee.hd.stream_id) }
  }
  nghttp2_session_callbacks_set_on_header_callback(made) {
    session, frame, name, nameCount, value, valueCount, _, user in
    guard let session, let frame, let name, let value, frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST,
      let slot = slot(session, frame.pointee.hd.stream_id)
    else { return 0 }
    return with(user) { $0.header(slot, name, nameCount, value, valueCount) }
  }
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made) { session, _, id, data, count, user in
    guard let session, let data, let slot = slot(session, id) else { return 0 }
    return with(user) { $0.data(slot, data, count) }
  }
  nghttp2_session_callbacks_set_on_frame_recv_callback(made) { session, frame, user in
    guard let session, let frame else { return 0 }
    return with(user) { $0.frame(session, frame) }
  }
  nghttp2_session_callbacks_set_on_stream_close_callback(made) { session, id, error, user in
    guard let session, let slot = slot(session, id) else { return 0 }
    return with(user) {
      $0.close(slot, error: error)
      return 0
    }
  }
  return made
}

/// The session behind nghttp2's user data, without counting references.
private func with(_ user: UnsafeMutableRawPointer?, _ body: (HTTP2ServerSession) -> Int32) -> Int32 {
  guard let user else { return 0 }
  return Unmanaged<HTTP2ServerSession>.fromOpaque(user)._withUnsafeGuaranteedRef(body)
}

private func slot(_ session: OpaquePointer, _ id: Int32) -> UnsafeMutablePointer<StreamSlot>? {
  nghttp2_session_get_stream_user_data(session, id)?.assumingMemoryBound(to: StreamSlot.self)
}

extension HTTP2ServerSession {
  fileprivate func skipped() -> Int32 {
    if !flood.idle.take() { terminate("a client floods with PRIORITY frames") }
    return 0
  }

  fileprivate func began(_ id: Int32) -> Int32 {
    guard let slot = slab.take() else { return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue }
    slot.pointee.begin(id, at: now)
    nghttp2_session_set_stream_user_data(session, id, slot)
    return 0
  }

  fileprivate func header(
    _ slot: UnsafeMutablePointer<StreamSlot>, _ name: UnsafePointer<UInt8>, _ nameCount: Int,
    _ value: UnsafePointer<UInt8>, _ valueCount: Int
  ) -> Int32 {
    slot.pointee.headerBytes += nameCount + valueCount + 32
    if slot.pointee.headerBytes > limits.headerBytesMax {
      slot.pointee.flags.insert(.headersTooLarge)
      if slot.pointee.headerBytes > limits.headerBytesMax * 8 { terminate("a client sends headers without end") }
      return 0
    }
    if name[0] == 58 {  // a colon
      pseudoHeader(slot, name, nameCount, value, valueCount)
    } else if let known = KnownHeader(name, nameCount) {
      knownHeader(slot, known, value, valueCount)
    } else if nameCount > 3, memcmp(name, "fs-", 3) == 0, !slot.pointee.flags.contains(.unknownFS) {
      slot.pointee.flags.insert(.unknownFS)
      slot.pointee.unknownFS = slot.pointee.keep(name, nameCount)
    }
    return 0
  }

  private func pseudoHeader(
    _ slot: UnsafeMutablePointer<StreamSlot>, _ name: UnsafePointer<UInt8>, _ nameCount: Int,
    _ value: UnsafePointer<UInt8>, _ valueCount: Int
  ) {
    switch nameCount {
    case 5: slot.pointee.path = slot.pointee.keep(value, valueCount)  // :path
    case 7 where name[1] == 109: slot.pointee.method = HTTPMethod(value, valueCount)  // :method
    case 10: slot.pointee.authority = slot.pointee.keep(value, valueCount)  // :authority
    default: break
    }
  }

  private func knownHeader(
    _ slot: UnsafeMutablePointer<StreamSlot>, _ known: KnownHeader, _ value: UnsafePointer<UInt8>, _ valueCount: Int
  ) {
    let bit: UInt32 = 1 << UInt32(known.rawValue)
    if slot.pointee.present & bit != 0 {
      if known != .accept, known != .acceptEncoding { slot.pointee.repeated = slot.pointee.repeated ?? known }
      return
    }
    slot.pointee.present |= bit
    slot.pointee.known[known.rawValue] = slot.pointee.keep(value, valueCount)
    if known == .contentLength { slot.pointee.contentLength = decimal(value, valueCount) }
  }

  fileprivate func data(
    _ slot: UnsafeMutablePointer<StreamSlot>, _ bytes: UnsafePointer<UInt8>, _ count: Int
  ) -> Int32 {
    if slot.pointee.flags.contains(.refused) { return discard(slot, count) }
    if slot.pointee.body.count + count > limits.bodyBytesMax {
      refuse(slot, .bodyTooLarge)
    } else if !budget.take(count) {
      refuse(slot, .overBudget)
    } else {
      if slot.pointee.body.count == 0, let length = slot.pointee.contentLength, length <= UInt64(limits.bodyBytesMax) {
        // As much as announced, but no more than has a right to be believed.
        _ = slot.pointee.body.reserve(max(count, min(Int(length), 64 << 10)))
      }
      slot.pointee.body.append(bytes, count)
    }
    return 0
  }

  /// The rest of a refused body. A client that has read its answer stops by itself; curl 7.88 takes an early RST_STREAM (RFC
  /// 9113, section 8.1) for a failure and loses the answer, so that comes only for those who go on and on.
  private func discard(_ slot: UnsafeMutablePointer<StreamSlot>, _ count: Int) -> Int32 {
    slot.pointee.discarded += count
    guard slot.pointee.discarded > limits.discardBytesMax else { return 0 }
    slot.pointee.discarded = 0
    nghttp2_submit_rst_stream(
      session, UInt8(NGHTTP2_FLAG_NONE.rawValue), slot.pointee.streamID, NGHTTP2_NO_ERROR.rawValue)
    return 0
  }

  fileprivate func frame(_ session: OpaquePointer, _ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
    let flags = Int(frame.pointee.hd.flags)
    let hasEnd = flags & Int(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    let isAnswer = flags & Int(NGHTTP2_FLAG_ACK.rawValue) != 0
    switch UInt32(frame.pointee.hd.type) {
    case NGHTTP2_HEADERS.rawValue:
      guard let slot = slot(session, frame.pointee.hd.stream_id) else { return 0 }
      headersEnded(slot, isComplete: hasEnd)
    case NGHTTP2_DATA.rawValue:
      if hasEnd {
        if let slot = slot(session, frame.pointee.hd.stream_id) { completed(slot) }
      } else if frame.pointee.hd.length == 0 {
        if !flood.idle.take() { terminate("a client floods with empty frames") }
      }
    case NGHTTP2_RST_STREAM.rawValue:
      counters.resetsReceived += 1
      if !flood.resets.take() { terminate("a client opens and resets streams without end") }
    case NGHTTP2_WINDOW_UPDATE.rawValue:
      if !flood.windowUpdates.take() { terminate("a client floods with window updates") }
    case NGHTTP2_PRIORITY.rawValue: break  // counted when it began
    default:
      if !isAnswer, !flood.idle.take() { terminate("a client floods with control frames") }
    }
    return 0
  }

  private func headersEnded(_ slot: UnsafeMutablePointer<StreamSlot>, isComplete: Bool) {
    if slot.pointee.flags.contains(.headersTooLarge) {
      if isComplete { slot.pointee.flags.insert(.complete) }
      return refuse(slot, .headersTooLarge)
    }
    if isComplete { return completed(slot) }
    if let length = slot.pointee.contentLength, length > UInt64(limits.bodyBytesMax) { refuse(slot, .bodyTooLarge) }
  }

  private func completed(_ slot: UnsafeMutablePointer<StreamSlot>) {
    slot.pointee.flags.insert(.complete)
    if slot.pointee.flags.contains(.refused) { return }
    counters.requests += 1
    events.append(.request(slot.pointee.handle))
  }

  private func refuse(_ slot: UnsafeMutablePointer<StreamSlot>, _ reason: Refusal) {
    if slot.pointee.flags.contains(.refused) { return }
    slot.pointee.flags.insert(.refused)
    counters.refused += 1
    budget.give(slot.pointee.body.count)
    slot.pointee.body.clear(keeping: 0)
    events.append(.refused(slot.pointee.handle, reason))
  }

  func close(_ slot: UnsafeMutablePointer<StreamSlot>, error: UInt32) {
    let flags = slot.pointee.flags
    if flags.contains(.delivered), !flags.contains(.finished) {
      events.append(.closed(slot.pointee.handle, error: error))
    }
    budget.give(slot.pointee.body.count)
    nghttp2_session_set_stream_user_data(session, slot.pointee.streamID, nil)
    slab.give(slot)
  }
}

/// Digits only, at most 18.
func decimal(_ digits: UnsafePointer<UInt8>, _ count: Int) -> UInt64? {
  guard count > 0, count <= 18 else { return nil }
  var value: UInt64 = 0
  for i in 0..<count {
    guard digits[i] >= 48, digits[i] <= 57 else { return nil }
    value = value * 10 + UInt64(digits[i] - 48)
  }
  return value
}
