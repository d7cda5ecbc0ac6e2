import Primitives
import Tables

/// Rows as the commands that a node makes of PUTs, for a table with a text for the key and one for the value.
final class RowCommands {
  static let table = "rows"
  private static let description = """
    {"name":"\(table)","columns":[{"name":"key","type":"text"},{"name":"value","type":"text"}],"primary_key":["key"]}
    """

  /// Makes the table.
  let createTable: [UInt8]
  private let table: Table
  private let body: [UInt8]
  private var writer = CommandWriter()

  init(valueBytes: Int) throws(BenchError) {
    var description: TableDescription
    do throws(Refusal) { description = try TableDescription.parse(Array(RowCommands.description.utf8)) } catch {
      throw RowCommands.failure(error)
    }
    var writer = CommandWriter()
    writer.createTable(description)
    createTable = writer.bytes
    // What the shard's first table is given when the command is applied.
    description.id = .firstOfUsers
    table = Table(description)
    body = Array("{\"value\":\"".utf8) + [UInt8](repeating: UInt8(ascii: "v"), count: valueBytes) + Array("\"}".utf8)
  }

  /// `key` is letters and digits.
  func put(_ key: UnsafeRawBufferPointer) throws(BenchError) -> [UInt8] {
    do throws(Refusal) {
      try body.withBytes { json throws(Refusal) in try writer.put(table, path: key, json: json) }
      return writer.bytes
    } catch { throw RowCommands.failure(error) }
  }

  private static func failure(_ refusal: Refusal) -> BenchError { .failed("a row is refused: \(refusal)") }
}
