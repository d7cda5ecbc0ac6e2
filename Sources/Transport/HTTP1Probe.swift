import Primitives

/// The little HTTP/1.1 that load balancers and Prometheus need: one GET of a probe's path, one answer, close.
///
/// Everything else is told in one line that HTTP/2 is spoken here.
package final class HTTP1Probe {
  package enum Request: Equatable, Sendable {
    /// GET or HEAD of a path (without its query).
    case probe(path: String, isHead: Bool)
    /// Another method: 505.
    case other
    /// No HTTP at all, or more than 8 KiB of it: 400.
    case malformed
  }

  private static let bytesMax = 8 << 10
  private var head: [UInt8] = []

  package init() {}

  /// Takes bytes until the head is complete, then returns the request, once; what follows is ignored.
  package func receive(_ bytes: UnsafeRawBufferPointer) -> Request? {
    guard head.count <= HTTP1Probe.bytesMax else { return nil }
    head.append(contentsOf: bytes.prefix(HTTP1Probe.bytesMax + 1 - head.count))
    if head.count > HTTP1Probe.bytesMax { return .malformed }
    guard hasEnd else { return looksLikeHTTP ? nil : finish(.malformed) }
    return finish(parse())
  }

  private func finish(_ request: Request) -> Request {
    head = [UInt8](repeating: 0, count: HTTP1Probe.bytesMax + 1)
    return request
  }

  /// An empty line ends the head.
  private var hasEnd: Bool {
    var newlines = 0
    for byte in head {
      if byte == 10 {
        newlines += 1
        if newlines == 2 { return true }
      } else if byte != 13 {
        newlines = 0
      }
    }
    return false
  }

  /// A method is of capital letters: binary rubbish is answered at once.
  private var looksLikeHTTP: Bool {
    let word = head.prefix { $0 != 32 }
    return word.count <= 16 && word.allSatisfy { $0 >= 65 && $0 <= 90 }
  }

  private func parse() -> Request {
    let line = head.prefix { $0 != 10 && $0 != 13 }
    let parts = line.split(separator: 32, omittingEmptySubsequences: false)
    guard parts.count == 3, parts[2].starts(with: Array("HTTP/1.".utf8)), looksLikeHTTP else { return .malformed }
    let method = String(decoding: parts[0], as: UTF8.self)
    guard method == "GET" || method == "HEAD" else { return .other }
    let path = parts[1].prefix { $0 != 63 }
    guard let text = String(validating: path, as: UTF8.self), text.hasPrefix("/") else { return .malformed }
    return .probe(path: text, isHead: method == "HEAD")
  }

  /// A whole answer of HTTP/1.1 that ends the connection.
  package static func answer(
    status: Int, reason: StaticString, contentType: StaticString = "text/plain; charset=utf-8",
    body: UnsafeRawBufferPointer,
    withBody: Bool = true, into output: OutputBuffer
  ) {
    output.append("HTTP/1.1 ")
    output.append(text: String(status))
    output.append(" ")
    output.append(reason)
    output.append("\r\ncontent-type: ")
    output.append(contentType)
    output.append("\r\ncontent-length: ")
    output.append(text: String(body.count))
    output.append("\r\nconnection: close\r\n\r\n")
    if withBody { output.append(body) }
  }
}
