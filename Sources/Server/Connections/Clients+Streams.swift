import Node
import Primitives
import Transport

// Scans as streams of lines: a page is asked of the node when the client has taken most of the one before. So a stream holds
// one page at a time, has no total deadline, and ends when its client stops reading for as long as its timeout.

extension Clients {
  func fetch(_ handle: StreamHandle, _ connection: Connection, _ session: HTTP2ServerSession) {
    guard var stream = connection.streams[handle.rawValue], !stream.isFetching else { return }
    stream.isFetching = true
    stream.fullSince = .zero
    connection.streams[handle.rawValue] = stream
    let id = pending.insert(
      PendingRequest(
        connection: connection.number, slot: Int32(connection.slot), kind: .scan, isStream: true, stream: handle,
        startedAt: now))
    ask(Request(id: id, deadline: now + stream.timeout, operation: stream.nextRead), .scan)
  }

  /// The client has read most of what was there.
  func fetchMore(_ handle: StreamHandle, _ connection: Connection, _ session: HTTP2ServerSession) {
    if connection.streams[handle.rawValue] != nil { fetch(handle, connection, session) }
  }

  func pageCame(_ reply: Reply, _ handle: StreamHandle, _ connection: Connection, _ session: HTTP2ServerSession) {
    guard var stream = connection.streams[handle.rawValue] else { return }
    stream.isFetching = false
    if let problem = reply.problem { return breakOff(stream, problem, handle, connection, session) }
    if !stream.hasBegun {
      stream.hasBegun = true
      counters.answers[2] += 1
      answers.beginLines(handle, snapshot: reply.snapshot, of: session)
    }
    if let left = stream.rowsLeft { stream.rowsLeft = left - min(left, lines(in: reply.body)) }
    let waiting = reply.body.withUnsafeBytes { session.write(handle, $0) }
    stream.query.cursor = reply.cursor
    guard let cursor = reply.cursor, stream.rowsLeft != 0 else {
      connection.streams[handle.rawValue] = nil
      return answers.endLines(cursor: reply.cursor, problem: nil, of: handle, in: session)
    }
    stream.query.cursor = cursor
    stream.fullSince = now
    connection.streams[handle.rawValue] = stream
    if let waiting, waiting < limits.http2.streamLowBytes { fetch(handle, connection, session) }
  }

  private func breakOff(
    _ stream: RowStream, _ problem: Problem, _ handle: StreamHandle, _ connection: Connection,
    _ session: HTTP2ServerSession
  ) {
    connection.streams[handle.rawValue] = nil
    guard stream.hasBegun else { return answer(problem, to: handle, session) }
    counters.answers[Int(problem.code.status) / 100] += 1
    answers.endLines(cursor: stream.query.cursor, problem: problem, of: handle, in: session)
  }

  private func lines(in body: [UInt8]) -> UInt64 {
    var count: UInt64 = 0
    for byte in body where byte == 10 { count += 1 }
    return count
  }
}
