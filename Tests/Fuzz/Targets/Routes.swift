import Primitives
import Tables

@testable import Node
@testable import Server
@testable import Transport

extension FuzzTarget {
  /// Requests: a line `METHOD TARGET`, lines `header: value`, an empty line, the body.
  static let router = FuzzTarget("router", memory: MemoryBound(base: 256 << 10, perInputByte: 64)) { input in
    let request = ParsedRequest(input)
    request.withHead { head in
      switch Router.route(head) {
      case .operation(let operation):
        if !operation.isAboutNodes { checkIsForwarded(operation) }
      case .stream(let query, let rowsMax, let snapshot):
        require(rowsMax != 0, "a stream has rows")
        let scan = Operation.scan(query)
        checkIsForwarded(snapshot.map { .snapshot($0, scan) } ?? scan)
      case .probe: break
      case .refused(let problem, let allow): checkProblem(problem, allow)
      }
    }
  }

  /// What one node sends on, the leader reads as it was.
  private static func checkIsForwarded(_ operation: Operation) {
    var writer = ByteWriter()
    let message = PeerMessage.forward(id: 1, remaining: .seconds(1), operation)
    message.encode(into: &writer)
    do throws(DecodeError) {
      require(try PeerMessage.decodeAll(writer.bytes) == [message], "an operation is forwarded as it came")
    } catch { fatalError("a forwarded operation cannot be read: \(error.message)") }
  }

  private static func checkProblem(_ problem: Problem, _ allow: String?) {
    require(problem.code.status >= 400 && problem.code != .internalError, "a refusal is the client's to mend")
    require((problem.code == .methodNotAllowed) == (allow != nil), "405 says what is allowed")
    checkJSON(problemBody(problem, requestID: "n1-1"))
  }
}

/// A request taken apart as HTTP/2 would deliver it.
private struct ParsedRequest {
  private let method: HTTPMethod
  private let target: [UInt8]
  private var body: [UInt8] = []
  private var headers: [KnownHeader: [UInt8]] = [:]
  private var repeated: KnownHeader?
  private var unknown: [UInt8]?

  init(_ input: Input) {
    var input = input
    let words = input.line().words(2)
    method = words[0].withUnsafeBufferPointer { name in
      name.baseAddress.map { HTTPMethod($0, name.count) } ?? .other
    }
    target = words.count > 1 ? words[1] : []
    while case let line = input.line(), !line.isEmpty {
      let parts = line.split(separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
      take(Array(parts[0]), parts.count > 1 ? Array(parts[1].drop { $0 == 0x20 }) : [])
    }
    body = input.rest()
  }

  private mutating func take(_ name: [UInt8], _ value: [UInt8]) {
    let known = name.withUnsafeBufferPointer { name in name.baseAddress.flatMap { KnownHeader($0, name.count) } }
    if let known {
      if headers.updateValue(headers[known] ?? value, forKey: known) != nil { repeated = repeated ?? known }
    } else if name.starts(with: utf8("fs-")) {
      unknown = unknown ?? name
    }
  }

  /// Calls `use` with the head, whose bytes live so long.
  func withHead(_ use: (RequestHead) -> Void) {
    var held: [UnsafeMutableRawBufferPointer] = []
    defer { for buffer in held { buffer.deallocate() } }
    func raw(_ bytes: [UInt8]) -> UnsafeRawBufferPointer {
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
      buffer.copyBytes(from: bytes)
      held.append(buffer)
      return UnsafeRawBufferPointer(buffer)
    }
    func header(_ name: KnownHeader) -> UnsafeRawBufferPointer? { headers[name].map { raw($0) } }
    var head = RequestHead()
    (head.method, head.target, head.body) = (method, raw(target), raw(body))
    (head.contentType, head.accept, head.timeout) = (header(.contentType), header(.accept), header(.fsTimeout))
    (head.ifMatch, head.ifNoneMatch, head.read) = (header(.ifMatch), header(.ifNoneMatch), header(.fsRead))
    (head.route, head.transaction) = (header(.fsRoute), header(.fsTransaction))
    (head.idempotencyKey, head.unknownHeader, head.repeated) = (
      header(.idempotencyKey), unknown.map { raw($0) }, repeated
    )
    use(head)
  }
}
