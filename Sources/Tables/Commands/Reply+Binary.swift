import Primitives

extension RowOutcome {
  func encode(into writer: inout ByteWriter) {
    switch self {
    case .created(let version): writer.write(1 as UInt8, version.rawValue)
    case .replaced(let version): writer.write(2 as UInt8, version.rawValue)
    case .patched(let version): writer.write(3 as UInt8, version.rawValue)
    case .deleted(let version): writer.write(4 as UInt8, version.rawValue)
    case .checked(let version): writer.write(5 as UInt8, version?.rawValue ?? 0)
    case .rowNotFound: writer.write(6 as UInt8)
    case .conditionFailed(let current): writer.write(7 as UInt8, current?.rawValue ?? 0)
    case .tableNotFound: writer.write(8 as UInt8)
    case .schemaChanged: writer.write(9 as UInt8)
    case .reserved: writer.write(10 as UInt8)
    case .rowTooLarge(let count): writer.write(11 as UInt8, count)
    case .malformed: writer.write(12 as UInt8)
    }
  }

  init(from reader: inout ByteReader) throws(DecodeError) {
    let tag: UInt8 = try reader.read()
    switch tag {
    case 1: self = .created(Timestamp(try reader.read()))
    case 2: self = .replaced(Timestamp(try reader.read()))
    case 3: self = .patched(Timestamp(try reader.read()))
    case 4: self = .deleted(Timestamp(try reader.read()))
    case 5: self = .checked(RowOutcome.optional(try reader.read()))
    case 6: self = .rowNotFound
    case 7: self = .conditionFailed(current: RowOutcome.optional(try reader.read()))
    case 8: self = .tableNotFound
    case 9: self = .schemaChanged
    case 10: self = .reserved
    case 11: self = .rowTooLarge(try reader.read())
    case 12: self = .malformed
    default: throw .invalid("an unknown outcome")
    }
  }

  /// Version 0 stands for none: no command has it.
  private static func optional(_ version: UInt64) -> Timestamp? { version == 0 ? nil : Timestamp(version) }
}

extension ByteWriter {
  fileprivate mutating func write(_ tag: UInt8, _ number: UInt64) {
    write(tag)
    write(number)
  }
}

extension Reply {
  private static let formatVersion: UInt8 = 1

  package func encode(into writer: inout ByteWriter) {
    writer.write(Reply.formatVersion)
    switch self {
    case .row(let outcome):
      writer.write(1 as UInt8)
      outcome.encode(into: &writer)
    case .batch(let outcomes):
      writer.write(2 as UInt8)
      writer.writeVarint(UInt64(outcomes.count))
      for outcome in outcomes { outcome.encode(into: &writer) }
    case .batchFailed(let operation, let outcome):
      writer.write(3 as UInt8)
      writer.writeVarint(UInt64(operation))
      outcome.encode(into: &writer)
    case .tableCreated(let description):
      writer.write(4 as UInt8)
      description.encode(into: &writer)
    case .tableExists: writer.write(5 as UInt8)
    case .tableDropped(let id):
      writer.write(6 as UInt8)
      writer.write(id.rawValue)
    case .tableNotFound: writer.write(7 as UInt8)
    case .tooManyTables: writer.write(8 as UInt8)
    case .purged(let rows, let isFinished):
      writer.write(9 as UInt8)
      writer.writeVarint(UInt64(rows))
      writer.write(UInt8(isFinished ? 1 : 0))
    case .revoked: writer.write(10 as UInt8)
    case .malformed: writer.write(11 as UInt8)
    case .advanced(let isFinished):
      writer.write(12 as UInt8)
      writer.write(UInt8(isFinished ? 1 : 0))
    }
  }

  package func encoded() -> [UInt8] {
    var writer = ByteWriter()
    encode(into: &writer)
    return writer.bytes
  }

  package init(from reader: inout ByteReader) throws(DecodeError) {
    let version: UInt8 = try reader.read()
    guard version == Reply.formatVersion else { throw .invalid("a reply of another format") }
    let tag: UInt8 = try reader.read()
    switch tag {
    case 1: self = .row(try RowOutcome(from: &reader))
    case 2: self = .batch(try Reply.outcomes(&reader))
    case 3:
      let operation = try Reply.count(&reader)
      self = .batchFailed(operation: operation, try RowOutcome(from: &reader))
    case 4: self = .tableCreated(try TableDescription(from: &reader))
    case 5: self = .tableExists
    case 6: self = .tableDropped(TableID(try reader.read()))
    case 7: self = .tableNotFound
    case 8: self = .tooManyTables
    case 9:
      let rows = try Reply.count(&reader)
      let flag: UInt8 = try reader.read()
      self = .purged(rows: rows, isFinished: flag != 0)
    case 10: self = .revoked
    case 11: self = .malformed
    case 12:
      let flag: UInt8 = try reader.read()
      self = .advanced(isFinished: flag != 0)
    default: throw .invalid("an unknown reply")
    }
  }

  private static func outcomes(_ reader: inout ByteReader) throws(DecodeError) -> [RowOutcome] {
    var outcomes: [RowOutcome] = []
    for _ in 0..<(try count(&reader)) { outcomes.append(try RowOutcome(from: &reader)) }
    return outcomes
  }

  private static func count(_ reader: inout ByteReader) throws(DecodeError) -> Int {
    let count = try reader.readVarint()
    guard count <= UInt64(UInt16.max) else { throw .invalid("a count over its limit") }
    return Int(count)
  }
}
