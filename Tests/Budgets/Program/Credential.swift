import Primitives
import Transport

/// Who the client is, and both ends of TLS.
struct Credential {
  let server: TLSContext
  let client: TLSContext

  /// Certificates of nodes are made anew by each run: only handshakes look at them.
  init() {
    (server, client) = certainly("certificates are made") { () throws(TLSRefusal) in
      let nodes = try CertificateAuthority(name: "budgets nodes")
      let node = try nodes.issueNode(cluster: Trio.clusterID, id: NodeID(1))
      let authority = PEMSource.text(nodes.credentials.certificate)
      let server = try TLSContext(
        server: TLSContext.ServerSettings(
          certificate: .text(node.certificate), key: .text(node.key), nodeAuthority: authority,
          clientAuthority: .text(Credential.authority)))
      return (server, try TLSContext(client: TLSContext.ClientSettings(nodeAuthority: authority)))
    }
  }

  /// A token as `fscluster token` makes it, until 2100. The same in each run, since HPACK's cost depends on its letters;
  /// its key was thrown away.
  static let bearer =
    "Bearer fst1.eyJzdWIiOiJ3cml0ZXIiLCJhdWQiOiI1YTFkN2MwZTliM2Y0MjY4OGQwNGM2ZjFhMmUzN2I5MCIsImV4cCI6NDEw"
    + "MjQ0NDgwMCwianRpIjoiYzNkMmExOTA4ZjdlNmQ1YyJ9.MEYCIQCQ6bOO3vWtMlGMWbM3H5OYpj1tUofoYEoR9hm1Td31ogIhAME"
    + "_byGYVa_R7gUWIWhxbrm2AOuBPkHgSYfXU68QMt0P"

  /// The authority that signed it.
  static let authority = Array(
    """
    -----BEGIN CERTIFICATE-----
    MIIBezCCASCgAwIBAgIURksaXyuzNi5MZEO+1Y2QUqu4ti0wCgYIKoZIzj0EAwIw
    GjEYMBYGA1UEAwwPYnVkZ2V0cyBjbGllbnRzMCAXDTI2MTEyMjAwMDAwMFoYDzIx
    MjYxMDI5MDAwMDAwWjAaMRgwFgYDVQQDDA9idWRnZXRzIGNsaWVudHMwWTATBgcq
    hkjOPQIBBggqhkjOPQMBBwNCAATtDq/DhMtCuhJcbn30KzW15keF+bXPElp1/Lby
    e2EdpgqbhyEeuHtn2x1N/trj1/4HjgNsmY0RnEX68t+Pe04Ro0IwQDAPBgNVHRMB
    Af8EBTADAQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQU/5lPEDrxpYASnote
    rHXHWTV5abowCgYIKoZIzj0EAwIDSQAwRgIhAJ5QDfCxH6YPTfYazGJytrsx7od5
    WH9nlXcsZmwLmpplAiEA8j/KIp1WmgfhfERsk0pX/I46ul/4dQ0s8t2/SwVgerI=
    -----END CERTIFICATE-----
    """.utf8)
}
