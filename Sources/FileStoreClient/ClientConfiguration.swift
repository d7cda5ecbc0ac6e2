/// Who a client is. Exactly one, because a node looks at both.
public enum ClientIdentity: Equatable, Sendable {
  /// Nobody: only `/healthz`, `/readyz` and `/metrics` answer.
  case none
  case token(String)
  /// Paths of PEM files.
  case certificate(file: String, key: String)
}

/// Where a cluster is, and who asks.
public struct ClientConfiguration: Sendable {
  /// In the order of preference.
  public var endpoints: [Endpoint]
  /// Path of the PEM file with the CA of the nodes; needed for `https`.
  public var authority: String?
  public var identity: ClientIdentity
  /// Until a connection is open, TLS included.
  public var connectMilliseconds: UInt32 = 2000
  /// Requests in flight on a connection; more wait in the client.
  public var streamsMax = 256

  public init(endpoints: [Endpoint], authority: String? = nil, identity: ClientIdentity = .none) {
    self.endpoints = endpoints
    self.authority = authority
    self.identity = identity
  }
}
