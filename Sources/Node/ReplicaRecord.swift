import Primitives
import Raft
import Tables

/// What a checkpoint says of a shard besides its rows: the metadata of the shard in the store.
///
///     offset  size  field
///          0     1  format, 2
///          1     8  applied index
///          9     4  applied ordinal: commands of the next entry that are applied too
///         13     8  term of the applied index
///         21    73  totals: state hash, rows, history
///         94     8  index of the configuration
///        102     4  length of the configuration, then the configuration
///          …     8  term of the hard state
///          …     1  1 if a vote was cast; then node u32, incarnation u64
package struct ReplicaRecord: Equatable, Sendable {
  package var appliedIndex: LogIndex
  /// Commands of the entry behind `appliedIndex` that are applied too.
  package var appliedOrdinal: UInt32
  package var appliedTerm: Term
  package var totals: ShardTotals
  package var configurationIndex: LogIndex
  package var configuration: Configuration
  package var hardState: HardState

  private static let formatVersion: UInt8 = 2

  package func encoded() -> [UInt8] {
    var writer = ByteWriter(capacity: 128)
    writer.write(ReplicaRecord.formatVersion)
    writer.write(appliedIndex.rawValue)
    writer.write(appliedOrdinal)
    writer.write(appliedTerm.rawValue)
    totals.encode(into: &writer)
    writer.write(configurationIndex.rawValue)
    let configuration = configuration.encoded()
    writer.write(UInt32(configuration.count))
    writer.writeBytes(configuration)
    writer.write(hardState.term.rawValue)
    writer.write(UInt8(hardState.vote == nil ? 0 : 1))
    if let vote = hardState.vote {
      writer.write(vote.node.rawValue)
      writer.write(vote.incarnation.rawValue)
    }
    return writer.bytes
  }

  package init(
    appliedIndex: LogIndex, appliedOrdinal: UInt32 = 0, appliedTerm: Term, totals: ShardTotals,
    configurationIndex: LogIndex,
    configuration: Configuration, hardState: HardState
  ) {
    self.appliedIndex = appliedIndex
    self.appliedOrdinal = appliedOrdinal
    self.appliedTerm = appliedTerm
    self.totals = totals
    self.configurationIndex = configurationIndex
    self.configuration = configuration
    self.hardState = hardState
  }

  package init(decoding bytes: [UInt8]) throws(DecodeError) {
    self = try decode(bytes) { (reader) throws(DecodeError) in try ReplicaRecord(from: &reader) }
  }

  private init(from reader: inout ByteReader) throws(DecodeError) {
    guard try reader.read(UInt8.self) == ReplicaRecord.formatVersion else {
      throw .invalid("a shard record of an unknown format")
    }
    appliedIndex = try ReplicaRecord.index(&reader)
    appliedOrdinal = try reader.read()
    appliedTerm = try ReplicaRecord.term(&reader)
    totals = try ShardTotals(from: &reader)
    configurationIndex = try ReplicaRecord.index(&reader)
    let count: UInt32 = try reader.read()
    configuration = try Configuration(decoding: [UInt8](try reader.readBytes(Int(count))))
    let term = try ReplicaRecord.term(&reader)
    let voted: UInt8 = try reader.read()
    guard voted <= 1 else { throw .invalid("a flag that is neither 0 nor 1") }
    var vote: Member?
    if voted == 1 {
      let node = NodeID(try reader.read())
      vote = Member(node: node, incarnation: Incarnation(try reader.read()))
    }
    hardState = HardState(term: term, vote: vote)
  }

  private static func index(_ reader: inout ByteReader) throws(DecodeError) -> LogIndex {
    let index: UInt64 = try reader.read()
    guard index <= PeerLimits.indexMax else { throw .invalid("an index beyond every log") }
    return LogIndex(index)
  }

  private static func term(_ reader: inout ByteReader) throws(DecodeError) -> Term {
    let term: UInt64 = try reader.read()
    guard term <= PeerLimits.termMax else { throw .invalid("a term beyond every election") }
    return Term(term)
  }
}
