import Glibc

/// The process that listens on a port of this machine, to name it when the port is taken. From /proc; of processes of other users only
/// root sees the descriptors.
package struct PortHolder: Equatable, Sendable, CustomStringConvertible {
  package let process: Int32
  package let name: String

  package var description: String { "\(name) (process \(process))" }

  /// Nil when nobody listens there, or it cannot be seen who.
  package static func find(port: UInt16) -> PortHolder? {
    let sockets = listening(on: port, in: "/proc/net/tcp") + listening(on: port, in: "/proc/net/tcp6")
    guard !sockets.isEmpty, let names = try? FileSystem.list("/proc") else { return nil }
    for process in names.compactMap({ Int32($0) }) where holds(process, sockets) {
      let name = String(decoding: readProc("/proc/\(process)/comm"), as: UTF8.self)
      return PortHolder(process: process, name: String(name.prefix { $0 != "\n" }))
    }
    return nil
  }

  /// The inodes of the listening sockets: `socket:[INODE]`, as links of /proc name them.
  private static func listening(on port: UInt16, in table: String) -> [String] {
    String(decoding: readProc(table), as: UTF8.self).split(separator: "\n").dropFirst().compactMap { line in
      let fields = line.split(separator: " ")
      // local address:port in hexadecimal, state 0A: listening, the inode.
      guard fields.count > 9, fields[3] == "0A", let colon = fields[1].lastIndex(of: ":"),
        UInt16(fields[1][fields[1].index(after: colon)...], radix: 16) == port
      else { return nil }
      return "socket:[\(fields[9])]"
    }
  }

  private static func holds(_ process: Int32, _ sockets: [String]) -> Bool {
    let directory = "/proc/\(process)/fd"
    guard let descriptors = try? FileSystem.list(directory) else { return false }
    var target = [CChar](repeating: 0, count: 64)
    for descriptor in descriptors {
      let count = readlink("\(directory)/\(descriptor)", &target, target.count)
      guard count > 0 else { continue }
      let link = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      if sockets.contains(link) { return true }
    }
    return false
  }

  /// Files of /proc have no size: read to the end, at most 4 MiB. Empty when it cannot be read.
  private static func readProc(_ path: String) -> [UInt8] {
    guard let file = try? File(path, .read) else { return [] }
    let chunk = AlignedBuffer(count: 64 << 10)
    var bytes: [UInt8] = []
    while bytes.count < 4 << 20 {
      let count = Glibc.read(file.descriptor, chunk.bytes.baseAddress, chunk.bytes.count)
      guard count > 0 else { break }
      bytes.append(contentsOf: chunk.bytes[..<count])
    }
    return bytes
  }
}
