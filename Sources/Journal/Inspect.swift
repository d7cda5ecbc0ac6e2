import Primitives
import Raft

// What stands in a segment file, as values for people to look at. Judges nothing but checksums; needs no other file.

package struct InspectedRecord: Equatable, Sendable {
  package var kind: RecordKind
  package var shard: ShardID
  package var index: LogIndex
  package var term: Term
  /// Of an append.
  package var entryKind: EntryKind?
  /// Of a hard state.
  package var vote: Member?
  package var isFirstFragment: Bool
  package var isLastFragment: Bool
  /// Bytes of payload in this record, and of the whole payload over all fragments.
  package var bytes: Int
  package var total: Int
}

package struct InspectedBlock: Equatable, Sendable {
  package var offset: UInt64
  package var header: BlockHeader
  package var start: StartPayload?
  package var summaries: [BlockSummary]
  package var records: [InspectedRecord]
  /// True when the checksum is right but the content says what no writer writes.
  package var isMalformed: Bool
}

package enum InspectedPart: Equatable, Sendable {
  case block(InspectedBlock)
  /// Pages that begin with a block's magic but hold no whole block.
  case badBlock(offset: UInt64, claimedLength: Int?)
  case unknownVersion(offset: UInt64, version: UInt16)
}

/// Lists all blocks of `file`, of whatever use and boot; pages without a block are passed over.
package func inspectSegment(
  _ source: any JournalSource, file: JournalFile
) throws(JournalRefusal) -> [InspectedPart] {
  let window = SegmentWindow(source)
  var parts: [InspectedPart] = []
  var offset: UInt64 = 0
  while offset + UInt64(JournalFormat.pageBytes) <= file.bytes {
    let (part, length) = try inspectPage(window, file: file, at: offset)
    if let part { parts.append(part) }
    offset += UInt64(length)
  }
  return parts
}

private func inspectPage(
  _ window: SegmentWindow, file: JournalFile, at offset: UInt64
) throws(JournalRefusal) -> (InspectedPart?, Int) {
  let page = JournalFormat.pageBytes
  switch try window.block(of: file, at: offset) {
  case .success(let block): return (.block(inspect(block, at: offset)), block.bytes.count)
  case .failure(.version(let version)): return (.unknownVersion(offset: offset, version: version), page)
  case .failure:
    guard let bytes = try window.bytes(of: file, at: offset, count: page, ahead: 0),
      read32(bytes, 0) == JournalFormat.magic
    else { return (nil, page) }
    return (.badBlock(offset: offset, claimedLength: BlockView.claimedLength(bytes)), page)
  }
}

private func inspect(_ block: BlockView, at offset: UInt64) -> InspectedBlock {
  var result = InspectedBlock(
    offset: offset, header: block.header, start: block.start, summaries: [], records: [], isMalformed: false)
  do throws(DecodeError) { result.summaries = try block.summaries() } catch { result.isMalformed = true }
  guard block.header.kind == .records else { return result }
  var cursor = RecordCursor(block.payload)
  while let (header, payload) = cursor.next() { result.records.append(inspect(header, payload)) }
  result.isMalformed = result.isMalformed || cursor.isMalformed
  return result
}

private func inspect(_ header: RecordHeader, _ payload: UnsafeRawBufferPointer) -> InspectedRecord {
  InspectedRecord(
    kind: header.kind, shard: header.shard, index: header.index, term: header.term,
    entryKind: header.kind == .append ? EntryKind(rawValue: header.entryKind) : nil,
    vote: header.kind == .hardState ? decodeHardState(header, payload)?.vote : nil,
    isFirstFragment: header.isFirst, isLastFragment: header.isLast, bytes: Int(header.bytes),
    total: Int(header.total))
}
