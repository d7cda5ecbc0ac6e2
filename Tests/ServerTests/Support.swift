import Node
import Transport

@testable import Server

/// A request from literals, alive while `body` runs.
func withRequest<R>(
  _ method: HTTPMethod, _ target: String, body: String = "", _ headers: [KnownHeader: String] = [:],
  unknown: String? = nil,
  _ use: (RequestHead) -> R
) -> R {
  let names = [target, body, unknown ?? ""] + headers.values
  let buffers = names.map { text -> UnsafeMutableRawBufferPointer in
    let bytes = Array(text.utf8)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, bytes.count), alignment: 1)
    buffer.copyBytes(from: bytes)
    return UnsafeMutableRawBufferPointer(rebasing: buffer[..<bytes.count])
  }
  defer { for buffer in buffers { buffer.deallocate() } }
  func value(_ name: KnownHeader) -> UnsafeRawBufferPointer? {
    guard let text = headers[name], let at = names.indices.dropFirst(3).first(where: { names[$0] == text }) else {
      return nil
    }
    return UnsafeRawBufferPointer(buffers[at])
  }
  var head = RequestHead()
  head.method = method
  head.target = UnsafeRawBufferPointer(buffers[0])
  head.body = UnsafeRawBufferPointer(buffers[1])
  head.unknownHeader = unknown.map { _ in UnsafeRawBufferPointer(buffers[2]) }
  head.contentType = value(.contentType)
  head.accept = value(.accept)
  head.ifMatch = value(.ifMatch)
  head.ifNoneMatch = value(.ifNoneMatch)
  head.timeout = value(.fsTimeout)
  head.read = value(.fsRead)
  head.route = value(.fsRoute)
  head.transaction = value(.fsTransaction)
  head.idempotencyKey = value(.idempotencyKey)
  return use(head)
}

func route(
  _ method: HTTPMethod, _ target: String, body: String = "", _ headers: [KnownHeader: String] = [:],
  unknown: String? = nil
) -> Route {
  withRequest(method, target, body: body, headers, unknown: unknown) { Router.route($0) }
}

/// The code of a refusal; nil when the request was accepted.
func refusal(
  _ method: HTTPMethod, _ target: String, body: String = "", _ headers: [KnownHeader: String] = [:],
  unknown: String? = nil
) -> ErrorCode? {
  if case .refused(let problem, _) = route(method, target, body: body, headers, unknown: unknown) {
    return problem.code
  }
  return nil
}

func path(_ table: String, _ key: String) -> RowPath { RowPath(table: table, key: Array(key.utf8)) }
