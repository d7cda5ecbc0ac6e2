import COpenSSL
import Primitives

@testable import Transport

// What our own code never does with OpenSSL, so that a test can play a strange client.

func setProtocols(_ channel: Channel, _ list: [UInt8]) {
  SSL_set_alpn_protos(channel.session, list, UInt32(list.count))
}

func allowOnlyTLS12(_ channel: Channel) {
  SSL_ctrl(channel.session, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
  SSL_ctrl(channel.session, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(TLS1_2_VERSION), nil)
}

/// Passes bytes between two channels until they are silent.
func exchange(_ client: Channel, _ server: Channel) {
  let fromClient = OutputBuffer()
  let fromServer = OutputBuffer()
  let scratch = OutputBuffer()
  client.start(output: fromClient)
  for _ in 0..<20 {
    let bytes = Array(fromClient.bytes)
    fromClient.removeAll()
    bytes.withUnsafeBytes { _ = server.receive($0, scratch: scratch, output: fromServer) }
    let answer = Array(fromServer.bytes)
    fromServer.removeAll()
    answer.withUnsafeBytes { _ = client.receive($0, scratch: scratch, output: fromClient) }
    if bytes.isEmpty, answer.isEmpty { return }
  }
}
