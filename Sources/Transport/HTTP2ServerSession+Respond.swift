import CNghttp2
import Glibc
import Primitives

extension HTTP2ServerSession {
  /// Answers, all at once. `head` was begun by `answer(status)`; `content-length` is added to it. The body is copied. False
  /// when the stream has gone or is answered already. With `trailers`, those follow the body.
  @discardableResult package func respond(
    _ handle: StreamHandle, _ head: HeaderBlock,
    body: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0),
    trailers: HeaderBlock? = nil
  ) -> Bool {
    guard let slot = slab.find(handle), !slot.pointee.flags.contains(.answered) else { return false }
    if head.allowsBody, trailers == nil { head.add("content-length", UInt64(body.count)) }
    slot.pointee.flags.insert([.answered, .finished])
    let isBodiless = slot.pointee.method == .head || !head.allowsBody
    if !isBodiless, let base = body.baseAddress { slot.pointee.out.append(base, body.count) }
    keepTrailers(slot, trailers)
    let hasData = slot.pointee.out.count > 0 || trailers != nil || !slot.pointee.flags.contains(.complete)
    return submit(slot, head, hasData: hasData)
  }

  /// Answers piece by piece: `write`, then `finish`.
  @discardableResult package func respondStreaming(_ handle: StreamHandle, _ head: HeaderBlock) -> Bool {
    guard let slot = slab.find(handle), !slot.pointee.flags.contains(.answered) else { return false }
    slot.pointee.flags.insert(.answered)
    return submit(slot, head, hasData: true)
  }

  /// Adds to a streamed answer (copied). Returns the bytes that now wait in the stream, or nil when it has gone. Above the
  /// low mark (`HTTP2Limits.streamLowBytes`) stop and await `.drained`.
  @discardableResult package func write(_ handle: StreamHandle, _ bytes: UnsafeRawBufferPointer) -> Int? {
    guard let slot = slab.find(handle), slot.pointee.flags.contains(.answered),
      !slot.pointee.flags.contains(.finished)
    else { return nil }
    if slot.pointee.outSent > 0, slot.pointee.outSent * 2 > slot.pointee.out.count {
      slot.pointee.out.dropFirst(slot.pointee.outSent)
      slot.pointee.outSent = 0
    }
    if let base = bytes.baseAddress, slot.pointee.method != .head { slot.pointee.out.append(base, bytes.count) }
    resume(slot)
    let waiting = slot.pointee.out.count - slot.pointee.outSent
    if waiting >= limits.streamLowBytes { slot.pointee.flags.insert(.filled) }
    return waiting
  }

  /// Ends a streamed answer.
  @discardableResult package func finish(_ handle: StreamHandle, trailers: HeaderBlock? = nil) -> Bool {
    guard let slot = slab.find(handle), slot.pointee.flags.contains(.answered),
      !slot.pointee.flags.contains(.finished)
    else { return false }
    slot.pointee.flags.insert(.finished)
    keepTrailers(slot, trailers)
    resume(slot)
    return true
  }

  /// Breaks a stream off (RST_STREAM). No `.closed` follows.
  package func reset(_ handle: StreamHandle, error: nghttp2_error_code = NGHTTP2_INTERNAL_ERROR) {
    guard let slot = slab.find(handle) else { return }
    slot.pointee.flags.insert([.answered, .finished])
    nghttp2_submit_rst_stream(
      session, UInt8(NGHTTP2_FLAG_NONE.rawValue), slot.pointee.streamID, error.rawValue)
  }

  /// The request's body was read: its memory is given back before the answer is there.
  package func dropBody(_ handle: StreamHandle) {
    guard let slot = slab.find(handle) else { return }
    budget.give(slot.pointee.body.count)
    slot.pointee.body.clear(keeping: 4096)
  }

  /// Bytes of answers that wait in all streams.
  package var waitingBytes: Int {
    var sum = 0
    slab.forEach { sum += $0.pointee.out.count - $0.pointee.outSent }
    return sum
  }

  private func submit(_ slot: UnsafeMutablePointer<StreamSlot>, _ head: HeaderBlock, hasData: Bool) -> Bool {
    // The request's body has been read by now.
    budget.give(slot.pointee.body.count)
    slot.pointee.body.clear(keeping: 4096)
    let id = slot.pointee.streamID
    guard hasData else { return nghttp2_submit_response(session, id, head.resolved(), head.count, nil) == 0 }
    var provider = nghttp2_data_provider()
    provider.source.ptr = UnsafeMutableRawPointer(slot)
    provider.read_callback = readBody
    return nghttp2_submit_response(session, id, head.resolved(), head.count, &provider) == 0
  }

  private func keepTrailers(_ slot: UnsafeMutablePointer<StreamSlot>, _ trailers: HeaderBlock?) {
    guard let trailers, trailers.count > 0 else { return }
    slot.pointee.trailers = trailers.detached()
    slot.pointee.trailerCount = trailers.count
  }

  private func resume(_ slot: UnsafeMutablePointer<StreamSlot>) {
    guard slot.pointee.flags.contains(.deferred) else { return }
    slot.pointee.flags.remove(.deferred)
    nghttp2_session_resume_data(session, slot.pointee.streamID)
  }

  fileprivate func noteDrained(_ slot: UnsafeMutablePointer<StreamSlot>) {
    guard slot.pointee.flags.contains(.filled),
      slot.pointee.out.count - slot.pointee.outSent < limits.streamLowBytes
    else { return }
    slot.pointee.flags.remove(.filled)
    if !slot.pointee.flags.contains(.finished) { events.append(.drained(slot.pointee.handle)) }
  }
}

/// nghttp2 asks for the next part of an answer's body.
private func readBody(
  _ session: OpaquePointer?, _ id: Int32, _ target: UnsafeMutablePointer<UInt8>?, _ size: Int,
  _ flags: UnsafeMutablePointer<UInt32>?, _ source: UnsafeMutablePointer<nghttp2_data_source>?,
  _ user: UnsafeMutableRawPointer?
) -> Int {
  guard let session, let target, let flags, let user,
    let slot = source?.pointee.ptr?.assumingMemoryBound(to: StreamSlot.self)
  else { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
  let count = min(size, slot.pointee.out.count - slot.pointee.outSent)
  if count > 0, let base = slot.pointee.out.base {
    memcpy(target, base + slot.pointee.outSent, count)
    slot.pointee.outSent += count
  }
  if slot.pointee.flags.contains(.filled) {
    Unmanaged<HTTP2ServerSession>.fromOpaque(user)._withUnsafeGuaranteedRef { $0.noteDrained(slot) }
  }
  guard slot.pointee.outSent == slot.pointee.out.count else { return count }
  if slot.pointee.flags.contains(.finished) {
    endBody(session, slot, flags)
    return count
  }
  slot.pointee.out.count = 0
  slot.pointee.outSent = 0
  if count > 0 { return count }
  slot.pointee.flags.insert(.deferred)
  return Int(NGHTTP2_ERR_DEFERRED.rawValue)
}

private func endBody(
  _ session: OpaquePointer, _ slot: UnsafeMutablePointer<StreamSlot>, _ flags: UnsafeMutablePointer<UInt32>
) {
  flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_EOF.rawValue)
  let id = slot.pointee.streamID
  if let trailers = slot.pointee.trailers {
    flags.pointee |= UInt32(NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue)
    nghttp2_submit_trailer(session, id, trailers, slot.pointee.trailerCount)
    slot.pointee.dropTrailers()
  }
}
