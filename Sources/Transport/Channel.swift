import COpenSSL
import Primitives

/// One connection's security: TLS 1.3 on memory, or plain text in the same shape.
///
///     let plaintext = channel.receive(bytes, scratch: scratch, output: output)    // handshake, decryption
///     channel.send(frames, output: output)                                        // encryption
///
/// **How it works.** OpenSSL reads and writes through a BIO of our own (`MemoryBIO`): reads take from the bytes that were just
/// received, writes append to the output. So each direction costs the copy that encryption makes, and no other.
///
/// **Invariants.** `receive` consumes all that it is given; what it cannot use yet stays inside OpenSSL, less than one record
/// (16 KiB). `output` may hold bytes in every state, an alert too, and is to be sent before the connection is closed.
package final class Channel {
  package enum State: Equatable, Sendable {
    case handshaking
    case open
    /// The other side has ended cleanly (close_notify). A plain connection ends by the socket alone.
    case ended
    /// Send what is in the output, then close.
    case failed(TLSFailure)
  }

  /// What a client demands of the server's certificate, beyond the authority.
  package enum Expectation: Equatable, Sendable {
    case anyNode
    /// A name or an IP address among its alternative names.
    case host(String)
    case node(cluster: String, id: NodeID)
  }

  @exclusivity(unchecked) package private(set) var state: State
  /// By ALPN; nil in plain text, or when the client named none.
  package private(set) var selectedProtocol: ApplicationProtocol?
  /// Valid in state `open`.
  package private(set) var identity: PeerIdentity = .none

  let context: TLSContext?
  let expectation: Expectation
  /// Set by the verification callback, in better words than OpenSSL's.
  var verifyFailure: TLSFailure?
  let session: OpaquePointer?
  private let memory: MemoryBIO?
  @exclusivity(unchecked) private var hasReceived = false

  /// Plain text: open from the start, nobody's identity is known.
  package init() {
    context = nil
    session = nil
    memory = nil
    expectation = .anyNode
    state = .open
  }

  package init(_ context: TLSContext, expecting expectation: Expectation = .anyNode) {
    guard let session = SSL_new(context.context) else { preconditionFailure("there is memory for a TLS session") }
    self.context = context
    self.session = session
    self.expectation = expectation
    let memory = MemoryBIO()
    self.memory = memory
    state = .handshaking
    SSL_set_bio(session, memory.bio, memory.bio)
    SSL_set_ex_data(session, 0, Unmanaged.passUnretained(self).toOpaque())
    if context.role == .server {
      SSL_set_accept_state(session)
    } else {
      SSL_set_connect_state(session)
      if case .host(let name) = expectation, !isIPAddress(name) { _ = fs_ssl_server_name(session, name) }
    }
  }

  deinit { if let session { SSL_free(session) } }

  package var isSecure: Bool { session != nil }

  /// A client's first flight. Nothing in plain text.
  package func start(output: OutputBuffer) {
    guard let session, let memory, state == .handshaking else { return }
    memory.attach(input: UnsafeRawBufferPointer(start: nil, count: 0), output: output)
    handshake(session)
    memory.detach()
  }

  /// Takes all of `bytes`; returns the plain text that has become readable: in plain text `bytes` itself, otherwise the
  /// content of `scratch` (emptied first), valid until that changes. After a return, look at `state`.
  package func receive(
    _ bytes: UnsafeRawBufferPointer, scratch: OutputBuffer, output: OutputBuffer
  ) -> UnsafeRawBufferPointer {
    let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
    guard let session, let memory else { return bytes }
    guard bytes.count > 0, state == .handshaking || state == .open else { return nothing }
    if !hasReceived {
      hasReceived = true
      // A handshake record, or (from a server) an alert.
      if bytes[0] != 0x16, context?.role == .server || bytes[0] != 0x15 {
        let text = "the first byte is no TLS record: is this plain HTTP?"
        state = .failed(TLSFailure(.notTLS, text))
        return nothing
      }
    }
    scratch.removeAll()
    memory.attach(input: bytes, output: output)
    if state == .handshaking { handshake(session) }
    if state == .open { read(session, into: scratch) }
    memory.detach()
    return scratch.bytes
  }

  /// Encrypts all of `plaintext` into the output (in plain text: copies). Only in state `open`; otherwise it is dropped.
  package func send(_ plaintext: UnsafeRawBufferPointer, output: OutputBuffer) {
    guard plaintext.count > 0, state == .open else { return }
    guard let session, let memory else { return output.append(plaintext) }
    memory.attach(input: UnsafeRawBufferPointer(start: nil, count: 0), output: output)
    defer { memory.detach() }
    var written = 0
    ERR_clear_error()
    if SSL_write_ex(session, plaintext.baseAddress, plaintext.count, &written) != 1 { fail(session) }
  }

  /// Says goodbye (close_notify): the other side can tell the end from a cut.
  package func finish(output: OutputBuffer) {
    guard let session, let memory, state == .open || state == .ended else { return }
    memory.attach(input: UnsafeRawBufferPointer(start: nil, count: 0), output: output)
    ERR_clear_error()
    SSL_shutdown(session)
    ERR_clear_error()
    memory.detach()
  }

  private func handshake(_ session: OpaquePointer) {
    ERR_clear_error()
    let code = SSL_do_handshake(session)
    if code == 1 {
      selectedProtocol = readProtocol(session)
      if let certificate = SSL_get0_peer_certificate(session) { identity = readIdentity(certificate) }
      state = .open
    } else if SSL_get_error(session, code) != SSL_ERROR_WANT_READ {
      fail(session)
    }
  }

  private func read(_ session: OpaquePointer, into scratch: OutputBuffer) {
    while true {
      var count = 0
      ERR_clear_error()
      if SSL_read_ex(session, scratch.reserve(16384), 16384, &count) == 1 {
        scratch.commit(count)
        continue
      }
      switch SSL_get_error(session, 0) {
      case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: break
      case SSL_ERROR_ZERO_RETURN: state = .ended
      default: fail(session)
      }
      return
    }
  }

  private func readProtocol(_ session: OpaquePointer) -> ApplicationProtocol? {
    var name: UnsafePointer<UInt8>?
    var count: UInt32 = 0
    SSL_get0_alpn_selected(session, &name, &count)
    switch String(decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self) {
    case "h2": return .http2
    case "http/1.1": return .http1
    case "filestore-peer/1": return .peer
    default: return nil
    }
  }

  /// The choice as the handshake goes on, for the verification.
  var protocolSoFar: ApplicationProtocol? { session.flatMap { readProtocol($0) } }

  private func fail(_ session: OpaquePointer) {
    let (code, text) = takeOpenSSLError()
    state = .failed(verifyFailure ?? explain(code, text))
  }

  private func explain(_ code: UInt, _ text: String) -> TLSFailure {
    let reason = Int32(truncatingIfNeeded: code & 0x7F_FFFF)
    if reason > SSL_AD_REASON_OFFSET {
      let alert = reason - SSL_AD_REASON_OFFSET
      let words = String(cString: SSL_alert_desc_string_long(alert))
      return TLSFailure(.refusedByPeer, "the other side refused: \(words) (alert \(alert))")
    }
    let cause: TLSFailure.Cause =
      switch reason {
      case SSL_R_NO_APPLICATION_PROTOCOL: .noCommonProtocol
      case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_WRONG_VERSION_NUMBER: .oldVersion
      case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: .missingCertificate
      default: .other
      }
    return TLSFailure(cause, "TLS: \(text)")
  }
}
