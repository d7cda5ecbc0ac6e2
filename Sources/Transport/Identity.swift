import Primitives

/// What stands behind a connection, by ALPN or by its first bytes.
package enum ApplicationProtocol: Sendable, Equatable {
  case http2, http1, peer

  var name: StaticString {
    switch self {
    case .http2: "h2"
    case .http1: "http/1.1"
    case .peer: "filestore-peer/1"
    }
  }
}

/// Who is at the other end, by its certificate. The handshake has already refused what must not be: after it, `.node` occurs
/// only on `filestore-peer/1` (and for a client, on the server's side of its connection), `.client` only elsewhere.
package enum PeerIdentity: Equatable, Sendable {
  case none
  /// A client certificate: common name, serial (lower-case hexadecimal; checked against the revoked ones by the server).
  case client(user: String, serial: String, expires: UInt64)
  /// A node certificate: from its URI `filestore://CLUSTER/node/ID`. `expires` in seconds since 1970.
  case node(cluster: String, id: NodeID, serial: String, expires: UInt64)

  package var expires: UInt64? {
    switch self {
    case .none: nil
    case .client(_, _, let expires), .node(_, _, _, let expires): expires
    }
  }
}

/// Why a secure connection did not come about, or broke.
package struct TLSFailure: Error, Equatable, Sendable, CustomStringConvertible {
  /// For counters: one name each.
  package enum Cause: String, Equatable, Sendable, CaseIterable {
    case certificateExpired = "certificate-expired"
    case certificateNotYetValid = "certificate-not-yet-valid"
    case unknownAuthority = "unknown-authority"
    /// A node's certificate where a client's belongs, or the reverse.
    case wrongKind = "wrong-kind-of-certificate"
    case badCertificate = "bad-certificate"
    case missingCertificate = "missing-certificate"
    /// The certificate is good but of another host or node.
    case wrongPeer = "wrong-peer"
    case noCommonProtocol = "no-common-protocol"
    case oldVersion = "old-version"
    /// The other side ended the handshake by an alert.
    case refusedByPeer = "refused-by-peer"
    /// The first byte is no TLS record: plain HTTP, most likely.
    case notTLS = "not-tls"
    case other = "other"
  }

  package let cause: Cause
  /// One line for the log, without secrets.
  package let text: String

  package init(_ cause: Cause, _ text: String) {
    self.cause = cause
    self.text = text
  }

  package var description: String { text }
}

/// A certificate, key or authority that cannot be used, with its file.
package struct TLSRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  package let subject: String
  package let reason: String

  package init(_ subject: String, _ reason: String) {
    self.subject = subject
    self.reason = reason
  }

  package var description: String { "\(subject): \(reason)" }
}
