import Foundation
import Primitives
import Ring
import Transport

/// nghttpd with one thread, answering one file: what HTTP/2 alone costs here. Ends with its owner.
final class Nghttpd {
  let uri: String
  private let process: Process

  /// - Parameter scratch: where the file, and with TLS a certificate of its own, are put.
  init(answering content: [UInt8], isSecure: Bool, scratch: Scratch) throws(BenchError) {
    let program = try Program("nghttpd", package: "nghttp2-server")
    let folder = scratch.path
    guard FileManager.default.createFile(atPath: "\(folder)/row", contents: Data(content)) else {
      throw .failed("\(folder)/row cannot be written")
    }
    let port = try Nghttpd.freePort()
    var arguments = ["-a", "127.0.0.1", "-n", "1", "-m", "1000", "-d", folder]
    if isSecure {
      try Nghttpd.makeCertificate(folder)
      arguments += ["\(port)", "\(folder)/key.pem", "\(folder)/certificate.pem"]
    } else {
      arguments += ["--no-tls", "\(port)"]
    }
    process = try program.background(arguments)
    uri = "\(isSecure ? "https" : "http")://127.0.0.1:\(port)/row"
    try awaitStart(port)
  }

  deinit {
    // It has nothing to tidy up, and a thread that blocks signals has a child that is deaf to SIGTERM.
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Free when asked; nobody keeps it so.
  private static func freePort() throws(BenchError) -> UInt16 {
    do {
      let listener = try Listener(try SocketAddress("127.0.0.1:0"))
      return try SocketAddress(boundTo: listener.descriptor).port
    } catch { throw .failed("there is no free port: \(error)") }
  }

  private static func makeCertificate(_ folder: String) throws(BenchError) {
    do throws(TLSRefusal) {
      try CertificateAuthority(name: "fsbench").issueNode(cluster: "fsbench", id: NodeID(1))
        .write(certificateFile: "\(folder)/certificate.pem", keyFile: "\(folder)/key.pem")
    } catch { throw .failed("nghttpd's certificate cannot be made: \(error)") }
  }

  private func awaitStart(_ port: UInt16) throws(BenchError) {
    for _ in 0..<100 where process.isRunning {
      do {
        Sockets.closeNow(try Sockets.connectBlocking(to: try SocketAddress("127.0.0.1:\(port)")))
        return
      } catch { usleep(20_000) }
    }
    throw .failed("nghttpd does not listen on port \(port)")
  }
}
