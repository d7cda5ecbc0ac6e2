import Primitives
import Transport

/// Budgets of the edge of one node. Full means a typed refusal, never growth.
package struct EdgeLimits: Sendable {
  package var connectionsMax = 1024
  /// What they hold of memory together; beyond, further ones are refused.
  package var connectionBytesMax = 128 << 20
  /// Requests of clients that wait for the node, all connections together.
  package var requestsMax = 16_384
  /// Scans and lookups that the node works on; each may answer with 16 MiB. Others wait for their turn.
  package var largeRequestsMax = 16
  /// Answers that wait because their client does not read, all connections together; beyond, reads are refused.
  package var waitingBytesMax = 64 << 20
  /// Answers that wait in one connection before it is read from again.
  package var connectionWaitingBytesMax = 1 << 20
  /// Bodies that are being received.
  package var bodyBytesMax = 64 << 20
  /// From the first byte to a request: TLS, ALPN, the head of HTTP/1.1.
  package var handshakeTime = Nanoseconds.seconds(10)
  /// From a request's head to its end.
  package var uploadTime = Nanoseconds.seconds(60)
  /// Output that does not move.
  package var stalledTime = Nanoseconds.seconds(60)
  /// A connection without a request.
  package var idleTime = Nanoseconds.seconds(600)
  /// Tokens that are not accepted, on one connection.
  package var tokenFailuresMax = 64
  /// Bytes on their way to another node; beyond, payloads are dropped.
  package var linkBytesMax = 32 << 20
  package var http2 = HTTP2Limits()

  package init() { http2.streamsMax = 128 }
}
