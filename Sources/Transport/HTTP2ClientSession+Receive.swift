import CNghttp2
import Glibc
import Primitives

nonisolated(unsafe) private let callbacks: OpaquePointer = makeCallbacks()

func makeClientSession() -> OpaquePointer {
  var option: OpaquePointer?
  nghttp2_option_new(&option)
  defer { nghttp2_option_del(option) }
  nghttp2_option_set_no_closed_streams(option, 1)
  var session: OpaquePointer?
  guard nghttp2_session_client_new2(&session, callbacks, nil, option) == 0, let session else {
    preconditionFailure("there is memory for an HTTP/2 session")
  }
  return session
}

private func makeCallbacks() -> OpaquePointer {
  var made: OpaquePointer?
  guard nghttp2_session_callbacks_new(&made) == 0, let made else {
    preconditionFailure("there is memory for callbacks")
  }
  nghttp2_session_callbacks_set_on_header_callback(made) {
    session, frame, name, nameCount, value, valueCount, _, user in
    guard let session, let frame, let name, let value, let slot = slot(session, frame.pointee.hd.stream_id) else {
      return 0
    }
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
  nghttp2_session_callbacks_set_on_frame_send_callback(made) { session, frame, user in
    guard let session, let frame, UInt32(frame.pointee.hd.type) == NGHTTP2_HEADERS.rawValue,
      let slot = slot(session, frame.pointee.hd.stream_id)
    else { return 0 }
    slot.pointee.flags.insert(.sent)
    return 0
  }
  nghttp2_session_callbacks_set_on_frame_not_send_callback(made) { session, frame, _, user in
    // A request that nghttp2 gave up before sending it: after a GOAWAY.
    guard let frame, UInt32(frame.pointee.hd.type) == NGHTTP2_HEADERS.rawValue else { return 0 }
    return with(user) { $0.neverSent(frame.pointee.hd.stream_id) }
  }
  nghttp2_session_callbacks_set_on_stream_close_callback(made) { session, id, error, user in
    guard let session, let slot = slot(session, id) else { return 0 }
    return with(user) {
      let isUnsent = !slot.pointee.flags.contains(.sent)
      $0.close(slot, code: error, isUnprocessed: isUnsent || error == NGHTTP2_REFUSED_STREAM.rawValue)
      return 0
    }
  }
  return made
}

private func with(_ user: UnsafeMutableRawPointer?, _ body: (HTTP2ClientSession) -> Int32) -> Int32 {
  guard let user else { return 0 }
  return Unmanaged<HTTP2ClientSession>.fromOpaque(user)._withUnsafeGuaranteedRef(body)
}

private func slot(_ session: OpaquePointer, _ id: Int32) -> UnsafeMutablePointer<ExchangeSlot>? {
  nghttp2_session_get_stream_user_data(session, id)?.assumingMemoryBound(to: ExchangeSlot.self)
}

extension HTTP2ClientSession {
  fileprivate func header(
    _ slot: UnsafeMutablePointer<ExchangeSlot>, _ name: UnsafePointer<UInt8>, _ nameCount: Int,
    _ value: UnsafePointer<UInt8>, _ valueCount: Int
  ) -> Int32 {
    slot.pointee.headerBytes += nameCount + valueCount + 32
    if slot.pointee.headerBytes > limits.headerBytesMax {
      slot.pointee.flags.insert(.tooLarge)
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
    }
    if name[0] == 58 {  // :status
      slot.pointee.status = decimal(value, valueCount).map { Int($0) } ?? 0
    } else if slot.pointee.fieldCount < 32 {
      let field = ExchangeSlot.Field(
        name: slot.pointee.keep(name, nameCount), value: slot.pointee.keep(value, valueCount))
      slot.pointee.fields[slot.pointee.fieldCount] = field
      slot.pointee.fieldCount += 1
    }
    return 0
  }

  fileprivate func data(
    _ slot: UnsafeMutablePointer<ExchangeSlot>, _ bytes: UnsafePointer<UInt8>, _ count: Int
  ) -> Int32 {
    if slot.pointee.flags.contains(.released) { return 0 }
    if slot.pointee.body.count + count > limits.bodyBytesMax {
      if !slot.pointee.flags.contains(.tooLarge) {
        slot.pointee.flags.insert(.tooLarge)
        let none = UInt8(NGHTTP2_FLAG_NONE.rawValue)
        nghttp2_submit_rst_stream(session, none, slot.pointee.streamID, NGHTTP2_CANCEL.rawValue)
      }
      return 0
    }
    let wasEmpty = slot.pointee.body.count == 0
    slot.pointee.body.append(bytes, count)
    if wasEmpty, slot.pointee.flags.contains(.streamed) { events.append(.body(slot.pointee.handle)) }
    return 0
  }

  fileprivate func frame(_ session: OpaquePointer, _ frame: UnsafePointer<nghttp2_frame>) -> Int32 {
    let hasEnd = Int(frame.pointee.hd.flags) & Int(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
    switch UInt32(frame.pointee.hd.type) {
    case NGHTTP2_GOAWAY.rawValue:
      if !isDraining { events.append(.draining) }
      isDraining = true
    case NGHTTP2_HEADERS.rawValue:
      guard let slot = slot(session, frame.pointee.hd.stream_id) else { return 0 }
      headersEnded(slot)
      if hasEnd { slot.pointee.flags.insert(.ended) }
    case NGHTTP2_DATA.rawValue:
      if hasEnd { slot(session, frame.pointee.hd.stream_id)?.pointee.flags.insert(.ended) }
    default: break
    }
    return 0
  }

  private func headersEnded(_ slot: UnsafeMutablePointer<ExchangeSlot>) {
    if slot.pointee.flags.contains(.headed) { return }
    if slot.pointee.status < 200 {
      slot.pointee.fieldCount = 0
      return
    }
    slot.pointee.flags.insert(.headed)
    slot.pointee.trailersFrom = slot.pointee.fieldCount
    if slot.pointee.flags.contains(.streamed) { events.append(.head(slot.pointee.handle)) }
  }

  fileprivate func neverSent(_ id: Int32) -> Int32 {
    var found: UnsafeMutablePointer<ExchangeSlot>?
    slab.forEach { if $0.pointee.streamID == id { found = $0 } }
    if let found, !found.pointee.flags.contains(.closed) {
      close(found, code: NGHTTP2_REFUSED_STREAM.rawValue, isUnprocessed: true)
    }
    return 0
  }

  /// The one place where a request ends.
  func close(_ slot: UnsafeMutablePointer<ExchangeSlot>, code: UInt32, isUnprocessed: Bool) {
    slot.pointee.flags.insert(.closed)
    nghttp2_session_set_stream_user_data(session, slot.pointee.streamID, nil)
    if slot.pointee.flags.contains(.released) { return slab.give(slot) }
    let isWhole = slot.pointee.flags.isSuperset(of: [.headed, .ended])
    if isWhole {
      events.append(.response(slot.pointee.handle))
    } else {
      events.append(.failed(slot.pointee.handle, Failure(code: code, isUnprocessed: isUnprocessed)))
    }
  }
}

func readRequestBody(
  _ session: OpaquePointer?, _ id: Int32, _ target: UnsafeMutablePointer<UInt8>?, _ size: Int,
  _ flags: UnsafeMutablePointer<UInt32>?, _ source: UnsafeMutablePointer<nghttp2_data_source>?,
  _ user: UnsafeMutableRawPointer?
) -> Int {
  guard let target, let flags, let slot = source?.pointee.ptr?.assumingMemoryBound(to: ExchangeSlot.self),
    let base = slot.pointee.out.base
  else { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
  let count = min(size, slot.pointee.out.count - slot.pointee.outSent)
  memcpy(target, base + slot.pointee.outSent, count)
  slot.pointee.outSent += count
  if slot.pointee.outSent == slot.pointee.out.count { flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue) }
  return count
}
