import Primitives

@testable import Transport

/// A cluster's authorities, made once a process.
enum TestCertificates {
  private struct Made {
    let server: TLSContext
    let tokens: TokenAuthority
    let verifier: TokenVerifier
  }

  nonisolated(unsafe) private static let made: Made = {
    do throws(TLSRefusal) {
      let nodes = try CertificateAuthority(name: "nodes")
      let clients = try CertificateAuthority(name: "clients")
      let node = try nodes.issueNode(cluster: "c1", id: NodeID(1))
      return Made(
        server: try TLSContext(
          server: .init(
            certificate: .text(node.certificate), key: .text(node.key),
            nodeAuthority: .text(nodes.credentials.certificate), clientAuthority: .text(clients.credentials.certificate)
          )),
        tokens: try TokenAuthority(key: .text(clients.credentials.key)),
        verifier: try TokenVerifier(authority: .text(clients.credentials.certificate), cluster: "c1"))
    } catch { fatalError("certificates are made: \(error)") }
  }()

  static var server: TLSContext { made.server }
  static var tokens: TokenAuthority { made.tokens }
  static var verifier: TokenVerifier { made.verifier }
}
