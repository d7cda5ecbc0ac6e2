import Primitives
import Raft

// Raft's messages on the wire. Raft itself knows no bytes.

private enum BodyKind: UInt8 {
  case preVote = 1
  case preVoteReply, vote, voteReply, append, appendReply, timeoutNow
}

extension RaftMessage {
  func encode(into writer: inout ByteWriter) {
    writer.writeVarint(shard.rawValue)
    writer.write(from)
    writer.write(to)
    writer.writeVarint(term.rawValue)
    switch body {
    case .preVote(let request): writer.write(request, as: .preVote)
    case .vote(let request): writer.write(request, as: .vote)
    case .preVoteReply(let granted):
      writer.write(BodyKind.preVoteReply.rawValue)
      writer.write(granted)
    case .voteReply(let granted):
      writer.write(BodyKind.voteReply.rawValue)
      writer.write(granted)
    case .append(let append):
      writer.write(BodyKind.append.rawValue)
      append.encode(into: &writer)
    case .appendReply(let reply):
      writer.write(BodyKind.appendReply.rawValue)
      reply.encode(into: &writer)
    case .timeoutNow(let target):
      writer.write(BodyKind.timeoutNow.rawValue)
      writer.write(target)
    }
  }

  init(from reader: inout ByteReader) throws(DecodeError) {
    let shard = ShardID(try reader.readVarint())
    let from = try reader.readMember()
    let to = try reader.readMember()
    let term = try reader.readTerm()
    self.init(shard: shard, from: from, to: to, term: term, body: try RaftMessage.readBody(&reader))
  }

  private static func readBody(_ reader: inout ByteReader) throws(DecodeError) -> Body {
    guard let kind = BodyKind(rawValue: try reader.read()) else { throw .invalid("an unknown Raft message") }
    switch kind {
    case .preVote: return .preVote(try VoteRequest(from: &reader))
    case .vote: return .vote(try VoteRequest(from: &reader))
    case .preVoteReply: return .preVoteReply(granted: try reader.readFlag())
    case .voteReply: return .voteReply(granted: try reader.readFlag())
    case .append: return .append(try Append(from: &reader))
    case .appendReply: return .appendReply(try AppendReply(from: &reader))
    case .timeoutNow: return .timeoutNow(target: try reader.readMember())
    }
  }
}

extension ByteWriter {
  fileprivate mutating func write(_ request: VoteRequest, as kind: BodyKind) {
    write(kind.rawValue)
    writeVarint(request.lastIndex.rawValue)
    writeVarint(request.lastTerm.rawValue)
    write(request.transfer)
  }
}

extension VoteRequest {
  init(from reader: inout ByteReader) throws(DecodeError) {
    let lastIndex = try reader.readIndex()
    let lastTerm = try reader.readTerm()
    self.init(lastIndex: lastIndex, lastTerm: lastTerm, transfer: try reader.readFlag())
  }
}

extension Append {
  func encode(into writer: inout ByteWriter) {
    writer.writeVarint(previousIndex.rawValue)
    writer.writeVarint(previousTerm.rawValue)
    writer.writeVarint(commit.rawValue)
    writer.writeVarint(heldByAll.rawValue)
    writer.write(sentAt.nanoseconds)
    writer.writeVarint(readRound)
    writer.writeVarint(UInt64(entries.count))
    for entry in entries { entry.encode(into: &writer) }
  }

  init(from reader: inout ByteReader) throws(DecodeError) {
    let previousIndex = try reader.readIndex()
    let previousTerm = try reader.readTerm()
    let commit = try reader.readIndex()
    let heldByAll = try reader.readIndex()
    let sentAt = Instant(nanoseconds: try reader.read())
    let readRound = try reader.readVarint()
    let count = try reader.readVarint()
    guard count <= UInt64(PeerLimits.entriesMax) else { throw .invalid("more entries than a message holds") }
    guard count <= UInt64(reader.remaining / Entry.encodedBytesMin) else {
      throw .invalid("more entries than the message has bytes for")
    }
    var entries: [Entry] = []
    entries.reserveCapacity(Int(count))
    var index = previousIndex
    for _ in 0..<count {
      index = index.next
      entries.append(try Entry(at: index, from: &reader))
    }
    self.init(
      previousIndex: previousIndex, previousTerm: previousTerm, entries: entries, commit: commit,
      heldByAll: heldByAll, sentAt: sentAt, readRound: readRound)
  }
}

extension Entry {
  /// Term, kind and length in a byte each.
  fileprivate static let encodedBytesMin = 3

  /// The index is not written: entries of a message follow each other.
  func encode(into writer: inout ByteWriter) {
    writer.writeVarint(term.rawValue)
    writer.write(kind.rawValue)
    writer.writeSized(payload)
  }

  init(at index: LogIndex, from reader: inout ByteReader) throws(DecodeError) {
    let term = try reader.readTerm()
    guard let kind = EntryKind(rawValue: try reader.read()) else { throw .invalid("an unknown kind of entry") }
    self.init(index: index, term: term, kind: kind, payload: try reader.readOwned(limit: PeerLimits.entryBytesMax))
  }
}

extension AppendReply {
  func encode(into writer: inout ByteWriter) {
    switch outcome {
    case .accepted(let match, let received):
      writer.write(UInt8(1))
      writer.writeVarint(match.rawValue)
      writer.writeVarint(received.rawValue)
    case .rejected(let previousIndex, let hintIndex, let hintTerm):
      writer.write(UInt8(2))
      writer.writeVarint(previousIndex.rawValue)
      writer.writeVarint(hintIndex.rawValue)
      writer.writeVarint(hintTerm.rawValue)
    }
    writer.write(sentAt.nanoseconds)
    writer.writeVarint(readRound)
    writer.write(room.rawValue)
  }

  init(from reader: inout ByteReader) throws(DecodeError) {
    let kind: UInt8 = try reader.read()
    let outcome: Outcome
    switch kind {
    case 1:
      let match = try reader.readIndex()
      outcome = .accepted(match: match, received: try reader.readIndex())
    case 2:
      let previousIndex = try reader.readIndex()
      let hintIndex = try reader.readIndex()
      outcome = .rejected(
        previousIndex: previousIndex, hintIndex: hintIndex, hintTerm: try reader.readTerm())
    default: throw .invalid("an unknown outcome of an append")
    }
    let sentAt = Instant(nanoseconds: try reader.read())
    let readRound = try reader.readVarint()
    guard let room = RoomLevel(rawValue: try reader.read()) else { throw .invalid("an unknown level of room") }
    self.init(outcome: outcome, sentAt: sentAt, readRound: readRound, room: room)
  }
}
