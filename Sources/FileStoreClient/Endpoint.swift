/// A node as clients name it: `https://127.0.0.1:7101`. `http://` is for clusters with `insecure: true`, on loopback.
public struct Endpoint: Hashable, Sendable, CustomStringConvertible {
  public let isSecure: Bool
  /// Without brackets.
  public let host: String
  public let port: UInt16

  public init(isSecure: Bool = true, host: String, port: UInt16) {
    self.isSecure = isSecure
    self.host = host
    self.port = port
  }

  /// Reads `https://HOST:PORT`, `http://HOST:PORT` or `HOST:PORT` (https), with an IPv6 host in brackets. A final slash
  /// is allowed. Nil for anything else.
  public init?(_ text: some StringProtocol) {
    var rest = Substring(text)
    var secure = true
    if rest.hasPrefix("https://") {
      rest = rest.dropFirst(8)
    } else if rest.hasPrefix("http://") {
      rest = rest.dropFirst(7)
      secure = false
    }
    if rest.hasSuffix("/") { rest = rest.dropLast() }
    guard let colon = rest.lastIndex(of: ":"), let port = UInt16(rest[rest.index(after: colon)...]), port > 0 else {
      return nil
    }
    var host = rest[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      return nil
    }
    guard !host.isEmpty, !host.contains("/"), !host.contains(" ") else { return nil }
    self.init(isSecure: secure, host: String(host), port: port)
  }

  /// `HOST:PORT`, as HTTP's `:authority` and as a name for the resolver.
  public var authority: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

  public var description: String { (isSecure ? "https://" : "http://") + authority }
}
