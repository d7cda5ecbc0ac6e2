/// What stands between a socket's bytes and requests: TLS 1.3, HTTP/2, frames between nodes, certificates, tokens.
///
/// **How it works.** Everything works on memory and performs no I/O. Received bytes go in, events and output bytes come out:
///
///     socket bytes ─► Channel (TLS or plain) ─► what kind? ─► HTTP2ServerSession ─► events: request, closed, drained …
///                                                        ├──► HTTP1Probe: GET /healthz …
///                                                        └──► FrameReader: frames of another node
///     socket ◄─ OutputPair ◄─ Channel ◄─ frames of one turn in one TLS record ◄─ responses
///
/// `ServerConnection` puts these together for an accepted socket, `ClientConnection` and `PeerConnection` for one that we
/// opened. `CertificateAuthority` makes certificates, `TokenAuthority` and `TokenVerifier` make and check tokens.
///
/// **Invariants.** One thread per connection. Every buffer has a limit: headers, bodies (also in sum, `BodyBudget`), streams,
/// frames, output of a turn. Events are pulled, never called back, so no code of the caller runs inside nghttp2 or OpenSSL.
///
/// Fields that every request touches are `@exclusivity(unchecked)`: with the checks a request took 2 100 instructions more, of
/// 14 000. What the checks would find, a field changed while it is being changed, needs a call back into the caller, and
/// there is none.
///
/// **What it does not do.** It knows no path, no right, no deadline: the Server does. It reads no clock but OpenSSL's for
/// the validity of certificates.
package enum PeerProtocol {
  /// What a node says first on a plain connection, where no ALPN tells.
  package static let preface: StaticString = "filestore-peer/1\n"
}
