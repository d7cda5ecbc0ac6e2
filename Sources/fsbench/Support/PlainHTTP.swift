import FileStoreClient
import Foundation
import Ring

/// One GET by HTTP/1.0 in plain text: for the metrics of others, who speak it all.
enum PlainHTTP {
  static func get(_ endpoint: Endpoint, _ path: String) throws(BenchError) -> String {
    let address: SocketAddress
    do throws(SocketAddress.Refusal) { address = try SocketAddress(endpoint.authority) } catch {
      throw .usage("\(error)")
    }
    let socket = try BenchError.system { () throws(SystemError) in try Sockets.connectBlocking(to: address) }
    defer { Sockets.closeNow(socket) }
    var limit = timeval(tv_sec: 10, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    let request = "GET \(path) HTTP/1.0\r\nhost: \(endpoint.authority)\r\n\r\n"
    guard send(socket, request, request.utf8.count, Int32(MSG_NOSIGNAL)) == request.utf8.count else {
      throw .failed("\(endpoint)\(path): \(systemText(errno))")
    }
    guard let body = body(of: try read(socket, "\(endpoint)\(path)")) else {
      throw .failed("\(endpoint)\(path) is not answered with 200")
    }
    return body
  }

  private static func read(_ socket: Int32, _ what: String) throws(BenchError) -> [UInt8] {
    var (all, part) = ([UInt8](), [UInt8](repeating: 0, count: 64 << 10))
    while true {
      let count = recv(socket, &part, part.count, 0)
      // Seen without any signal, while a ring of this thread had operations open.
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw .failed("\(what): \(systemText(errno))") }
      if count == 0 { return all }
      all += part[..<count]
    }
  }

  /// What follows the empty line of an answer with status 200.
  static func body(of answer: [UInt8]) -> String? {
    let text = String(decoding: answer, as: UTF8.self)
    guard text.prefix(12).hasSuffix(" 200"), let head = text.range(of: "\r\n\r\n") else { return nil }
    return String(text[head.upperBound...])
  }
}
