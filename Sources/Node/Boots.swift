import Journal
import Primitives

/// The starts of a data directory: the file `boots`, replaced as a whole at each start before anything happens in its name, and
/// again when its start block is durable. From then on a log that ends before that start has lost a file.
///
/// A start has a number, one above the last, and a random nonce. Two directories that were copied from one another have
/// lists that part, so a peer that remembers the last pair it accepted can tell them.
///
///     offset  size  field
///          0     7  magic "FSboots"
///          7     1  format version, the digit 2
///          8     8  data directory id
///         16     8  boot number of the last start whose start block is durable; 0 for none
///         24     4  the log's file that it was written to
///         28     4  count of pairs
///         32     …  for each: boot number u64, nonce u64
///          …     4  CRC-32C of all before
package struct Boots: Equatable, Sendable {
  package struct Boot: Equatable, Sendable {
    package var number: UInt64
    package var nonce: UInt64
    package init(number: UInt64, nonce: UInt64) {
      self.number = number
      self.nonce = nonce
    }
  }

  /// Older pairs are dropped beyond this; peers remember only the last that they accepted.
  package static let countMax = 4096
  private static let magic = Array("FSboots".utf8)
  private static let version = UInt8(ascii: "2")

  package var directory: UInt64
  package private(set) var list: [Boot]
  /// The last start whose start block is durable.
  package private(set) var opened: OpenedStart?

  package init(directory: UInt64) {
    self.directory = directory
    list = []
  }

  package var last: Boot? { list.last }

  /// Adds the next start. Make the encoded list durable before doing anything in its name.
  package mutating func add(nonce: UInt64) -> Boot {
    let boot = Boot(number: (list.last?.number ?? 0) + 1, nonce: nonce)
    list.append(boot)
    if list.count > Self.countMax { list.removeFirst(list.count - Self.countMax) }
    return boot
  }

  /// The start block of the last start is durable.
  package mutating func noteOpened(_ start: OpenedStart) {
    precondition(start.boot == last?.number, "the start that is under way")
    opened = start
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 36 + 16 * list.count)
    writer.writeBytes(Self.magic)
    writer.write(Self.version)
    writer.write(directory)
    writer.write(opened?.boot ?? 0)
    writer.write(opened?.file ?? 0)
    writer.write(UInt32(list.count))
    for boot in list {
      writer.write(boot.number)
      writer.write(boot.nonce)
    }
    writer.write(crc32c(writer.bytes))
    return writer.bytes
  }

  package init(decoding bytes: [UInt8]) throws(DecodeError) {
    guard bytes.count >= 36 else { throw .truncated }
    let body = Array(bytes[..<(bytes.count - 4)])
    let expected = crc32c(body)
    self = try decode(bytes) { (reader) throws(DecodeError) in
      guard try reader.readBytes(7).elementsEqual(Self.magic) else { throw .invalid("this is no list of starts") }
      guard try reader.read(UInt8.self) == Self.version else { throw .invalid("a list of starts of another format") }
      var boots = Boots(directory: try reader.read())
      let opened = OpenedStart(boot: try reader.read(), file: try reader.read())
      let count: UInt32 = try reader.read()
      guard count <= UInt32(Self.countMax) else { throw .invalid("a list of starts over its limit") }
      for _ in 0..<count {
        let boot = Boot(number: try reader.read(), nonce: try reader.read())
        guard boot.number > boots.list.last?.number ?? 0, boot.number < .max else {
          throw .invalid("starts that do not rise")
        }
        boots.list.append(boot)
      }
      guard opened.boot <= boots.list.last?.number ?? 0, (opened.boot == 0) == (opened.file == 0) else {
        throw .invalid("a start that was opened and never counted")
      }
      if opened.boot > 0 { boots.opened = opened }
      guard try reader.read(UInt32.self) == expected else { throw .invalid("its checksum does not match") }
      return boots
    }
  }
}
