import Primitives

// A command: what stands in the log, and all that `apply` reads besides the shard's state.
//
//     format     1        1
//     kind       1        1 operation, 2 batch, 3 create table, 4 drop table, 5 purge, 6 revoke, 7 advance
//
//     operation:          one operation
//     batch:     2, …     count, so many operations
//     create:    …        table description, id 0
//     drop:      4        table id
//     purge:     4, 2     table id, rows at most
//     advance:   4, 4     milliseconds that have passed, milliseconds that older versions are kept (0: not at all)
//     revoke:    1, 8, …  kind, microseconds since 1970 when it expires anyway (least int64: never), sized serial
//
//     an operation:
//     op         1        1 put, 2 patch, 3 delete, 4 check
//     condition  1        0 none, 1 if-match, 2 if-none-match
//     schema     4        the schema version that it was encoded for
//     version    8        only with if-match
//     key        2, n     length, state key (kind 20, table id, key)
//     body       4, n     length, row (put) or patch (patch), nothing for the others

package enum CommandFormat {
  static let version: UInt8 = 1
}

enum CommandKind: UInt8 {
  case operation = 1
  case batch = 2
  case createTable = 3
  case dropTable = 4
  case purge = 5
  case revoke = 6
  case advance = 7
}

package enum OperationKind: UInt8, Sendable, CaseIterable {
  case put = 1
  case patch = 2
  case delete = 3
  case check = 4
}

/// What must hold of a row for an operation to take place. Decided when the command is applied.
package enum Condition: Hashable, Sendable {
  case none
  /// The row exists with this version.
  case ifMatch(Timestamp)
  /// The row does not exist.
  case ifNoneMatch

  /// Reads an etag: the version in digits, with or without quotes. Nil for anything else.
  package static func version(etag: UnsafeRawBufferPointer) -> Timestamp? {
    var text = etag
    if text.count >= 2, text[0] == UInt8(ascii: "\""), text[text.count - 1] == UInt8(ascii: "\"") {
      text = text.part(1, text.count - 2)
    }
    guard text.count >= 1, text.count <= 20, text[0] != UInt8(ascii: "0") || text.count == 1 else { return nil }
    var value: UInt64 = 0
    for byte in text {
      guard byte &- 0x30 < 10 else { return nil }
      let (product, overflow1) = value.multipliedReportingOverflow(by: 10)
      let (sum, overflow2) = product.addingReportingOverflow(UInt64(byte - 0x30))
      if overflow1 || overflow2 { return nil }
      value = sum
    }
    return Timestamp(value)
  }
}

/// One operation as it stands in a command. Valid as long as the command's bytes.
struct OperationView {
  var kind: OperationKind
  var condition: Condition
  var schema: UInt32
  var stateKey: UnsafeRawBufferPointer
  var body: UnsafeRawBufferPointer

  var table: TableID { TableID(stateKey.bigEndian(1)) }
  var key: UnsafeRawBufferPointer { stateKey.rest(StateKey.rowPrefixBytes) }

  init(from reader: inout ByteReader) throws(DecodeError) {
    guard let kind = OperationKind(rawValue: try reader.read()) else { throw .invalid("an unknown operation") }
    self.kind = kind
    let tag: UInt8 = try reader.read()
    schema = try reader.read()
    switch tag {
    case 0: condition = .none
    case 1: condition = .ifMatch(Timestamp(try reader.read()))
    case 2: condition = .ifNoneMatch
    default: throw .invalid("an unknown condition")
    }
    let keyCount: UInt16 = try reader.read()
    stateKey = try reader.readBytes(Int(keyCount))
    guard keyCount >= StateKey.rowPrefixBytes, stateKey[0] == StateKey.rowKind else { throw .invalid("no row's key") }
    let bodyCount: UInt32 = try reader.read()
    body = try reader.readBytes(Int(bodyCount))
  }
}

extension OperationView {
  /// The operation of a command that holds one; nil when it holds anything else, or cannot be read.
  init?(single command: UnsafeRawBufferPointer) {
    guard command.count > 2, command[0] == CommandFormat.version, command[1] == CommandKind.operation.rawValue else {
      return nil
    }
    var reader = ByteReader(command, offset: 2)
    do throws(DecodeError) { try self.init(from: &reader) } catch { return nil }
    guard reader.isAtEnd else { return nil }
  }
}

/// Appends an operation but for its body, whose length is to be put where the result says.
func appendOperation(
  _ kind: OperationKind, _ condition: Condition, schema: UInt32, to out: inout [UInt8]
) {
  out.append(kind.rawValue)
  switch condition {
  case .none: out.append(0)
  case .ifMatch: out.append(1)
  case .ifNoneMatch: out.append(2)
  }
  out.appendLittleEndian(schema)
  if case .ifMatch(let version) = condition { out.appendLittleEndian(version.rawValue) }
}
