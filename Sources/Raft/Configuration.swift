// Who belongs to a group, and the bytes of a configuration entry.

import Primitives

/// A replica's identity: the node, and the data directory that it had when it became a member.
package struct Member: Hashable, Comparable, Sendable, CustomStringConvertible {
  package var node: NodeID
  package var incarnation: Incarnation

  package init(node: NodeID, incarnation: Incarnation) {
    self.node = node
    self.incarnation = incarnation
  }

  package static func < (a: Member, b: Member) -> Bool { (a.node, a.incarnation) < (b.node, b.incarnation) }
  package var description: String { "\(node)" }
}

/// The members of a group. It is joint, and decisions need both majorities, while `outgoing` is not empty.
package struct Configuration: Equatable, Sendable {
  /// Those who vote, ascending.
  package var voters: [Member]
  /// The voters of the configuration that is being left, ascending; empty when no change is under way.
  package var outgoing: [Member]
  /// Those who get the log and do not vote, ascending.
  package var learners: [Member]

  package init(voters: [Member], outgoing: [Member] = [], learners: [Member] = []) {
    self.voters = voters.sorted()
    self.outgoing = outgoing.sorted()
    self.learners = learners.sorted()
  }

  package func isVoter(_ member: Member) -> Bool { voters.contains(member) || outgoing.contains(member) }
  package func contains(_ member: Member) -> Bool { isVoter(member) || learners.contains(member) }

  /// All members but `me`, each once, ascending.
  package func peers(of me: Member) -> [Member] {
    var peers: [Member] = []
    for member in (voters + outgoing + learners).sorted() where member != me && member != peers.last {
      peers.append(member)
    }
    return peers
  }
}

// MARK: Bytes: the payload of a configuration entry

extension Configuration {
  /// The most members that one of the three lists may have.
  package static let membersMax = 64

  /// Format 1: u8 = 1, then for voters, outgoing and learners: u8 count, and of each member u32 node, u64 incarnation.
  package func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 4 + 12 * (voters.count + outgoing.count + learners.count))
    writer.write(UInt8(1))
    for list in [voters, outgoing, learners] {
      precondition(list.count <= Configuration.membersMax, "a configuration within its limit")
      writer.write(UInt8(list.count))
      for member in list {
        writer.write(member.node.rawValue)
        writer.write(member.incarnation.rawValue)
      }
    }
    return writer.bytes
  }

  /// Reads what `encoded` wrote. Refuses lists that are unsorted or repeat a member, and a configuration without voters.
  package init(decoding bytes: [UInt8]) throws(DecodeError) {
    self = try decode(bytes) { (reader: inout ByteReader) throws(DecodeError) -> Configuration in
      guard try reader.read(UInt8.self) == 1 else { throw .invalid("a configuration of an unknown format") }
      let voters = try Configuration.readMembers(&reader)
      let outgoing = try Configuration.readMembers(&reader)
      let learners = try Configuration.readMembers(&reader)
      guard !voters.isEmpty else { throw .invalid("a configuration without voters") }
      return Configuration(voters: voters, outgoing: outgoing, learners: learners)
    }
  }

  private static func readMembers(_ reader: inout ByteReader) throws(DecodeError) -> [Member] {
    let count = Int(try reader.read(UInt8.self))
    guard count <= membersMax else { throw .invalid("a configuration over its limit") }
    var members: [Member] = []
    for _ in 0..<count {
      let member = Member(node: NodeID(try reader.read()), incarnation: Incarnation(try reader.read()))
      if let last = members.last, last >= member { throw .invalid("members out of order") }
      members.append(member)
    }
    return members
  }
}
