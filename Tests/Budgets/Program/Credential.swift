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
    "Bearer fst1.eyJ1c2VyIjoid3JpdGVyIiwiY2x1c3RlciI6IjVhMWQ3YzBlOWIzZjQyNjg4ZDA0YzZmMWEyZTM3YjkwIiwiZXhwaXJlcyI6"
    + "NDEwMjQ0NDgwMCwic2VyaWFsIjoiYzNkMmExOTA4ZjdlNmQ1YzRiM2EyOTE4MDdmNmU1ZDQifQ"
    + ".MEUCIHj0_LspXNH16B69GLx3L9PGVt-__uSPVN42XFW1ftMTAiEA-yo6SDmYWhC6g1ztUnQ7HgCOkSbzp7Ilrl8EBTNMkKc"

  /// The authority that signed it.
  static let authority = Array(
    """
    -----BEGIN CERTIFICATE-----
    MIIBizCCATGgAwIBAgIUWCFahC1Y99XEdxJpBtaiXVxJP58wCgYIKoZIzj0EAwIw
    GjEYMBYGA1UEAwwPYnVkZ2V0cyBjbGllbnRzMCAXDTI2MTEyMjIxMDEyMFoYDzIx
    MjYxMDI5MjEwMTIwWjAaMRgwFgYDVQQDDA9idWRnZXRzIGNsaWVudHMwWTATBgcq
    hkjOPQIBBggqhkjOPQMBBwNCAATxWdwcX2qXbYYy3OpTF2phTaFOPQy4O4K8Si6z
    BgHUex+F3UNSPf3LDG7QHoYhdgsRY6TEXBYjME8Q5bBUgmRfo1MwUTAdBgNVHQ4E
    FgQUgQapUvdqkwx+Q3i1jJLJdwRbZ5MwHwYDVR0jBBgwFoAUgQapUvdqkwx+Q3i1
    jJLJdwRbZ5MwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiAWJKYG
    K5z4DAMzhzQB1ksFPR3iBi9bafZtJnEICI7UcgIhALjrYrlryASCcaBjY8WASEQe
    T6zqFQbjivRGgW5XMkeK
    -----END CERTIFICATE-----
    """.utf8)
}
