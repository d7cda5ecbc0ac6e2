import COpenSSL

/// Who the first certificate of a PEM text names. For a program's own certificate; does not check it.
package func certificateIdentity(_ source: PEMSource) throws(TLSRefusal) -> PeerIdentity {
  let certificates = try readCertificates(source)
  defer { for one in certificates { X509_free(one) } }
  return readIdentity(certificates[0])
}
