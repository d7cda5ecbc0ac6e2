import CLinux
import Glibc

/// A socket that listens; closed with its owner. What it accepts has TCP_NODELAY and keep-alive.
package struct Listener: ~Copyable, Sendable {
  package let descriptor: Int32
  /// Where it listens; the port is the real one, also when 0 was asked for.
  package let address: SocketAddress

  /// Binds and listens. Errors: `isAddressInUse`, `isAddressUnknown` (not of this machine), `isForbidden` (a low port).
  package init(_ address: SocketAddress, backlog: Int32 = 1024) throws(SystemError) {
    let descriptor = try Sockets.make(for: address)
    do throws(SystemError) {
      try Sockets.set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
      if address.isIPv6 { try Sockets.set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 1) }
      let bound = address.withPointer { bind(descriptor, $0, $1) }
      guard bound == 0 else { throw SystemError("bind", address.description) }
      guard listen(descriptor, backlog) == 0 else { throw SystemError("listen", address.description) }
      self.address = try SocketAddress(boundTo: descriptor)
      self.descriptor = descriptor
    } catch {
      Glibc.close(descriptor)
      throw error
    }
  }

  deinit { Glibc.close(descriptor) }
}

/// Plain sockets, as descriptors: they end by `Ring.close`.
package enum Sockets {
  /// A stream socket of the address's family, close-on-exec, with TCP_NODELAY and keep-alive (60 s, then 4 probes of 15 s).
  package static func make(for address: SocketAddress) throws(SystemError) -> Int32 {
    let family = address.isIPv6 ? AF_INET6 : AF_INET
    let descriptor = socket(family, fs_sock_stream | fs_sock_cloexec, 0)
    guard descriptor >= 0 else { throw SystemError("socket", address.description) }
    do throws(SystemError) {
      let tcp = Int32(IPPROTO_TCP)
      try set(descriptor, tcp, TCP_NODELAY, 1)
      try set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
      try set(descriptor, tcp, TCP_KEEPIDLE, 60)
      try set(descriptor, tcp, TCP_KEEPINTVL, 15)
      try set(descriptor, tcp, TCP_KEEPCNT, 4)
    } catch {
      Glibc.close(descriptor)
      throw error
    }
    return descriptor
  }

  /// Ends a connection whose sent bytes stay unacknowledged for so long: a dead peer is noticed in seconds.
  package static func setSendTimeout(_ descriptor: Int32, milliseconds: Int32) throws(SystemError) {
    try set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, milliseconds)
  }

  static func set(_ descriptor: Int32, _ level: Int32, _ name: Int32, _ value: Int32) throws(SystemError) {
    var value = value
    guard setsockopt(descriptor, level, name, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
      throw SystemError("setsockopt", "socket \(descriptor)")
    }
  }

  /// Connects and waits for it: for tools and tests. The socket stays blocking; the ring does not mind.
  package static func connectBlocking(to address: SocketAddress) throws(SystemError) -> Int32 {
    let descriptor = try make(for: address)
    guard address.withPointer({ connect(descriptor, $0, $1) }) == 0 else {
      let error = SystemError("connect", address.description)
      Glibc.close(descriptor)
      throw error
    }
    return descriptor
  }

  /// Closes a descriptor that has no operation on a ring.
  package static func closeNow(_ descriptor: Int32) { Glibc.close(descriptor) }
}
