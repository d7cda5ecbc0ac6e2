import Primitives

/// What a read found. Its JSON stands in the buffer that was handed to `ShardMachine.read`.
package enum ReadOutcome: Hashable, Sendable {
  /// A row, with its version; the JSON is the row.
  case row(Timestamp)
  case rowNotFound
  /// A lookup or a page of a scan; the JSON is `{"rows":[…]}`, or one row a line. Where the scan goes on, as base64url;
  /// nil when nothing is left. (The frame holds the cursor too.)
  case rows(cursor: [UInt8]?)
  case tableNotFound
  /// Encoded for another schema version: encode it again.
  case schemaChanged
  /// The lookup's rows are more than a page may have.
  case tooLarge
  /// The lookup's rows are more than there is memory for now.
  case noRoom
  /// The versions of that time are dropped already, or were never kept.
  case snapshotTooOld(horizon: Timestamp)
  /// No command has this version yet.
  case snapshotInFuture(present: Timestamp)
  /// The bytes are no read of ours: a bug of the one who made them.
  case malformed

  package var isSuccess: Bool {
    switch self {
    case .row, .rows: true
    default: false
    }
  }

  /// The refusal to answer with; nil when there is JSON, or no room for it.
  package func refusal(table: String?) -> Refusal? {
    switch self {
    case .row, .rows, .noRoom: nil
    case .rowNotFound: Refusal(.rowNotFound, "There is no row with this key.", table: table)
    case .tableNotFound: RowOutcome.tableNotFound.refusal(table: table)
    case .schemaChanged: RowOutcome.schemaChanged.refusal(table: table)
    case .tooLarge:
      Refusal(
        .tooLarge,
        "The rows found are over \(TableLimits.pageBytesMax) bytes: ask for fewer keys or columns at a time.",
        table: table, limit: TableLimits.pageBytesMax)
    case .snapshotTooOld(let horizon):
      Refusal(
        .snapshotTooOld,
        "Versions as old as this snapshot are not kept: the oldest that can be read is \(horizon). Begin again with a new "
          + "one, or keep older versions for longer (setting history-retention).", table: table)
    case .snapshotInFuture(let present):
      Refusal(
        .invalidArgument, "The snapshot lies in the future: the newest is \(present). Take it from an answer.",
        table: table)
    case .malformed: RowOutcome.malformed.refusal(table: table)
    }
  }

  // A forwarded read is answered by this header and the JSON behind it:
  //     format 1 (1) | tag 1 | version 8 | cursor 2, n (length 0: none)
  private static let formatVersion: UInt8 = 1

  package func encode(into writer: inout ByteWriter) {
    var version: UInt64 = 0
    var cursor: [UInt8] = []
    let tag: UInt8
    switch self {
    case .row(let timestamp):
      tag = 1
      version = timestamp.rawValue
    case .rowNotFound: tag = 2
    case .rows(let text):
      tag = 3
      cursor = text ?? []
    case .tableNotFound: tag = 4
    case .schemaChanged: tag = 5
    case .tooLarge: tag = 6
    case .malformed: tag = 7
    case .snapshotTooOld(let horizon):
      tag = 8
      version = horizon.rawValue
    case .snapshotInFuture(let present):
      tag = 9
      version = present.rawValue
    case .noRoom: tag = 10
    }
    writer.write(ReadOutcome.formatVersion)
    writer.write(tag)
    writer.write(version)
    writer.write(UInt16(cursor.count))
    writer.writeBytes(cursor)
  }

  /// Reads the header; the JSON is what follows.
  package init(from reader: inout ByteReader) throws(DecodeError) {
    let format: UInt8 = try reader.read()
    guard format == ReadOutcome.formatVersion else { throw .invalid("an answer to a read in another format") }
    let tag: UInt8 = try reader.read()
    let version = Timestamp(try reader.read())
    let cursor = Array(try reader.readBytes(Int(try reader.read(UInt16.self))))
    switch tag {
    case 1: self = .row(version)
    case 2: self = .rowNotFound
    case 3: self = .rows(cursor: cursor.isEmpty ? nil : cursor)
    case 4: self = .tableNotFound
    case 5: self = .schemaChanged
    case 6: self = .tooLarge
    case 7: self = .malformed
    case 8: self = .snapshotTooOld(horizon: version)
    case 9: self = .snapshotInFuture(present: version)
    case 10: self = .noRoom
    default: throw .invalid("an unknown answer to a read")
    }
  }
}
