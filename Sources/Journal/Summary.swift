import Primitives
import Raft

// What a block held, told by the blocks after it: so that a damaged block's contents are known by name.
//
// A block repeats the summaries of all blocks still in flight when it was made and of at least the two before it:
//   varint  number of blocks, then for each, oldest first:
//   varint  own sequence minus the block's sequence        varint  the block's length in pages of 4096
//   varint  number of groups, then for each:
//     varint shard    u8 flags: 1 entries, 2 hard state, 4 vote
//     entries:    varint first index, varint last index - first index, varint first term, varint last term
//     hard state: varint term;   vote: u32 node, u64 incarnation

/// What one block said about one group. An entry of which the block holds only a fragment counts.
package struct GroupSummary: Equatable, Sendable {
  package var shard: ShardID
  /// The lowest index appended in the block; zero when it holds no entry of the group.
  package var first = LogIndex.zero
  /// The end of the group's log after the block.
  package var last = LogIndex.zero
  package var firstTerm = Term.zero
  package var lastTerm = Term.zero
  package var hardState: HardState?

  init(shard: ShardID) { self.shard = shard }

  mutating func note(index: LogIndex, term: Term) {
    if first == .zero || index <= first {
      first = index
      firstTerm = term
    }
    last = index
    lastTerm = term
  }
}

package struct BlockSummary: Equatable, Sendable {
  package var sequence: UInt64
  package var pages: UInt32
  package var groups: [GroupSummary]
}

/// A summary ready to be repeated: the groups are encoded once.
struct EncodedSummary: Equatable, Sendable {
  let sequence: UInt64
  let pages: UInt32
  let groupCount: Int
  let groups: [UInt8]

  init(sequence: UInt64, pages: UInt32, groups: [GroupSummary]) {
    self.sequence = sequence
    self.pages = pages
    groupCount = groups.count
    var writer = ByteWriter(capacity: groups.count * 24)
    for group in groups { group.encode(to: &writer) }
    self.groups = writer.bytes
  }

  /// The most bytes it takes in a block.
  var bytesMax: Int { groups.count + 15 }

  func encode(to writer: inout ByteWriter, by own: UInt64) {
    writer.writeVarint(own - sequence)
    writer.writeVarint(UInt64(pages))
    writer.writeVarint(UInt64(groupCount))
    writer.writeBytes(groups)
  }
}

extension GroupSummary {
  /// The most bytes that a group's summary takes, whatever its numbers are.
  static let encodedBytesMax = 10 + 1 + 4 * 10 + 10 + 12

  func encode(to writer: inout ByteWriter) {
    writer.writeVarint(shard.rawValue)
    let flags: UInt8 = (first == .zero ? 0 : 1) | (hardState == nil ? 0 : 2) | (hardState?.vote == nil ? 0 : 4)
    writer.write(flags)
    if first != .zero {
      writer.writeVarint(first.rawValue)
      writer.writeVarint(last.rawValue - first.rawValue)
      writer.writeVarint(firstTerm.rawValue)
      writer.writeVarint(lastTerm.rawValue)
    }
    guard let hardState else { return }
    writer.writeVarint(hardState.term.rawValue)
    guard let vote = hardState.vote else { return }
    writer.write(vote.node.rawValue)
    writer.write(vote.incarnation.rawValue)
  }

  init(from reader: inout ByteReader) throws(DecodeError) {
    shard = ShardID(try reader.readVarint())
    let flags: UInt8 = try reader.read()
    guard flags <= 7, flags & 6 != 4 else { throw .invalid("a group summary's flags") }
    if flags & 1 != 0 {
      first = LogIndex(try reader.readVarint())
      let (end, overflow) = first.rawValue.addingReportingOverflow(try reader.readVarint())
      guard !overflow else { throw .invalid("a group summary's last index") }
      last = LogIndex(end)
      firstTerm = Term(try reader.readVarint())
      lastTerm = Term(try reader.readVarint())
    }
    guard flags & 2 != 0 else { return }
    hardState = HardState(term: Term(try reader.readVarint()), vote: nil)
    guard flags & 4 != 0 else { return }
    hardState?.vote = Member(node: NodeID(try reader.read()), incarnation: Incarnation(try reader.read()))
  }
}

/// The summaries in a block of sequence `own`.
func decodeSummaries(_ bytes: UnsafeRawBufferPointer, own: UInt64) throws(DecodeError) -> [BlockSummary] {
  var reader = ByteReader(bytes)
  var result: [BlockSummary] = []
  for _ in 0..<(try reader.readVarint()) {
    let back = try reader.readVarint()
    guard back > 0, back <= own else { throw .invalid("a summary of a later block") }
    let pages = try reader.readVarint()
    guard pages <= 64 else { throw .invalid("a summary of too long a block") }
    var groups: [GroupSummary] = []
    for _ in 0..<(try reader.readVarint()) { groups.append(try GroupSummary(from: &reader)) }
    result.append(BlockSummary(sequence: own - back, pages: UInt32(pages), groups: groups))
  }
  guard reader.isAtEnd else { throw .invalid("bytes behind the summaries") }
  return result
}
