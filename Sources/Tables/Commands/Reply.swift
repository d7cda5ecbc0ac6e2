import Primitives

/// What became of one operation on a row.
package enum RowOutcome: Hashable, Sendable {
  case created(Timestamp)
  case replaced(Timestamp)
  case patched(Timestamp)
  /// The version of the delete itself.
  case deleted(Timestamp)
  /// The row's version; nil when its absence was what was checked.
  case checked(Timestamp?)
  case rowNotFound
  /// The row's version; nil when there is no row.
  case conditionFailed(current: Timestamp?)
  case tableNotFound
  /// Encoded for another schema version: encode it again and send it again.
  case schemaChanged
  /// System tables are not changed by operations on rows.
  case reserved
  /// The patched row would be over its limit, with so many bytes.
  case rowTooLarge(UInt64)
  /// The bytes are no operation of ours: a bug of the one who made them.
  case malformed

  package var isSuccess: Bool {
    switch self {
    case .created, .replaced, .patched, .deleted, .checked: true
    default: false
    }
  }

  /// The etag to answer with: the row's version after the operation.
  package var etag: Timestamp? {
    switch self {
    case .created(let version), .replaced(let version), .patched(let version): version
    case .checked(let version): version
    default: nil
    }
  }

  /// The version to answer a failed condition with (`current_etag`); nil when there is no row, or nothing failed.
  package var currentVersion: Timestamp? {
    if case .conditionFailed(let current) = self { current } else { nil }
  }

  /// The HTTP status.
  package var status: Int {
    switch self {
    case .created: 201
    case .replaced, .patched, .checked: 200
    case .deleted: 204
    default: refusalCode.status
    }
  }

  private var refusalCode: Refusal.Code {
    switch self {
    case .rowNotFound: .rowNotFound
    case .conditionFailed: .conditionFailed
    case .tableNotFound: .tableNotFound
    case .schemaChanged: .conflict
    case .reserved: .forbidden
    case .rowTooLarge: .tooLarge
    default: .internal
    }
  }

  /// The refusal to answer with; nil when the operation took place. The current version of a failed condition stands in
  /// the outcome. `kind`: what was tried, where it is known.
  package func refusal(table: String?, operation: Int? = nil, kind: OperationKind? = nil) -> Refusal? {
    if isSuccess { return nil }
    let detail =
      switch self {
      case .rowNotFound where kind == .patch: "There is no row with this key: create it by a put."
      case .rowNotFound where kind == .delete: "There is no row with this key, so none was deleted."
      case .rowNotFound: "There is no row with this key."
      case .conditionFailed(nil): "The condition does not hold: there is no row with this key."
      case .conditionFailed: "The condition does not hold: read the row, decide again, and use its current etag."
      case .tableNotFound: "The table was dropped: create it with POST /v1/tables, or correct the name."
      case .schemaChanged: "The table's schema changed meanwhile: send the request again."
      case .reserved: "Tables whose names begin with fs_ are changed by the cluster only."
      case .rowTooLarge(let count):
        "The row would be \(count) bytes long, the limit is \(TableLimits.rowBytesMax): store less in it."
      default: "The command could not be read: this is a bug, please report it with the request id."
      }
    var refusal = Refusal(refusalCode, detail, table: table, operation: operation)
    if case .rowTooLarge = self { refusal.limit = TableLimits.rowBytesMax }
    return refusal
  }
}

/// What became of a command. Binary form: Docs/Formats-tables.md, "Reply".
package enum Reply: Hashable, Sendable {
  case row(RowOutcome)
  /// Every operation succeeded.
  case batch([RowOutcome])
  /// The first operation that failed, from zero; nothing was changed.
  case batchFailed(operation: Int, RowOutcome)
  case tableCreated(TableDescription)
  case tableExists
  case tableDropped(TableID)
  case tableNotFound
  case tooManyTables
  /// How many rows were removed, and whether none is left.
  case purged(rows: Int, isFinished: Bool)
  case revoked
  /// False: more older versions are due, to be dropped by the next such command.
  case advanced(isFinished: Bool)
  /// The bytes are no command of ours: a bug of the one who made them.
  case malformed

  /// The refusal to answer with; nil when the command took place.
  package func refusal(table: String?) -> Refusal? {
    switch self {
    case .row(let outcome): outcome.refusal(table: table)
    case .batchFailed(let operation, let outcome): outcome.refusal(table: table, operation: operation)
    case .batch, .tableCreated, .tableDropped, .purged, .revoked, .advanced: nil
    case .tableExists:
      Refusal(.tableExists, "There is a table of this name: drop it first, or choose another name.", table: table)
    case .tableNotFound: RowOutcome.tableNotFound.refusal(table: table)
    case .tooManyTables:
      Refusal(
        .tooLarge, "There are \(TableLimits.tablesMax) tables, which is the limit: drop one first.", table: table,
        limit: TableLimits.tablesMax)
    case .malformed: RowOutcome.malformed.refusal(table: table)
    }
  }

  /// `{"results":[{"status":201,"etag":"7"},…]}` for a batch that took place.
  package static func appendResults(_ outcomes: [RowOutcome], to out: inout [UInt8]) {
    append("{\"results\":[", to: &out)
    for (i, outcome) in outcomes.enumerated() {
      append(i == 0 ? "{\"status\":" : ",{\"status\":", to: &out)
      appendDecimalDigits(UInt64(outcome.status), to: &out)
      if let etag = outcome.etag {
        append(",\"etag\":\"", to: &out)
        appendDecimalDigits(etag.rawValue, to: &out)
        out.append(UInt8(ascii: "\""))
      }
      out.append(UInt8(ascii: "}"))
    }
    append("]}", to: &out)
  }
}
