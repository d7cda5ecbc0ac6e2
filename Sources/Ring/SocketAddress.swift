import CLinux
import Glibc

/// An IPv4 or IPv6 address with a port.
package struct SocketAddress: Sendable, CustomStringConvertible {
  private var storage: sockaddr_storage
  private let count: socklen_t

  /// Why a text names no address.
  package struct Refusal: Error, Equatable, Sendable, CustomStringConvertible {
    package let text: String
    package let reason: String
    package var description: String { "`\(text)` is no address: \(reason)" }
  }

  /// Reads `127.0.0.1:7101`, `[::1]:7101` or `name:7101`. A name is looked up, which may take the resolver's time: at
  /// start and in tools, not in a turn of the loop.
  package init(_ text: String) throws(Refusal) {
    guard let (host, port) = SocketAddress.split(text) else {
      throw Refusal(text: text, reason: "write HOST:PORT, with an IPv6 address in brackets")
    }
    var hints = addrinfo()
    hints.ai_socktype = fs_sock_stream
    hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG
    var list: UnsafeMutablePointer<addrinfo>?
    var code = getaddrinfo(host, port, &hints, &list)
    if code != 0 {
      hints.ai_flags = AI_NUMERICSERV  // a machine with loopback only
      code = getaddrinfo(host, port, &hints, &list)
    }
    defer { freeaddrinfo(list) }
    guard code == 0, let first = list, let address = first.pointee.ai_addr else {
      throw Refusal(text: text, reason: String(cString: gai_strerror(code)))
    }
    storage = sockaddr_storage()
    count = first.pointee.ai_addrlen
    withUnsafeMutableBytes(of: &storage) {
      $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(count)))
    }
  }

  /// The host and the port of `HOST:PORT`; the brackets of an IPv6 host are taken off.
  package static func split(_ text: String) -> (host: String, port: String)? {
    guard let colon = text.lastIndex(of: ":") else { return nil }
    var host = text[..<colon]
    let port = text[text.index(after: colon)...]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard !host.isEmpty, UInt16(port) != nil else { return nil }
    return (String(host), String(port))
  }

  /// The address that a socket is bound to; also tells the port that the system chose for port 0.
  package init(boundTo descriptor: Int32) throws(SystemError) {
    var storage = sockaddr_storage()
    var count = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let code = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &count) }
    }
    guard code == 0 else { throw SystemError("getsockname", "socket \(descriptor)") }
    self.storage = storage
    self.count = count
  }

  /// The other end of a connected socket.
  package init(peerOf descriptor: Int32) throws(SystemError) {
    var storage = sockaddr_storage()
    var count = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let code = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &count) }
    }
    guard code == 0 else { throw SystemError("getpeername", "socket \(descriptor)") }
    self.storage = storage
    self.count = count
  }

  package var isIPv6: Bool { Int32(storage.ss_family) == AF_INET6 }

  package var isLoopback: Bool {
    let (host, _) = numeric
    return host.hasPrefix("127.") || host == "::1" || host.hasPrefix("::ffff:127.")
  }

  package var port: UInt16 { UInt16(numeric.port) ?? 0 }

  package var description: String {
    let (host, port) = numeric
    return isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)"
  }

  private var numeric: (host: String, port: String) {
    var host = [CChar](repeating: 0, count: 64)
    var port = [CChar](repeating: 0, count: 16)
    let code = withPointer { pointer, count in
      getnameinfo(pointer, count, &host, 64, &port, 16, NI_NUMERICHOST | NI_NUMERICSERV)
    }
    guard code == 0 else { return ("?", "0") }
    return (text(host), text(port))
  }

  private func text(_ characters: [CChar]) -> String {
    String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  package func withPointer<R>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    withUnsafePointer(to: storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, count) }
    }
  }
}
