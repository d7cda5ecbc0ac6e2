import Primitives
import Testing

@testable import Tables

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

func hex(_ bytes: [UInt8]) -> String {
  bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
}

func makeTable(_ json: String, id: UInt32 = 100) throws -> Table {
  var description = try TableDescription.parse(bytes(json))
  description.id = TableID(id)
  return Table(description)
}

/// A table with a column of every type, a composite key and nullable columns.
let everything = """
  {"name":"everything","columns":[{"name":"k1","type":"text"},{"name":"k2","type":"int64"},
  {"name":"b","type":"bool"},{"name":"i","type":"int64","nullable":true,"default":7},
  {"name":"f","type":"float64","nullable":true},{"name":"d","type":"decimal","nullable":true},
  {"name":"t","type":"text","nullable":true,"default":"def"},{"name":"y","type":"bytes","nullable":true},
  {"name":"m","type":"timestamp","nullable":true},{"name":"u","type":"uuid","nullable":true},
  {"name":"j","type":"json","nullable":true},{"name":"must","type":"text"}],"primary_key":["k1","k2"]}
  """

let simple = """
  {"name":"simple","columns":[{"name":"k","type":"text"},{"name":"v","type":"text"},
  {"name":"n","type":"int64","nullable":true}],"primary_key":["k"]}
  """

func pathKey(_ table: Table, _ path: String) throws(Refusal) -> [UInt8] {
  var out: [UInt8] = []
  try bytes(path).withBytes { (raw) throws(Refusal) in try table.appendKey(path: raw, to: &out) }
  return out
}

func jsonKey(_ table: Table, _ json: String) throws(Refusal) -> [UInt8] {
  var out: [UInt8] = []
  try bytes(json).withBytes { (raw) throws(Refusal) in try table.appendKey(json: raw, to: &out) }
  return out
}

/// The refusal that `body` throws; records an issue when it throws none.
func refusal(_ body: () throws(Refusal) -> Void) -> Refusal? {
  do throws(Refusal) {
    try body()
    return nil
  } catch { return error }
}

/// The row that JSON gives for the key of a path.
func encodeRow(_ table: Table, _ path: String, _ json: String) throws(Refusal) -> [UInt8] {
  var encoder = RowEncoder()
  var out = try pathKey(table, path)
  let key = 0..<out.count
  let source = bytes(json)
  try source.withBytes { (raw) throws(Refusal) in
    try encoder.appendRow(table, json: raw, part: 0..<raw.count, key: key, to: &out)
  }
  return Array(out[key.count...])
}

func printRow(_ table: Table, _ key: [UInt8], _ row: [UInt8], _ columns: [Int]? = nil) -> String {
  var out: [UInt8] = []
  key.withBytes { key in row.withBytes { table.appendJSON(key: key, row: $0, columns: columns, to: &out) } }
  return text(out)
}

extension Table {
  func values(key: [UInt8]) -> [Value] { key.withBytes { values(key: $0) } }
  func values(row: [UInt8]) -> [Value] { row.withBytes { values(row: $0) } }
}
