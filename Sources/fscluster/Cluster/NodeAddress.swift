/// `HOST:PORT` as given by `--node`: a host name, an IPv4 address or an IPv6 address in brackets.
struct NodeAddress: Hashable, CustomStringConvertible {
  /// Without brackets.
  let host: String
  let port: UInt16

  init(_ text: String) throws(CommandError) {
    let refusal = CommandError.usage(
      "`\(text)` is no address of a node", next: "Write HOST:PORT, for instance 127.0.0.1:7101 or [::1]:7101.")
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]), port > 0 else {
      throw refusal
    }
    var host = text[..<colon]
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
      guard host.contains(":") else { throw refusal }
    } else if host.contains(":") {
      throw refusal
    }
    guard !host.isEmpty, host.utf8.count <= 253, host.utf8.allSatisfy(NodeAddress.isHostByte) else { throw refusal }
    self.host = String(host)
    self.port = port
  }

  private static func isHostByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: ":"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  var isLoopback: Bool { host == "localhost" || host == "::1" || host.hasPrefix("127.") }

  var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
